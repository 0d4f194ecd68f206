"""Rows of the journal, as objects and in the file. Instants are in seconds since the epoch."""

import json
import sqlite3
import zlib
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from alerta_opsgenie.journal.errors import JournalError


class New(NamedTuple):
    """An action to append."""

    key: str  # The idempotency key
    alert: str
    order_ns: int  # Order among the actions of the alert; equal ones by arrival
    kind: str
    body: str
    options: str = ""  # JSON text that travels with the action
    writes: str = ""  # JSON {field: updatedAt in ns} that it writes when done; '' for none
    words: str = ""  # A checksum of the texts in its history entry
    first_attempt_at: Optional[float] = None  # An attempt of unknown end may have begun then


class Action(NamedTuple):
    """A row: all of `New`, and its state."""

    id: int
    key: str
    alert: str
    order_ns: int
    kind: str
    body: str
    options: str
    writes: str
    words: str
    first_attempt_at: Optional[float]
    """After `claim`: of the earlier attempts; None: this is the first."""
    state: str  # `waiting`, `in-flight`, `done` or `dead`
    attempts: int
    accepted_at: float
    due_at: float
    since: float  # When it was accepted or retried; of a done or dead one, when it ended
    reason: str
    detail: str
    is_new: bool = False  # Whether this `append` has inserted it


class Counts(NamedTuple):
    """Numbers of actions. Ages count from acceptance and are 0 without an action."""

    waiting: int
    in_flight: int
    dead: int
    done: int
    oldest_waiting_seconds: float
    oldest_dead_seconds: float
    alerts: int  # Alerts with an action waiting or in flight


COLUMNS = (*Action._fields[:-1], "checksum")
_BODY = COLUMNS.index("body")
STATES = ("waiting", "in-flight", "done", "dead")
_TYPES: Dict[str, Any] = {
    "id": int, "order_ns": int, "attempts": int, "checksum": int, "body": bytes,
    "first_attempt_at": (int, float, type(None)), **dict.fromkeys(("accepted_at", "due_at", "since"), (int, float)),
}  # fmt: skip
_MOST_INTEGER = 2**63 - 1  # SQLite's largest: https://www.sqlite.org/datatype3.html


def action_of(new: New, now: float, state: str = "waiting", reason: str = "", detail: str = "") -> Action:
    """Return the row of a new action."""
    return Action(0, *new, state, 0, now, now, now, reason, detail)


def storable_text(text: str) -> str:
    """Return a text that SQLite can store: JSON can contain half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_row(action: Action) -> Tuple[Any, ...]:
    """Return the columns of an action in the file, without the id."""
    order_ns = max(-_MOST_INTEGER, min(action.order_ns, _MOST_INTEGER))
    fields = {**action._asdict(), "order_ns": order_ns, "body": action.body.encode("utf-8", "surrogatepass")}
    columns = [storable_text(value) if isinstance(value, str) else value for value in map(fields.get, COLUMNS[1:-1])]
    return (*columns, _checksum(columns[:8]))


def _checksum(fixed: Sequence[Any]) -> int:
    """Return a checksum of the columns that only change when an action ends. SQLite's pages have no checksums."""
    texts = "\0".join(map(str, (*fixed[:4], *fixed[5:])))
    return zlib.crc32(fixed[4], zlib.crc32(texts.encode("utf-8", "backslashreplace")))


def is_sound(row: Tuple[Any, ...]) -> bool:
    """Whether types, state and checksum of a row of `COLUMNS` are valid."""
    types_fit = all(isinstance(value, _TYPES.get(name, str)) for name, value in zip(COLUMNS, row))
    return types_fit and row[COLUMNS.index("state")] in STATES and row[-1] == _checksum(row[1:9])


def to_action(row: Tuple[Any, ...]) -> Action:
    """Convert a row of `COLUMNS`. Raises DatabaseError for an invalid one."""
    if not is_sound(row):
        raise sqlite3.DatabaseError("a row is malformed")
    body = row[_BODY].decode("utf-8", "surrogatepass")
    return Action._make((*row[:_BODY], body, *row[_BODY + 1 : -1], False))


# -- As JSON lines, for export and import

_LATEST = 1e12  # seconds since the epoch; and no NaN
_MOST_ATTEMPTS = 1 << 31


def to_line(action: Action) -> str:
    """Return an action as a JSON line."""
    return json.dumps({"v": 1, **action._asdict()})


def read_lines(lines: Iterable[str]) -> List[Action]:
    """Read lines of `to_line`. Raises JournalError (`input`) with the number of the line."""
    return [_read(line, place) for place, line in enumerate(lines, start=1) if line.strip()]


def _read(line: str, place: int) -> Action:
    try:
        value = json.loads(line)
        action = Action(id=0, **{name: value[name] for name in Action._fields[1:-1]})
        instants = (action.accepted_at, action.due_at, action.since, action.first_attempt_at or 0.0)
        if (
            value["v"] == 1
            and is_sound((0, *to_row(action)))
            and action.state != "done"
            and 0 <= action.attempts < _MOST_ATTEMPTS
            and all(abs(at) < _LATEST for at in instants)
        ):
            return action
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise JournalError(f"line {place} is not an exported action", "give it as `export` wrote it", "input")
