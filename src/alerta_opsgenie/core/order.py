"""The order of actions on one alert, so that an older action that arrives late does not undo a newer one.

Each action writes registers: the state, the owner, the priority, each tag. For each register the newest `updatedAt`
that wrote it is stored. An action is stale if newer actions have written all its registers. Notes write no register.
An `updatedAt` is set by the sender, whose clock can be wrong by accident or on purpose:

| `updatedAt` is | of an action that changed the alert | of an action that found nothing to change |
|---|---|---|
| in the past | is stored | is stored |
| up to 2 minutes ahead of our clock | is stored | is not stored |
| further ahead | the current time is stored | is not stored |

Opsgenie creates a new alert for each outage, and its `alertId` ends in the time of creation (`incident`). A change of
state on an earlier alert of Opsgenie is stale.
"""

import re
from typing import Dict, FrozenSet, Iterable, Mapping

from .duplicates import RECORD, action_records, is_duplicate
from .message import Message, MessageError, tags, text_of
from .outcome import Kind

STATE = "state"
INCIDENT = "incident"
"""When Opsgenie created the newest of its alerts that changed the state, in nanoseconds since the epoch."""

MOST_AHEAD_SECONDS = 120
"""How far a sender's time may be ahead of our clock and still be used."""

_REGISTERS: Mapping[str, str] = {
    **dict.fromkeys(("Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete"), STATE),
    **dict.fromkeys(("AssignOwnership", "TakeOwnership"), "owner"),
    "UpdatePriority": "priority",
}
_TAG_FIELDS: Mapping[str, str] = {"AddTags": "addedTags", "RemoveTags": "removedTags"}
# `<UUID>-<milliseconds since the epoch>` in the vendor's examples and in every capture.
_ALERT_ID = re.compile(r"[0-9a-f-]{36}-(\d{12,14})", re.IGNORECASE | re.ASCII)


def registers(message: Message) -> FrozenSet[str]:
    """Return the registers that the action writes."""
    field = _TAG_FIELDS.get(message.action)
    if field:
        try:
            return frozenset(f"tag:{tag}" for tag in tags(message, field))
        except MessageError:
            return frozenset()
    register = _REGISTERS.get(message.action)
    return frozenset({register}) if register else frozenset()


def believable_ns(updated_ns: int, now_seconds: float) -> int:
    """Return the time; the current time if it is more than `MOST_AHEAD_SECONDS` ahead of our clock."""
    now_ns = _ns(now_seconds)
    return now_ns if updated_ns > now_ns + MOST_AHEAD_SECONDS * 10**9 else updated_ns


def is_ahead(updated_ns: int, now_seconds: float) -> bool:
    """Whether a time is in the future by our clock."""
    return updated_ns > _ns(now_seconds)


def incident_ns(message: Message, now_seconds: float) -> int:
    """Return when Opsgenie created the alert, in nanoseconds since the epoch; 0 if unknown or too far in the future."""
    match = _ALERT_ID.fullmatch(text_of(message.alert, "alertId"))
    made_ns = int(match.group(1)) * 10**6 if match else 0
    return made_ns if believable_ns(made_ns, now_seconds) == made_ns else 0


def stale_registers(names: Iterable[str], newest_ns: Mapping[str, int], updated_ns: int) -> FrozenSet[str]:
    """Return those registers that have a newer time than `updated_ns`; none if that is 0, which is unknown."""
    return frozenset(name for name in names if 0 < updated_ns < newest_ns.get(name, 0))


def superseded(message: Message, newest_ns: Mapping[str, int], now_seconds: float) -> FrozenSet[str]:
    """Return those of its registers that a newer action has written (`newest_ns`: as returned by `writes`).

    `RECORD` is among them if another integration has delivered the same action. A message without `updatedAt` counts
    as the newest: to apply it is better than to lose it.
    """
    updated_ns = believable_ns(message.updated_ns, now_seconds)
    if not updated_ns:
        return frozenset()
    written = registers(message)
    late = stale_registers(written, newest_ns, updated_ns)
    if stale_registers([INCIDENT], newest_ns, incident_ns(message, now_seconds)):
        late |= written & {STATE}
    return frozenset(late | {RECORD} if is_duplicate(message, newest_ns) else late)


def writes(message: Message, kind: Kind, now_seconds: float) -> Dict[str, int]:
    """Return what to store of an action with that outcome: register (or `incident`) to nanoseconds since the epoch.

    For an attempt whose end is unknown, `kind` is APPLIED.
    """
    if not message.updated_ns or kind not in (Kind.APPLIED, Kind.ALREADY):
        return {}
    if kind is Kind.ALREADY and is_ahead(message.updated_ns, now_seconds):
        return action_records(message)
    updated_ns = believable_ns(message.updated_ns, now_seconds)
    written = {**dict.fromkeys(registers(message), updated_ns), **action_records(message)}
    incident = incident_ns(message, now_seconds)
    return {**written, INCIDENT: incident} if incident and STATE in written else written


def _ns(seconds: float) -> int:
    return int(seconds * 10**9)
