"""Which side changed a field of an alert last. The answer is derived from known facts, never guessed.

The reasons are in docs/decisions/0028-who-is-right.md.
"""

from typing import Callable, Mapping, Optional, Union

from .agreed import AgreedState
from .snapshot import AlertState

ALERTA, OPSGENIE = "alerta", "opsgenie"
DOUBT_SECONDS = 5.0
"""The tolerance when times are compared: rounding, and the delay of a message."""

OPEN, ACK, SNOOZED, ENDED = "open", "acknowledged", "snoozed", "ended"

AnyState = Union[AlertState, AgreedState]


def state_of(alert: AnyState) -> str:
    """Return the name of the state. A snoozed alert does not show whether it is acknowledged."""
    if not alert.is_open:
        return ENDED
    if alert.snoozed_until is not None:
        return SNOOZED
    return ACK if alert.acknowledged else OPEN


def is_same_state(one: AnyState, other: AnyState) -> bool:
    """Whether two states are the same. The ends of two snoozes may differ by `DOUBT_SECONDS`."""
    if state_of(one) != state_of(other):
        return False
    ends = (one.snoozed_until or 0.0, other.snoozed_until or 0.0)
    return float("inf") in ends or abs(ends[0] - ends[1]) <= DOUBT_SECONDS


IS_SAME: Mapping[str, Callable[[AnyState, AnyState], bool]] = {
    "state": is_same_state,
    "owner": lambda one, other: one.owner.casefold() == other.owner.casefold(),
    "priority": lambda one, other: one.priority == other.priority,
}


def last_changed_side(
    register: str, base: Optional[AgreedState], a: AlertState, v: AlertState, doubt: float
) -> Optional[str]:
    """Return the side that changed the register last, of Alerta (`a`) and the vendor (`v`); None if that is unknown."""
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
    is_same = IS_SAME[register]
    if base is None or is_same(a, base) == is_same(v, base):
        return None
    return OPSGENIE if is_same(a, base) else ALERTA
