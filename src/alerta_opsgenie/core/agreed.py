"""What both sides are known to agree on about one alert: what the vendor took from us, or told us, or was seen to have.

The memory of it tells later which side has changed, and what the vendor still has to hear.
"""

import json
import math
from typing import Any, Iterable, Mapping, NamedTuple, Optional

from .message import iso_seconds
from .publish import Request

PRIORITIES = frozenset({"P1", "P2", "P3", "P4", "P5"})


class Agreed(NamedTuple):
    """What both sides are known to agree on about one alert.

    `snoozed_until` is in seconds since the epoch (None: not snoozed). `confirmed`: the vendor is known to have had the
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


def read_agreed(text: Any) -> Agreed:
    """Read what `to_json` gave. Raises ValueError for anything else."""
    value = json.loads(text)
    if not isinstance(value, dict) or set(value) != set(Agreed._fields):
        raise ValueError("not what both sides agree on: expected " + ", ".join(Agreed._fields))
    agreed = Agreed(**value)
    flags = (agreed.is_open, agreed.acknowledged, agreed.confirmed)
    times = (0.0 if agreed.snoozed_until is None else agreed.snoozed_until, agreed.at_seconds)
    if not all(isinstance(flag, bool) for flag in flags) or not all(_is_time(moment) for moment in times):
        raise ValueError("not what both sides agree on: a flag or a time has a wrong type")
    if not isinstance(agreed.owner, str) or _priority(agreed.priority) is None:
        raise ValueError("not what both sides agree on: the owner or the priority has a wrong value")
    return agreed


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def after_requests(agreed: Agreed, requests: Iterable[Request], now_seconds: float) -> Agreed:
    """Tell what the vendor has once it took these requests, in their order."""
    for request in requests:
        agreed = _after(agreed, request.operation, request.body)
    return agreed._replace(confirmed=True, at_seconds=now_seconds)


def _after(agreed: Agreed, operation: str, body: Mapping[str, Any]) -> Agreed:
    if operation == "create":
        # A create for an alert that is open there counts it up and changes nothing else but the first time.
        opened = agreed if agreed.is_open else Agreed(is_open=True)
        return opened._replace(priority=_priority(body.get("priority")) or agreed.priority)
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
        name = owner.get("username") if isinstance(owner, dict) else ""
        return agreed._replace(owner=name if isinstance(name, str) else "")
    if operation == "priority":
        return agreed._replace(priority=_priority(body.get("priority")) or agreed.priority)
    return agreed


def _priority(value: Any) -> Optional[str]:
    return value if isinstance(value, str) and value in PRIORITIES else None
