"""Which side of an alert was changed last: by what is known of it, never by a guess.

Why it is so: docs/decisions/0028-who-is-right.md.
"""

from typing import Callable, Mapping, Optional, Union

from .agreed import Agreed
from .sides import Seen

ALERTA, OPSGENIE = "alerta", "opsgenie"
DOUBT_SECONDS = 5.0
"""What rounding, and the way of a message, may come to."""

OPEN, ACK, SNOOZED, ENDED = "open", "acknowledged", "snoozed", "ended"

Both = Union[Seen, Agreed]


def state_of(seen: "Both") -> str:
    """Name the state; while an alert is snoozed nobody can see whether it is acknowledged."""
    if not seen.is_open:
        return ENDED
    if seen.snoozed_until is not None:
        return SNOOZED
    return ACK if seen.acknowledged else OPEN


def is_same_state(one: Both, other: Both) -> bool:
    """Whether two states are the same, the end of a snooze as far as people care."""
    if state_of(one) != state_of(other):
        return False
    ends = (one.snoozed_until or 0.0, other.snoozed_until or 0.0)
    return float("inf") in ends or abs(ends[0] - ends[1]) <= DOUBT_SECONDS


_Same = Callable[[Both, Both], bool]
SAME: Mapping[str, _Same] = {
    "state": is_same_state,
    "owner": lambda one, other: one.owner.casefold() == other.owner.casefold(),
    "priority": lambda one, other: one.priority == other.priority,
}


def newer(register: str, base: Optional[Agreed], a: Seen, v: Seen, doubt: float) -> Optional[str]:
    """Name the side that was changed last; None where nothing shows it."""
    known = a.from_bridge_at.get(register) or (base.at_seconds if base else 0.0)
    if 0 < v.changed < known - doubt:
        return ALERTA
    if register == "state":
        if a.from_bridge != v.from_bridge:
            return OPSGENIE if a.from_bridge else ALERTA
        if v.changed and a.since > v.changed + doubt:
            return ALERTA
        if a.changed and v.since > a.changed + doubt:
            return OPSGENIE
    same = SAME[register]
    if base is None or same(a, base) == same(v, base):
        return None
    return OPSGENIE if same(a, base) else ALERTA
