"""Read Alerta's response to GET alert: status, shelve, outage, and the history entry of an earlier attempt.

The times of received alerts are set by their senders and can be wrong. So no such time counts as later than the alert's
last change of status, whose time Alerta sets (`updateTime`).
"""

from typing import AbstractSet, Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .alarm_model import meaning
from .instants import iso_seconds
from .message import text_of
from .outcome import Answer

CLOCK_DOUBT_SECONDS = 2.0
"""The error that rounding in the Date header and in Alerta's times can cause."""

ENDED = frozenset({"closed", "expired"})
"""Alerta's statuses in which nobody has to act."""

SAME_END_SECONDS = 5.0
"""Ends of snoozes that differ by less are the same: two different snoozes end minutes apart."""

_MOST_SECONDS = 2**31  # PostgreSQL's integer: Alerta cannot have written a larger timeout
KINDS_WITHOUT_STATUS = frozenset({"note", "dismiss"})
"""Types of history entries whose status is not a change of status."""


class OwnLine(NamedTuple):
    """What the history entry of an earlier attempt looks like.

    `texts` are its possible texts, `statuses` its possible statuses (None: any). `shelved_until_seconds` is the end of
    the shelve by our clock (None: it is no shelve). `is_note`: the entry is a note, whose text can be equal to that of
    a change of state.

    A person can do the same action twice. Actions on one alert are done in order, so if a later entry of the bridge
    follows an equal entry, the equal entry belongs to an older action. A later entry begins with one of `later_begin`
    and contains `later_have`.
    """

    texts: AbstractSet[str]
    statuses: Optional[AbstractSet[str]] = None
    shelved_until_seconds: Optional[float] = None
    later_begin: Tuple[str, ...] = ()
    later_have: str = ""
    is_note: bool = False


class _Line(NamedTuple):
    """A history entry; `at_seconds` is by Alerta's clock, since the epoch."""

    at_seconds: float
    kind: str
    status: str
    text: str
    timeout_seconds: Optional[int]


def status_of(look: Answer) -> str:
    """Return the alert's status in the default alarm model; an empty string if the response has no alert."""
    return meaning(text_of(_alert(look), "status"))


def is_of_another_model(look: Answer) -> bool:
    """Whether the alert's status is of another alarm model than the default."""
    return status_of(look) != text_of(_alert(look), "status")


def is_shelved_until(look: Answer, end_seconds: float) -> bool:
    """Whether the newest shelve in the history ends at `end_seconds` (our clock), give or take `SAME_END_SECONDS`."""
    ends = [end for line in _lines(look) if (end := _end_of(line)) is not None]
    return bool(ends) and _is_same_end(ends[-1] - look.clock_ahead_seconds, end_seconds)


def shelved_since_seconds(look: Answer) -> Optional[float]:
    """Return when (our clock) the alert was shelved; None if it is not shelved, or if the history does not show it."""
    begun = [line.at_seconds for line in _lines(look) if line.kind == "shelve"]
    return begun[-1] - look.clock_ahead_seconds if begun and status_of(look) == "shelved" else None


def opened_seconds(look: Answer) -> Optional[float]:
    """Return when (our clock) the alert was created or re-opened; None if the history does not show it."""
    changed = iso_seconds(text_of(_alert(look), "updateTime"))
    opened = _opened_by_lines(look, changed)
    return None if opened is None else min(opened, changed or opened) - look.clock_ahead_seconds


def _opened_by_lines(look: Answer, changed: Optional[float]) -> Optional[float]:
    opened, before = None, ""
    for line in _lines(look):
        if line.kind in KINDS_WITHOUT_STATUS or not line.status:
            continue
        if line.status not in ENDED and (line.kind == "new" or before in ENDED):
            opened = line.at_seconds
        before = line.status
    # If the sender's clock is behind, the entry of the re-opening is sorted before the close that it followed.
    return changed if before in ENDED and status_of(look) not in ENDED else opened


def has_line(look: Answer, own: OwnLine, since_seconds: float, equal_lines: int) -> bool:
    """Whether an attempt that began at `since_seconds` (our clock) has written its history entry.

    `equal_lines` is the number of other actions that have written an equal entry since then.
    """
    ahead_seconds = look.clock_ahead_seconds
    earliest_seconds = since_seconds + ahead_seconds - CLOCK_DOUBT_SECONDS
    found, is_newest = 0, False
    for line in _lines(look):
        if (line.kind == "note") != own.is_note:
            continue
        if line.at_seconds >= earliest_seconds and _is_own(own, line, ahead_seconds):
            found, is_newest = found + 1, True
        elif line.text.startswith(own.later_begin) and own.later_have in line.text:
            is_newest = False
    return is_newest and found > equal_lines


def _is_own(own: OwnLine, line: _Line, ahead_seconds: float) -> bool:
    if line.text not in own.texts or not (own.statuses is None or line.status in own.statuses):
        return False
    end = _end_of(line)
    until = own.shelved_until_seconds
    return until is None or (end is not None and _is_same_end(end - ahead_seconds, until))


def _is_same_end(end_seconds: float, other_seconds: float) -> bool:
    return abs(end_seconds - other_seconds) <= SAME_END_SECONDS


def _end_of(line: _Line) -> Optional[float]:
    if line.kind != "shelve" or line.timeout_seconds is None:
        return None
    return line.at_seconds + line.timeout_seconds


def _lines(look: Answer) -> List[_Line]:
    """Return the history entries with a valid time, the oldest first."""
    return sorted(_read_lines(look), key=lambda line: line.at_seconds)


def _read_lines(look: Answer) -> Iterator[_Line]:
    history = _alert(look).get("history")
    for entry in history if isinstance(history, list) else []:
        if isinstance(entry, dict):
            at_seconds = iso_seconds(text_of(entry, "updateTime"))
            if at_seconds is not None:
                kind, status, text = (text_of(entry, name) for name in ("type", "status", "text"))
                yield _Line(at_seconds, kind, meaning(status), text, _timeout_seconds(entry))


def _timeout_seconds(entry: Mapping[str, Any]) -> Optional[int]:
    timeout = entry.get("timeout")
    return timeout if isinstance(timeout, int) and 0 <= timeout < _MOST_SECONDS else None


def _alert(answer: Answer) -> Mapping[str, Any]:
    alert = answer.body.get("alert") if answer.ok else None
    return alert if isinstance(alert, dict) else {}
