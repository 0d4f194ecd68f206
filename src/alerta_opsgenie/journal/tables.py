"""What is in a spool's file: its tables, version by version, and how a row is known to be whole."""

import sqlite3
import zlib
from typing import Any, Tuple

APPLICATION_ID = 0x414F5350  # "AOSP", so that another program's file is known for what it is

# One script per version, applied in order; the file's `user_version` tells how many it has had. Never edit one that
# was released. `lanes` can be made anew from `entries` at any time: it is there so that a claim need not look at
# every entry of every lane.
MIGRATIONS: Tuple[Tuple[str, ...], ...] = (
    (
        """CREATE TABLE entries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            lane TEXT NOT NULL,
            order_ns INTEGER NOT NULL,
            body BLOB NOT NULL,
            kind TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'dead')),
            attempts INTEGER NOT NULL,
            kept_at REAL NOT NULL,
            due_at REAL NOT NULL,
            reason TEXT NOT NULL,
            detail TEXT NOT NULL,
            attempted_at REAL,
            since REAL NOT NULL,
            owner TEXT NOT NULL DEFAULT '',
            leased_until REAL,
            claims INTEGER NOT NULL DEFAULT 0,
            checksum INTEGER NOT NULL
        )""",
        "CREATE INDEX entries_waiting ON entries (lane, order_ns, id) WHERE state = 'waiting'",
        "CREATE INDEX entries_leased ON entries (lane) WHERE leased_until IS NOT NULL",
        "CREATE INDEX entries_age ON entries (state, kept_at)",
        "CREATE TABLE lanes (lane TEXT PRIMARY KEY, ready_at REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX lanes_ready ON lanes (ready_at)",
        "CREATE TABLE delivered (key TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX delivered_age ON delivered (at)",
    ),
)

COLUMNS = (
    "id, key, lane, order_ns, body, kind, state, attempts, kept_at, due_at, reason, detail, attempted_at, since, owner,"
    " leased_until, claims, checksum"
)

FIXED = slice(1, 6)  # the columns that never change, in the order in which `checksum` takes them
_STATE = 6
_TYPES: Tuple[Tuple[type, ...], ...] = (
    (int,), (str,), (str,), (int,), (bytes,), (str,), (str,), (int,), (float,), (float,), (str,), (str,),
    (float, type(None)), (float,), (str,), (float, type(None)), (int,), (int,),
)


class BadRow(sqlite3.DatabaseError):
    """A row that is not as it was written, on a page that SQLite takes for a good one."""

    def __init__(self) -> None:
        super().__init__("a row is malformed")


def checksum(key: str, lane: str, order_ns: int, body: bytes, kind: str) -> int:
    """Of the parts of an entry that never change. SQLite itself would not notice: its pages have no checksums."""
    return zlib.crc32(body, zlib.crc32(f"{key}\0{lane}\0{order_ns}\0{kind}".encode()))


def is_sound(row: Tuple[Any, ...]) -> bool:
    """Whether a row of `COLUMNS` can have been written by us."""
    return (
        all(isinstance(value, types) for value, types in zip(row, _TYPES))
        and row[_STATE] in ("waiting", "dead")
        and row[-1] == checksum(*row[FIXED])
    )


def number(value: Any) -> float:
    """The value, if it is the number that it must be; else raises BadRow."""
    if not isinstance(value, (int, float)):
        raise BadRow
    return value


def settle(connection: sqlite3.Connection, lane: str) -> None:
    """Bring the row in `lanes` up to date: when the head of that lane may be claimed, or no row when it is empty."""
    head = connection.execute(
        "SELECT due_at FROM entries WHERE lane = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1", (lane,)
    ).fetchone()
    if head is None:
        connection.execute("DELETE FROM lanes WHERE lane = ?", (lane,))
        return
    (lease,) = connection.execute(
        "SELECT max(leased_until) FROM entries WHERE lane = ? AND leased_until IS NOT NULL", (lane,)
    ).fetchone()
    ready_at = number(head[0]) if lease is None else max(number(head[0]), number(lease))
    connection.execute("INSERT OR REPLACE INTO lanes (lane, ready_at) VALUES (?, ?)", (lane, ready_at))
