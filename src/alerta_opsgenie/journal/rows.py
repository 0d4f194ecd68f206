"""What a row of the journal holds, for its callers and in the file. Instants: seconds since the epoch."""

import json
import sqlite3
import zlib
from typing import Any, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from alerta_opsgenie.journal.errors import JournalError


class New(NamedTuple):
    """An action to append."""

    key: str
    """The idempotency key: what makes it the same action when it comes again."""
    alert: str
    order_ns: int
    """Place among the actions of the alert; equal ones go by arrival."""
    kind: str
    body: str
    options: str = ""
    """JSON text that travels with the action."""
    writes: str = ""
    """JSON {field: updatedAt in ns} that it will write when done; '' for none."""
    words: str = ""
    """Stands for the line that it leaves in the alert's history."""
    first_attempt_at: Optional[float] = None
    """An attempt of unknown end may have begun then."""


class Action(NamedTuple):
    """A row: all of `New`, and what became of it."""

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
    """Of an action that was given in flight just now: of earlier attempts; None: this is the first."""
    state: str
    """`waiting`, `in-flight`, `done` or `dead`."""
    attempts: int
    accepted_at: float
    due_at: float
    since: float
    """When it was accepted or retried; of a done or dead one, when it ended."""
    reason: str
    detail: str
    is_new: bool = False
    """Whether the very `append` that gave it has made it."""


class Memory(NamedTuple):
    """What is known of an alert: per field the newest updatedAt that was written, or may have been."""

    newest_ns: Mapping[str, int]


class Counts(NamedTuple):
    """What lies in a journal. Ages count from the accepting and are 0 where nothing lies."""

    waiting: int
    in_flight: int
    dead: int
    done: int
    oldest_waiting_seconds: float
    oldest_dead_seconds: float
    alerts: int
    """Alerts of which something waits or is in flight."""


COLUMNS = (
    "id, key, alert, order_ns, kind, body, options, writes, words, first_attempt_at, state, attempts, accepted_at,"
    " due_at, since, reason, detail, checksum"
)
STATES = ("waiting", "in-flight", "done", "dead")

_FIXED = slice(1, 9)  # the columns that `checksum` covers
_STATE, _BODY = 10, 5
_NUMBER = (int, float)
_TYPES: Tuple[Tuple[type, ...], ...] = (
    (int,), (str,), (str,), (int,), (str,), (bytes,), (str,), (str,), (str,), (int, float, type(None)), (str,), (int,),
    _NUMBER, _NUMBER, _NUMBER, (str,), (str,), (int,),
)  # fmt: skip
_MOST_INTEGER = 2**63 - 1  # SQLite's largest: https://www.sqlite.org/datatype3.html


class BadRowError(sqlite3.DatabaseError):
    """A row that is not as it was written, on a page that SQLite takes for a good one."""

    def __init__(self) -> None:
        super().__init__("a row is malformed")


def plain(text: str) -> str:
    """Give the text as SQLite can hold it: JSON may hold half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def fixed_columns(new: New) -> Tuple[Any, ...]:
    """Give the columns of `New` but for `first_attempt_at`, as they lie in the file."""
    order_ns = max(-_MOST_INTEGER, min(new.order_ns, _MOST_INTEGER))
    body = new.body.encode("utf-8", "surrogatepass")
    return (plain(new.key), plain(new.alert), order_ns, plain(new.kind), body, *map(plain, new[5:8]))


def checksum(fixed: Tuple[Any, ...]) -> int:
    """Sum up the columns that only change when an action ends. SQLite's own pages have no checksums."""
    *texts, body = (*fixed[:4], *fixed[5:], fixed[4])
    return zlib.crc32(body, zlib.crc32("\0".join(map(str, texts)).encode("utf-8", "backslashreplace")))


def is_sound(row: Tuple[Any, ...]) -> bool:
    """Whether a row of `COLUMNS` can have been written by us."""
    types_fit = all(isinstance(value, types) for value, types in zip(row, _TYPES))
    return types_fit and row[_STATE] in STATES and row[-1] == checksum(row[_FIXED])


def to_action(row: Tuple[Any, ...]) -> Action:
    """Make an action of a row of `COLUMNS`. Raises BadRowError."""
    if not is_sound(row):
        raise BadRowError
    body = row[_BODY].decode("utf-8", "surrogatepass")
    return Action._make((*row[:_BODY], body, *row[_BODY + 1 : -1], False))


def number(value: Any) -> float:
    """Give the value if it is the number that it must be. Raises BadRowError."""
    if not isinstance(value, (int, float)):
        raise BadRowError
    return value


# -- As JSON lines, to be carried to another host by hand

_LATEST = 1e12  # seconds since the epoch; and no NaN
_MOST_ATTEMPTS = 1 << 31


def to_line(action: Action) -> str:
    """Write an action."""
    return json.dumps({"v": 1, **action._asdict()})


def read_lines(lines: Iterable[str]) -> List[Action]:
    """Read what `to_line` wrote. Raises JournalError (`input`) that names the line."""
    return [_read(line, place) for place, line in enumerate(lines, start=1) if line.strip()]


def _read(line: str, place: int) -> Action:
    try:
        value = json.loads(line)
        action = Action(id=0, **{name: value[name] for name in Action._fields if name not in ("id", "is_new")})
        if value["v"] == 1 and _is_sound(action):
            return action
    except (ValueError, KeyError, TypeError):
        pass
    raise JournalError(f"line {place} is not an exported action", "give it as `export` wrote it", "input")


def _is_sound(action: Action) -> bool:
    texts = (*action[1:3], *action[4:9], action.reason, action.detail)
    instants = (action.accepted_at, action.due_at, action.since, action.first_attempt_at or 0.0)
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(at, (int, float)) and abs(at) < _LATEST for at in instants)
        and type(action.order_ns) is int
        and type(action.attempts) is int
        and 0 <= action.attempts < _MOST_ATTEMPTS
        and action.state in ("waiting", "in-flight", "dead")
    )
