"""Convert a repair to requests for the vendor's outbox, or to messages for the relay to Alerta."""

import json
from typing import Dict, List, Mapping, Tuple

from .events import Event
from .publish import LONGEST_SNOOZE_SECONDS, AlertEvent, Dialect, Dispatch, Policy, publish
from .reconcile import Repair
from .wording import AlertValues

BRIDGE = "alerta-opsgenie"
"""The name of the actor of a repair."""

REOPEN = "Opened again"
"""The custom action that re-opens an alert in Alerta. It must be mapped to Alerta's `open`."""

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
"""Each step as an event for the vendor, and as an action for Alerta."""

OPERATIONS: Mapping[str, str] = {"unsnooze": "acknowledge", "prioritise": "priority"}
"""The operation of a step if its name differs."""

_MILLISECOND_NS = 10**6  # the lists have milliseconds, the messages nanoseconds

JSM_TAKES = frozenset({"create", "acknowledge", "close"})
"""The steps that JSM documents for an integration's key."""


def takes(policy: Policy) -> "frozenset[str]":
    """Return the steps that the vendor's key can do."""
    return JSM_TAKES if policy.dialect is Dialect.JSM and not policy.extra_calls else frozenset(_STEPS)


def requests_of(repair: Repair, alert: AlertValues, policy: Policy, now_seconds: float) -> Dispatch:
    """Return the requests, with the route of the alert, or of the key that can read it."""
    until = min(repair.right.snoozed_until or 0.0, now_seconds + LONGEST_SNOOZE_SECONDS)
    acts = [
        AlertEvent(_STEPS[step][0], BRIDGE, f"reconcile: {repair.reason}", until, repair.right.priority)
        for step in repair.steps
    ]
    if "create" in repair.steps:
        return publish(alert, acts, policy, known=False)
    found = publish(alert, acts, policy._replace(routes=(), environments=()), known=True)
    wanted = tuple(request for request in found.requests if request.operation != "message")  # the text is not compared
    return found._replace(route=repair.right.route, requests=wanted)


def messages_of(repair: Repair, source: str, now_seconds: float) -> List[str]:
    """Return the messages that the vendor would have sent for the same changes."""
    right = repair.right
    until = min(right.snoozed_until or 0.0, now_seconds + LONGEST_SNOOZE_SECONDS)
    alert: Dict[str, object] = {
        "alertId": right.id,
        "alias": repair.alert,
        "source": source,
        "username": BRIDGE,
        "updatedAt": int(right.changed * 1000) * _MILLISECOND_NS + _MILLISECOND_NS - 1 if right.changed else 0,
        "snoozedUntil": int(until * 1000),
        "owner": right.owner,
        "priority": right.priority,
        "note": f"reconcile: {repair.reason}",
    }
    return [
        json.dumps({"action": _STEPS[step][1], "source": {"name": "", "type": "system"}, "alert": alert})
        for step in repair.steps
    ]
