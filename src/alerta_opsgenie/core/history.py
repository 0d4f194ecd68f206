"""What a look at an alert tells: its status, its shelve, its outage, and whether an earlier attempt left its line.

The times of alerts that came in are their senders' claims. So no such time counts as later than the alert's last
change of status, which Alerta itself dates (`updateTime`).
"""

from typing import AbstractSet, Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .alarm_model import meaning
from .instants import iso_seconds
from .message import text_of
from .outcome import Answer

CLOCK_DOUBT_SECONDS = 2.0
"""What rounding in the Date header and in Alerta's own times may come to."""

ENDED = frozenset({"closed", "expired"})
"""Alerta's statuses in which nobody is asked to do anything."""

SAME_END_SECONDS = 5.0
"""Two snoozes that people meant differently are minutes apart."""

_MOST_SECONDS = 2**31  # what PostgreSQL's integer holds; a larger timeout is none that Alerta wrote
OF_NO_STATUS = frozenset({"note", "dismiss"})
"""Kinds of lines whose status says nothing."""


class OwnLine(NamedTuple):
    """The line of history by which an earlier attempt of an action is known again.

    `texts` are the texts that it can have, `statuses` the statuses that it can show (None: any).
    `shelved_until_seconds` is when the shelve that it begins ends, by our clock (None: it begins none).

    The same person may have done the same twice. Actions on one alert are done in their order, so a line of ours that
    stands behind an equal one (it begins as one of `later_begin`, and has `later_have` in it) shows that the equal one
    belongs to an older action. `is_note`: the line is a note's, which can read like a change of state.
    """

    texts: AbstractSet[str]
    statuses: Optional[AbstractSet[str]] = None
    shelved_until_seconds: Optional[float] = None
    later_begin: Tuple[str, ...] = ()
    later_have: str = ""
    is_note: bool = False


class _Line(NamedTuple):
    """A line of history; `at_seconds` is Alerta's clock, since the epoch."""

    at_seconds: float
    kind: str
    status: str
    text: str
    timeout_seconds: Optional[int]


def status_of(look: Answer) -> str:
    """Give the alert's status, in the usual alarm model's words; an empty string where the answer shows no alert."""
    return meaning(text_of(_alert(look), "status"))


def is_of_another_model(look: Answer) -> bool:
    """Whether the alert's status is not one of the usual alarm model's."""
    return status_of(look) != text_of(_alert(look), "status")


def is_shelved_until(look: Answer, end_seconds: float) -> bool:
    """Whether the newest shelve in the history ends at `end_seconds` (our clock), as far as people care."""
    ends = [end for line in _lines(look) if (end := _end_of(line)) is not None]
    return bool(ends) and _is_same_end(ends[-1] - look.clock_ahead_seconds, end_seconds)


def shelved_since_seconds(look: Answer) -> Optional[float]:
    """Tell since when (our clock) the alert is shelved; None where it is not, or where the history does not say."""
    begun = [line.at_seconds for line in _lines(look) if line.kind == "shelve"]
    return begun[-1] - look.clock_ahead_seconds if begun and status_of(look) == "shelved" else None


def opened_seconds(look: Answer) -> Optional[float]:
    """Tell when (our clock) the alert came, or came again after its end; None where the history does not say."""
    changed = iso_seconds(text_of(_alert(look), "updateTime"))
    opened = _opened_by_lines(look, changed)
    return None if opened is None else min(opened, changed or opened) - look.clock_ahead_seconds


def _opened_by_lines(look: Answer, changed: Optional[float]) -> Optional[float]:
    opened, before = None, ""
    for line in _lines(look):
        if line.kind in OF_NO_STATUS or not line.status:
            continue
        if line.status not in ENDED and (line.kind == "new" or before in ENDED):
            opened = line.at_seconds
        before = line.status
    # The line of an alert whose sender's clock is behind stands before the close that it came after.
    return changed if before in ENDED and status_of(look) not in ENDED else opened


def has_line(look: Answer, own: OwnLine, since_seconds: float, equal_lines: int) -> bool:
    """Whether an attempt that began at `since_seconds` (our clock) has left its line.

    `equal_lines` is how many other actions are known to have left the same line since then.
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
    """Give the lines whose time can be read, the oldest first."""
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
