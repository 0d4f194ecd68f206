"""A repair as what does it: requests for the vendor's outbox, or messages for the relay into Alerta."""

import json
from typing import Dict, List, Mapping, Tuple

from .events import Event
from .publish import LONGEST_SNOOZE_SECONDS, ConsoleAct, Dialect, Dispatch, Policy, publish
from .reconcile import Repair
from .wording import AlertValues

BRIDGE = "alerta-opsgenie"
"""Under whose name it is done."""

REOPEN = "Opened again"
"""The custom action that opens an alert again in Alerta: it has to be mapped to Alerta's `open`."""

_STEPS: Mapping[str, Tuple[Event, str]] = {
    "create": (Event.RAISED, REOPEN),
    "acknowledge": (Event.ACKED, "Acknowledge"),
    "unacknowledge": (Event.UNACKED, "UnAcknowledge"),
    "snooze": (Event.SHELVED, "Snooze"),
    "unsnooze": (Event.UNSHELVED, "SnoozeEnded"),
    "close": (Event.CLOSED, "Close"),
    "assign": (Event.ASSIGNED, "AssignOwnership"),
    "prioritise": (Event.LOWERED, "UpdatePriority"),
}
"""Each step as what it is to the vendor, and as what it is to Alerta."""

OPERATIONS: Mapping[str, str] = {"unsnooze": "acknowledge", "prioritise": "priority"}
"""The operation of a step, where it has another name."""

_MILLISECOND_NS = 10**6  # the lists show milliseconds of what the messages had in nanoseconds

JSM_TAKES = frozenset({"create", "acknowledge", "close"})
"""What JSM documents for an integration's key."""


def takes(policy: Policy) -> "frozenset[str]":
    """Name the steps that the vendor's key can do."""
    return JSM_TAKES if policy.dialect is Dialect.JSM and not policy.extra_calls else frozenset(_STEPS)


def requests_of(repair: Repair, alert: AlertValues, policy: Policy, now_seconds: float) -> Dispatch:
    """Build the requests; by the route of the alert, or of the key that showed it."""
    until = min(repair.seen.snoozed_until or 0.0, now_seconds + LONGEST_SNOOZE_SECONDS)
    acts = [
        ConsoleAct(_STEPS[step][0], BRIDGE, f"reconcile: {repair.reason}", until, repair.seen.priority)
        for step in repair.steps
    ]
    if "create" in repair.steps:
        return publish(alert, acts, policy, known=False)
    found = publish(alert, acts, policy._replace(routes=(), environments=()), known=True)
    wanted = tuple(request for request in found.requests if request.operation != "message")  # the text is not compared
    return found._replace(route=repair.seen.route, requests=wanted)


def messages_of(repair: Repair, source: str, now_seconds: float) -> List[str]:
    """Write what people did over there as the messages that got lost."""
    seen = repair.seen
    until = min(seen.snoozed_until or 0.0, now_seconds + LONGEST_SNOOZE_SECONDS)
    alert: Dict[str, object] = {
        "alertId": seen.id,
        "alias": repair.alert,
        "source": source,
        "username": BRIDGE,
        "updatedAt": int(seen.changed * 1000) * _MILLISECOND_NS + _MILLISECOND_NS - 1 if seen.changed else 0,
        "snoozedUntil": int(until * 1000),
        "owner": seen.owner,
        "priority": seen.priority,
        "note": f"reconcile: {repair.reason}",
    }
    return [
        json.dumps({"action": _STEPS[step][1], "source": {"name": "", "type": "system"}, "alert": alert})
        for step in repair.steps
    ]
