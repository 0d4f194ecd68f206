"""What both sides are known to agree on about one alert: what the vendor took from us, or told us, or was seen to have.

The memory of it tells later which side has changed, and what the vendor still has to hear.
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

_WORTH_SECONDS = 60.0  # a snooze with less than that to go ends by itself before anybody can care


class AgreedState(NamedTuple):
    """What both sides are known to agree on about one alert.

    `snoozed_until` is in seconds since the epoch (None: not snoozed). `confirmed`: the vendor was seen to have the
    alert. `at_seconds` is when this was noted, by our clock.
    """

    is_open: bool = False
    acknowledged: bool = False
    snoozed_until: Optional[float] = None
    owner: str = ""
    priority: str = "P3"
    confirmed: bool = False
    at_seconds: float = 0.0

    def to_json(self) -> str:
        """Give it as a text for the database."""
        return json.dumps(self._asdict(), separators=(",", ":"))


def read_agreed_state(text: Any) -> AgreedState:
    """Read what `to_json` gave. Raises ValueError for anything else."""
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
    """Tell what the vendor has once it took these requests, in their order; that it took one proves no alert."""
    for request in requests:
        agreed = _after(agreed, request.operation, request.body)
    return agreed._replace(at_seconds=now_seconds)


def _after(agreed: AgreedState, operation: str, body: Mapping[str, Any]) -> AgreedState:
    if operation == "create":
        # A create for an alert that is open there counts it up and changes nothing else but the first time.
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
    """Tell what the vendor has once it refused what it had taken; of a priority, the one before is not known."""
    refused: Mapping[str, Mapping[str, Any]] = {
        "create": {"is_open": False, "confirmed": False},
        "snooze": {"snoozed_until": None},
        "assign": {"owner": ""},
        "acknowledge": {"acknowledged": False},
        "unacknowledge": {"acknowledged": True},
    }
    return agreed._replace(**refused.get(operation, {}))


# -- What the vendor still has to hear


def expected_state(alert: AlertValues, policy: Policy, agreed: AgreedState) -> AgreedState:
    """Tell what the vendor should have of an alert; what cannot be told stays as it is agreed."""
    if alert.status in ENDED or is_normal(alert.severity, policy):
        return agreed._replace(is_open=False, acknowledged=False, snoozed_until=None)
    if alert.status == BLACKOUT:
        return agreed  # what happens in a blackout is nobody's to be told, but for the end
    set_over_there = alert.attributes.get("opsgenie-priority") in PRIORITIES
    by_severity = is_wanted(alert.severity, policy) and not set_over_there
    priority = priority_of(alert, policy) if by_severity else agreed.priority
    agreed = agreed._replace(is_open=True)
    if alert.status == "shelved":
        until = end_of(alert, "shelve")
        return agreed._replace(priority=priority, snoozed_until=agreed.snoozed_until if until is None else until)
    return agreed._replace(priority=priority, acknowledged=alert.status == "ack", snoozed_until=None)


def unsent_requests(alert: AlertValues, agreed: AgreedState, policy: Policy, now_seconds: float) -> Dispatch:
    """Give the requests for what the vendor, which has the alert open, was not told; none where it knows all.

    A request that would change nothing that is remembered is left out: it would be sent again and again.
    """
    now = expected_state(alert, policy, agreed)
    acts: List[AlertEvent] = []
    if not now.is_open:
        ended = Event.EXPIRED if alert.status == "expired" else Event.CLOSED
        acts.append(AlertEvent(ended, text="told late by Alerta"))
    else:
        acts += [AlertEvent(Event.LOWERED)] if now.priority != agreed.priority else []
        acts += [_act(event, now, now_seconds) for event in _moves(now, agreed, now_seconds)]
    dispatch = publish(alert, acts, policy, known=True)
    then = after_requests(agreed, dispatch.requests, agreed.at_seconds)
    return dispatch if then != agreed else dispatch._replace(requests=())


def _moves(now: AgreedState, agreed: AgreedState, now_seconds: float) -> List[Event]:
    """Name the steps from what is agreed to what should be, for an open alert."""
    left = (now.snoozed_until or 0.0) - now_seconds
    before = (agreed.snoozed_until or 0.0) - now_seconds
    if left > _WORTH_SECONDS:
        return [Event.SHELVED] if abs(left - before) > SAME_END_SECONDS else []
    if now.snoozed_until is None and before > _WORTH_SECONDS:
        return [Event.UNSHELVED_TO_ACK if now.acknowledged else Event.UNSHELVED]
    if now.acknowledged != agreed.acknowledged:
        return [Event.ACKED if now.acknowledged else Event.UNACKED]
    return []


def _act(event: Event, now: AgreedState, now_seconds: float) -> AlertEvent:
    longest = now_seconds + LONGEST_SNOOZE_SECONDS
    return AlertEvent(event, until_seconds=min(now.snoozed_until or longest, longest))
