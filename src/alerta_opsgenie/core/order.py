"""Which of two actions on one alert is the newer one, so that an older one that arrives late undoes nothing.

Each action writes registers: the state, the owner, the priority, each tag. For each the newest `updatedAt` that wrote
it is remembered, and an action all of whose registers were written by something newer is stale. Notes write no
register. An `updatedAt` is a claim by the sender, whose clock may be wrong by accident or on purpose:

| `updatedAt` is | of an action that changed the alert | of an action that found nothing to change |
|---|---|---|
| in the past | orders | orders |
| up to 2 minutes ahead of our clock | orders | orders nothing |
| further ahead | orders as if it were now | orders nothing |

Opsgenie makes a new alert for each outage, and its `alertId` ends in the time when it was made (`incident`): a change
of state that was made on an earlier alert of Opsgenie's is stale.
"""

import re
from typing import Dict, FrozenSet, Iterable, Mapping

from .message import Message, MessageError, tags, text_of
from .outcome import Kind
from .same_act import ACT, act_names, is_recorded

STATE = "state"
INCIDENT = "incident"
"""The time when Opsgenie's alert was made, in nanoseconds since the epoch, of the newest that changed the state."""

MOST_AHEAD_SECONDS = 120
"""How far a sender's clock may be ahead of ours and still be believed."""

_REGISTERS: Mapping[str, str] = {
    **dict.fromkeys(("Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete"), STATE),
    **dict.fromkeys(("AssignOwnership", "TakeOwnership"), "owner"),
    "UpdatePriority": "priority",
}
_TAG_FIELDS: Mapping[str, str] = {"AddTags": "addedTags", "RemoveTags": "removedTags"}
# `<UUID>-<milliseconds since the epoch>` in the vendor's examples and in every capture.
_ALERT_ID = re.compile(r"[0-9a-f-]{36}-(\d{12,14})", re.IGNORECASE | re.ASCII)


def registers(message: Message) -> FrozenSet[str]:
    """Name what the action writes."""
    field = _TAG_FIELDS.get(message.action)
    if field:
        try:
            return frozenset(f"tag:{tag}" for tag in tags(message, field))
        except MessageError:
            return frozenset()
    register = _REGISTERS.get(message.action)
    return frozenset({register}) if register else frozenset()


def believable_ns(updated_ns: int, now_seconds: float) -> int:
    """Take a time that is more than `MOST_AHEAD_SECONDS` ahead of our clock as now."""
    now_ns = _ns(now_seconds)
    return now_ns if updated_ns > now_ns + MOST_AHEAD_SECONDS * 10**9 else updated_ns


def is_ahead(updated_ns: int, now_seconds: float) -> bool:
    """Whether a time lies in the future, by our clock."""
    return updated_ns > _ns(now_seconds)


def incident_ns(message: Message, now_seconds: float) -> int:
    """Tell when Opsgenie made the alert, in nanoseconds since the epoch; 0 where that is unknown or not believable."""
    match = _ALERT_ID.fullmatch(text_of(message.alert, "alertId"))
    made_ns = int(match.group(1)) * 10**6 if match else 0
    return made_ns if believable_ns(made_ns, now_seconds) == made_ns else 0


def stale_registers(names: Iterable[str], newest_ns: Mapping[str, int], updated_ns: int) -> FrozenSet[str]:
    """Return those registers that have a newer time than `updated_ns`; none if that is 0, which is unknown."""
    return frozenset(name for name in names if 0 < updated_ns < newest_ns.get(name, 0))


def superseded(message: Message, newest_ns: Mapping[str, int], now_seconds: float) -> FrozenSet[str]:
    """Name those of its registers that something newer has written (`newest_ns`: as `writes` gave it).

    `ACT` is among them where another integration has brought the act already. A message without `updatedAt` is taken
    as the newest: it is better applied in doubt than lost.
    """
    updated_ns = believable_ns(message.updated_ns, now_seconds)
    if not updated_ns:
        return frozenset()
    written = registers(message)
    late = stale_registers(written, newest_ns, updated_ns)
    if stale_registers([INCIDENT], newest_ns, incident_ns(message, now_seconds)):
        late |= written & {STATE}
    return frozenset(late | {ACT} if is_recorded(message, newest_ns) else late)


def writes(message: Message, kind: Kind, now_seconds: float) -> Dict[str, int]:
    """Tell what to remember of an action that ended so: register (or `incident`) to nanoseconds since the epoch.

    For an attempt of which nobody knows how it ended, `kind` is APPLIED.
    """
    if not message.updated_ns or kind not in (Kind.APPLIED, Kind.ALREADY):
        return {}
    if kind is Kind.ALREADY and is_ahead(message.updated_ns, now_seconds):
        return act_names(message)
    updated_ns = believable_ns(message.updated_ns, now_seconds)
    written = {**dict.fromkeys(registers(message), updated_ns), **act_names(message)}
    incident = incident_ns(message, now_seconds)
    return {**written, INCIDENT: incident} if incident and STATE in written else written


def _ns(seconds: float) -> int:
    return int(seconds * 10**9)
