"""The state of one alert on which both sides last agreed: as sent to the vendor, received from it, or read from it.

It shows later which side has changed, and what still has to be sent to the vendor.
"""

import json
import math
from typing import Any, Iterable, List, Mapping, NamedTuple, Optional

from .events import BLACKOUT, Event, end_of
from .history import ENDED, SAME_END_SECONDS
from .instants import iso_seconds
from .message import PRIORITIES
from .publish import (
    LONGEST_SNOOZE_SECONDS,
    AlertEvent,
    Dispatch,
    Policy,
    Request,
    is_normal,
    is_wanted,
    priority_of,
    publish,
)
from .wording import AlertValues

_SHORTEST_SNOOZE_SECONDS = 60.0  # a snooze with less time left is not sent: it ends soon anyway


class AgreedState(NamedTuple):
    """The state of one alert on which both sides agree.

    `snoozed_until` is in seconds since the epoch (None: not snoozed). `confirmed`: the alert was read from the vendor.
    `at_seconds` is when this was stored, by our clock.
    """

    is_open: bool = False
    acknowledged: bool = False
    snoozed_until: Optional[float] = None
    owner: str = ""
    priority: str = "P3"
    confirmed: bool = False
    at_seconds: float = 0.0

    def to_json(self) -> str:
        """Return it as a text for the database."""
        return json.dumps(self._asdict(), separators=(",", ":"))


def read_agreed_state(text: Any) -> AgreedState:
    """Read the result of `to_json`. Raises ValueError for anything else."""
    value = json.loads(text)
    if not isinstance(value, dict) or set(value) != set(AgreedState._fields):
        raise ValueError("not what both sides agree on: expected " + ", ".join(AgreedState._fields))
    agreed = AgreedState(**value)
    kinds = {**dict.fromkeys(("is_open", "acknowledged", "confirmed"), bool), "owner": str}
    has_kinds = all(type(value[name]) is kind for name, kind in kinds.items())
    times = [one for one in (agreed.snoozed_until, agreed.at_seconds) if one is not None]
    are_times = all(type(one) in (int, float) and math.isfinite(one) for one in times)
    if not has_kinds or not are_times or agreed.priority not in PRIORITIES:
        raise ValueError("not what both sides agree on: a value has a wrong type")
    return agreed


def after_requests(agreed: AgreedState, requests: Iterable[Request], now_seconds: float) -> AgreedState:
    """Return the state after the vendor has accepted these requests, in order. `confirmed` stays as it is."""
    for request in requests:
        agreed = _after(agreed, request.operation, request.body)
    return agreed._replace(at_seconds=now_seconds)


def _after(agreed: AgreedState, operation: str, body: Mapping[str, Any]) -> AgreedState:
    if operation == "create":
        # A create for an alert that is open at the vendor only increases its count.
        opened = agreed if agreed.is_open else AgreedState(is_open=True, priority=agreed.priority)
        return _with_priority(opened, body.get("priority"))
    if operation == "acknowledge":
        return agreed._replace(acknowledged=True, snoozed_until=None)  # an acknowledge ends a snooze
    if operation == "unacknowledge":
        return agreed._replace(acknowledged=False)
    if operation == "snooze":
        return agreed._replace(snoozed_until=iso_seconds(str(body.get("endTime"))))
    if operation in ("close", "delete"):
        return agreed._replace(is_open=False, acknowledged=False, snoozed_until=None)
    if operation == "assign":
        owner = body.get("owner")
        name = (owner.get("username") or owner.get("id")) if isinstance(owner, dict) else ""
        return agreed._replace(owner=name if isinstance(name, str) else "")
    if operation == "priority":
        return _with_priority(agreed, body.get("priority"))
    return agreed


def _with_priority(agreed: AgreedState, priority: Any) -> AgreedState:
    return agreed._replace(priority=priority) if priority in PRIORITIES else agreed


def after_refusal(agreed: AgreedState, operation: str) -> AgreedState:
    """Return the state after an accepted request has failed. A priority stays: the one before is not known."""
    refused: Mapping[str, Mapping[str, Any]] = {
        "create": {"is_open": False, "confirmed": False},
        "snooze": {"snoozed_until": None},
        "assign": {"owner": ""},
        "acknowledge": {"acknowledged": False},
        "unacknowledge": {"acknowledged": True},
    }
    return agreed._replace(**refused.get(operation, {}))


# -- What still has to be sent to the vendor


def expected_state(alert: AlertValues, policy: Policy, agreed: AgreedState) -> AgreedState:
    """Return the state that the vendor should have; values that cannot be sent stay as agreed."""
    if alert.status in ENDED or is_normal(alert.severity, policy):
        return agreed._replace(is_open=False, acknowledged=False, snoozed_until=None)
    if alert.status == BLACKOUT:
        return agreed  # during a blackout only the end is sent
    set_at_vendor = alert.attributes.get("opsgenie-priority") in PRIORITIES
    by_severity = is_wanted(alert.severity, policy) and not set_at_vendor
    priority = priority_of(alert, policy) if by_severity else agreed.priority
    agreed = agreed._replace(is_open=True)
    if alert.status == "shelved":
        until = end_of(alert, "shelve")
        return agreed._replace(priority=priority, snoozed_until=agreed.snoozed_until if until is None else until)
    return agreed._replace(priority=priority, acknowledged=alert.status == "ack", snoozed_until=None)


def unsent_requests(alert: AlertValues, agreed: AgreedState, policy: Policy, now_seconds: float) -> Dispatch:
    """Return the requests for the changes that were not sent to the vendor, which has the alert open.

    Requests that would not change the agreed state are left out: they would be sent again each time.
    """
    now = expected_state(alert, policy, agreed)
    acts: List[AlertEvent] = []
    if not now.is_open:
        ended = Event.EXPIRED if alert.status == "expired" else Event.CLOSED
        acts.append(AlertEvent(ended, text="sent late by Alerta"))
    else:
        acts += [AlertEvent(Event.LOWERED)] if now.priority != agreed.priority else []
        acts += [_act(event, now, now_seconds) for event in _unsent_events(now, agreed, now_seconds)]
    dispatch = publish(alert, acts, policy, known=True)
    then = after_requests(agreed, dispatch.requests, agreed.at_seconds)
    return dispatch if then != agreed else dispatch._replace(requests=())


def _unsent_events(now: AgreedState, agreed: AgreedState, now_seconds: float) -> List[Event]:
    """Return the events that lead from the agreed state to the present one, for an open alert."""
    left = (now.snoozed_until or 0.0) - now_seconds
    before = (agreed.snoozed_until or 0.0) - now_seconds
    if left > _SHORTEST_SNOOZE_SECONDS:
        return [Event.SHELVED] if abs(left - before) > SAME_END_SECONDS else []
    if now.snoozed_until is None and before > _SHORTEST_SNOOZE_SECONDS:
        return [Event.UNSHELVED_TO_ACK if now.acknowledged else Event.UNSHELVED]
    if now.acknowledged != agreed.acknowledged:
        return [Event.ACKED if now.acknowledged else Event.UNACKED]
    return []


def _act(event: Event, now: AgreedState, now_seconds: float) -> AlertEvent:
    longest = now_seconds + LONGEST_SNOOZE_SECONDS
    return AlertEvent(event, until_seconds=min(now.snoozed_until or longest, longest))
