"""Events of an alert in Alerta, derived from its status before and after, and from its history."""

from enum import Enum
from typing import Callable, Mapping, Optional, Tuple

from .history import ENDED
from .wording import AlertValues


class Event(str, Enum):
    """The events of an alert in Alerta that can matter to the vendor."""

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
"""The status in which Alerta calls no plugin, so nothing of the alert is sent."""

_ENTERED: Mapping[str, Tuple[Event, ...]] = {"ack": (Event.ACKED,), "shelved": (Event.SHELVED,)}
"""The events of a new status, whatever the status before."""

_STEPS: Mapping[Tuple[str, str, str], Tuple[Event, ...]] = {
    ("ack", "open", ""): (Event.UNACKED,),
    ("ack", "assign", ""): (Event.UNACKED,),
    ("shelved", "open", ""): (Event.UNSHELVED,),
    ("shelved", "assign", ""): (Event.UNSHELVED,),
    ("shelved", "ack", ""): (Event.UNSHELVED_TO_ACK,),
    # The vendor's snooze ends at the same time and re-opens the alert there.
    ("shelved", "open", "timeout"): (Event.SHELVE_OVER,),
    ("shelved", "ack", "timeout"): (Event.SHELVE_OVER_TO_ACK,),
}

_RAISED_FROM: Mapping[str, Tuple[Event, ...]] = {
    **dict.fromkeys(ENDED, (Event.RAISED,)),
    # Nothing was sent during the blackout: the vendor may have the alert with another severity.
    BLACKOUT: (Event.CHANGED,),
}
"""The events of an alert that is open again, by its status before."""


def changes(before: str, after: str, action: str) -> Tuple[Event, ...]:
    """Return the events of a change of status; `action` is empty if a status was set or an alert was received."""
    assigned = (Event.ASSIGNED,) if action == "assign" or (after == "assign" and before != after) else ()
    if after in (before, BLACKOUT):
        return assigned
    if after in ENDED:
        return () if before in ENDED else (Event.EXPIRED if after == "expired" else Event.CLOSED,)
    raised = _RAISED_FROM.get(before, ())
    steps = _STEPS.get((before, after, action)) or _STEPS.get((before, after, "")) or _ENTERED.get(after, ())
    return (*raised, *steps, *assigned)


def receipt(alert: AlertValues) -> Tuple[Event, ...]:
    """Return the events of a received alert."""
    if alert.is_new:
        return changes("closed", alert.status, "")
    moved = changes(_status_before_receipt(alert), alert.status, "")
    if alert.repeat:
        return moved or (Event.REPEATED,)
    if alert.status in ENDED or Event.RAISED in moved or Event.CHANGED in moved:
        return moved
    return (Event.CHANGED, *moved)


def _status_before_receipt(alert: AlertValues) -> str:
    """Read it from the history. If the receipt has written no entry, the status has not changed.

    Alerta does not call the hook for a change of status when an alert leaves a blackout. A history of one entry
    (HISTORY_LIMIT) does not show it; an alert that has ended counts as open before.
    """
    if not alert.history or alert.history[0].id != alert.received_id:
        return alert.status
    if len(alert.history) > 1:
        return alert.history[1].status or alert.status
    return "open" if alert.status in ENDED else alert.status


def before_receipt(alert: AlertValues) -> AlertValues:
    """Return the alert with the history before the change that was just received."""
    newest = alert.history[:1]
    if newest and newest[0].change in ("severity", "status") and newest[0].id == alert.received_id:
        return alert._replace(history=alert.history[1:])
    return alert


def may_have_earlier_outage(alert: AlertValues) -> bool:
    """Whether the alert may have been open before. One that was always normal has no earlier outage."""
    is_whole = any(entry.change == "new" for entry in alert.history)
    return not is_whole or any(entry.status and entry.status not in ENDED for entry in alert.history)


def is_known(alert: AlertValues, is_wanted: Callable[[str], bool]) -> Optional[bool]:
    """Whether the alert was sent since it was last opened, by its history; None: the history does not go back so far.

    `is_wanted` returns whether alerts of a severity are sent.
    """
    opened = False
    for entry in (entry for entry in alert.history if entry.status):
        if entry.status in ENDED and opened:
            return False
        opened = opened or entry.status not in ENDED
        if opened and entry.status != BLACKOUT and is_wanted(entry.severity):
            return True
        if entry.change == "new":
            return False
    return None


def end_of(alert: AlertValues, change: str) -> Optional[float]:
    """Return the end of the newest shelve or ack (`change`), in seconds since the epoch; None: it does not end."""
    newest = max(
        (entry for entry in alert.history if entry.change == change), key=lambda entry: entry.at_seconds, default=None
    )
    return newest.at_seconds + newest.timeout_seconds if newest and newest.timeout_seconds else None
