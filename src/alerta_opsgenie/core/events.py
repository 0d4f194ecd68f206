"""What happened to an alert in Alerta: named by its status before and after, and by its history."""

from enum import Enum
from typing import Callable, Mapping, Optional, Tuple

from .history import ENDED
from .wording import AlertValues


class Event(str, Enum):
    """What can happen to an alert in Alerta, as far as the other side can care."""

    RAISED = "raised"
    CHANGED = "severity changed"
    LOWERED = "severity changed to one that is not sent"
    REPEATED = "repeated"
    ACKED = "ack"
    UNACKED = "unack"
    SHELVED = "shelve"
    UNSHELVED = "unshelve, to open"
    UNSHELVED_TO_ACK = "unshelve, to ack"
    SHELVE_OVER = "shelve timed out, to open"
    SHELVE_OVER_TO_ACK = "shelve timed out, to ack"
    CLOSED = "close"
    EXPIRED = "expired"
    DELETED = "delete"
    ASSIGNED = "assign"
    NOTED = "note"


BLACKOUT = "blackout"
"""The status in which Alerta calls no plugin, so that nothing of the alert is told."""

_ENTERED: Mapping[str, Tuple[Event, ...]] = {"ack": (Event.ACKED,), "shelved": (Event.SHELVED,)}
"""What becoming that means, from whatever else it was."""

_STEPS: Mapping[Tuple[str, str, str], Tuple[Event, ...]] = {
    ("ack", "open", ""): (Event.UNACKED,),
    ("ack", "assign", ""): (Event.UNACKED,),
    ("shelved", "open", ""): (Event.UNSHELVED,),
    ("shelved", "assign", ""): (Event.UNSHELVED,),
    ("shelved", "ack", ""): (Event.UNSHELVED_TO_ACK,),
    # The snooze on the other side ends at the same instant, by itself, and re-opens the alert there.
    ("shelved", "open", "timeout"): (Event.SHELVE_OVER,),
    ("shelved", "ack", "timeout"): (Event.SHELVE_OVER_TO_ACK,),
}


_RAISED_FROM: Mapping[str, Tuple[Event, ...]] = {
    **dict.fromkeys(ENDED, (Event.RAISED,)),
    # Of what happened in the blackout nothing was told: the vendor may have the alert, with another severity.
    BLACKOUT: (Event.CHANGED,),
}
"""What it means that an alert is open again, by its status before."""


def changes(before: str, after: str, action: str) -> Tuple[Event, ...]:
    """Name what a change of Alerta's status means; `action` is empty where a status was set or an alert received."""
    assigned = (Event.ASSIGNED,) if action == "assign" or (after == "assign" and before != after) else ()
    if after in (before, BLACKOUT):
        return assigned
    if after in ENDED:
        return () if before in ENDED else (Event.EXPIRED if after == "expired" else Event.CLOSED,)
    raised = _RAISED_FROM.get(before, ())
    steps = _STEPS.get((before, after, action)) or _STEPS.get((before, after, "")) or _ENTERED.get(after, ())
    return (*raised, *steps, *assigned)


def receipt(alert: AlertValues) -> Tuple[Event, ...]:
    """Name what a received alert means."""
    if alert.is_new:
        return changes("closed", alert.status, "")
    moved = changes(_status_before_receipt(alert), alert.status, "")
    if alert.repeat:
        return moved or (Event.REPEATED,)
    if alert.status in ENDED or Event.RAISED in moved or Event.CHANGED in moved:
        return moved
    return (Event.CHANGED, *moved)


def _status_before_receipt(alert: AlertValues) -> str:
    """Read it from the history; where the receipt has left no entry it is that of now.

    Alerta's hook for a change of status is not called when an alert leaves a blackout. A history that holds one entry
    (HISTORY_LIMIT) does not tell; an alert that has ended may have been open then.
    """
    if not alert.history or alert.history[0].id != alert.received_id:
        return alert.status
    if len(alert.history) > 1:
        return alert.history[1].status or alert.status
    return "open" if alert.status in ENDED else alert.status


def before_receipt(alert: AlertValues) -> AlertValues:
    """Give the alert with its history as it was before the change that was just received."""
    newest = alert.history[:1]
    if newest and newest[0].change in ("severity", "status") and newest[0].id == alert.received_id:
        return alert._replace(history=alert.history[1:])
    return alert


def was_ever_open(alert: AlertValues) -> bool:
    """Whether somebody may have acted on the alert before; what began as normal and stayed so has no earlier outage."""
    is_whole = any(past.change == "new" for past in alert.history)
    return not is_whole or any(past.status and past.status not in ENDED for past in alert.history)


def is_known(alert: AlertValues, is_wanted: Callable[[str], bool]) -> Optional[bool]:
    """Whether the alert was sent since it was last opened, by its history; None: the history does not go back so far.

    `is_wanted` tells of a severity whether alerts of it are sent.
    """
    opened = False
    for past in (past for past in alert.history if past.status):
        if past.status in ENDED and opened:
            return False
        opened = opened or past.status not in ENDED
        if opened and past.status != BLACKOUT and is_wanted(past.severity):
            return True
        if past.change == "new":
            return False
    return None


def end_of(alert: AlertValues, change: str) -> Optional[float]:
    """Tell when the newest shelve or ack (`change`) ends, in seconds since the epoch; None: it does not end."""
    newest = max(
        (past for past in alert.history if past.change == change), key=lambda past: past.at_seconds, default=None
    )
    return newest.at_seconds + newest.timeout_seconds if newest and newest.timeout_seconds else None
