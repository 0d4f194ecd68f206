"""What a journal holds, as its callers see it, and the tables that hold it."""


import zlib
from typing import Any, Mapping, NamedTuple, Optional, Tuple

from alerta_opsgenie.journal.sqlite import sqlite3

APPLICATION_ID = 0x414F504A  # "AOPJ", so that another program's file is known for what it is

WAITING, IN_FLIGHT, DONE, DEAD = "waiting", "in-flight", "done", "dead"


class New(NamedTuple):
    """An action to append.

    `key` is its idempotency key. `order_ns` is its place among those of its alert (ns since the epoch). `options` is
    JSON that travels with it. `writes` is JSON: per field of the alert, the `updatedAt` (ns) that it writes. `words`
    stand for the line that it leaves in the alert's history. `first_attempt_at` (seconds since the epoch): an attempt
    of unknown end may have begun then.
    """

    key: str
    alert: str
    order_ns: int
    kind: str
    body: str
    options: str = ""
    writes: str = ""
    words: str = ""
    first_attempt_at: Optional[float] = None


class Action(NamedTuple):
    """A row. Instants are seconds since the epoch.

    `first_attempt_at` of an action that `claim` or `append` gave in flight is that of earlier attempts; None: this is
    the first. `is_new` says that this very `append` made the row.
    """

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
    state: str
    attempts: int
    accepted_at: float
    due_at: float
    since: float
    reason: str
    detail: str
    is_new: bool = False

    def __repr__(self) -> str:
        """Leave out the body: it may be long, or private."""
        return f"Action({self.id}, {self.kind} {self.alert}, {self.state}, {self.reason!r}, attempts={self.attempts})"


class Memory(NamedTuple):
    """What is known of an alert: per field the newest `updatedAt` (ns) of all that was done, or tried with no end."""

    newest_ns: Mapping[str, int]


class Counts(NamedTuple):
    """What a journal holds. Ages count from the accepting, in seconds; 0 where there is nothing."""

    waiting: int
    in_flight: int
    dead: int
    done: int
    alerts: int
    oldest_waiting_seconds: float
    oldest_dead_seconds: float


# One script per version, applied in order; the file's `user_version` tells how many it has had. Never edit one that
# was released. `alerts` can be made anew from `actions` at any time: it has the alerts with something waiting and
# nothing in flight, so that a claim need not look at every action.
MIGRATIONS: Tuple[Tuple[str, ...], ...] = (
    (
        """CREATE TABLE actions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            alert TEXT NOT NULL,
            order_ns INTEGER NOT NULL,
            kind TEXT NOT NULL,
            body TEXT NOT NULL,
            options TEXT NOT NULL,
            writes TEXT NOT NULL,
            words TEXT NOT NULL,
            first_attempt_at REAL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'in-flight', 'done', 'dead')),
            attempts INTEGER NOT NULL,
            accepted_at REAL NOT NULL,
            due_at REAL NOT NULL,
            since REAL NOT NULL,
            reason TEXT NOT NULL,
            detail TEXT NOT NULL,
            checksum INTEGER NOT NULL
        )""",
        "CREATE INDEX actions_waiting ON actions (alert, order_ns, id) WHERE state = 'waiting'",
        "CREATE INDEX actions_in_flight ON actions (alert) WHERE state = 'in-flight'",
        "CREATE INDEX actions_words ON actions (alert, words) WHERE state = 'done' AND words != ''",
        "CREATE INDEX actions_done ON actions (since) WHERE state = 'done'",
        "CREATE INDEX actions_age ON actions (state, accepted_at)",
        "CREATE TABLE alerts (alert TEXT PRIMARY KEY, due_at REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX alerts_due ON alerts (due_at)",
        """CREATE TABLE newest (alert TEXT NOT NULL, field TEXT NOT NULL, updated_ns INTEGER NOT NULL, at REAL NOT NULL,
            PRIMARY KEY (alert, field)) WITHOUT ROWID""",
        "CREATE INDEX newest_age ON newest (at)",
    ),
)

FIELDS = Action._fields[:-1]
COLUMNS = ", ".join((*FIELDS, "checksum"))
_BODY, _STATE = FIELDS.index("body"), FIELDS.index("state")
_NONE = type(None)
_TYPES: Tuple[Tuple[type, ...], ...] = (
    (int,), (str,), (str,), (int,), (str,), (str,), (str,), (str,), (str,), (float, _NONE), (str,), (int,), (float,),
    (float,), (float,), (str,), (str,), (int,),
)  # fmt: skip


def checksum(key: str, alert: str, order_ns: int, kind: str, body: str, options: str, writes: str) -> int:
    """Of what changes only when an action is done. SQLite's pages have no checksums of their own."""
    text = "\0".join((key, alert, str(order_ns), kind, body, options, writes))
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def is_sound(row: Tuple[Any, ...]) -> bool:
    """Whether a row of `COLUMNS` can have been written by us."""
    return (
        len(row) == len(_TYPES)
        and all(isinstance(value, types) for value, types in zip(row, _TYPES))
        and row[_STATE] in (WAITING, IN_FLIGHT, DONE, DEAD)
        and row[-1] == checksum(*row[1:8])
    )


def action_of(row: Tuple[Any, ...]) -> Action:
    """Make an action of a row of `COLUMNS`. Raises sqlite3.DatabaseError where it is not as it was written."""
    if not is_sound(row):
        raise sqlite3.DatabaseError("a row is malformed")
    return Action(*row[:-1])


def plain(text: str) -> str:
    """Give the text as SQLite can hold it: half a surrogate pair, which JSON may contain, becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
