"""What can still be read of a damaged file, carried over into a new one."""

import contextlib
from typing import Any, Iterator, Tuple

from alerta_opsgenie.journal.rows import COLUMNS, is_sound
from alerta_opsgenie.journal.sqlite import sqlite3

# Ids that are tried one by one from each side of the damage: a lost leaf holds a few rows, a lost inner page some
# thousands.
_GAP_IDS = 20_000

_SELECT = f"SELECT {COLUMNS} FROM actions NOT INDEXED"  # noqa: S608 - a constant
_INSERT = f"INSERT OR IGNORE INTO actions ({COLUMNS}) VALUES ({','.join('?' * len(COLUMNS.split(',')))})"  # noqa: S608
_NEWEST = "INSERT OR IGNORE INTO newest (alert, field, updated_ns, at) VALUES (?, ?, ?, ?)"


def salvage(damaged: str, new: str) -> int:
    """Copy what is sound from one file into another, which has its tables; gives how many actions.

    Raises sqlite3.Error where the new file fails.
    """
    source = sqlite3.connect(f"file:{damaged}?mode=ro", uri=True)
    source.text_factory = lambda raw: raw.decode("utf-8", "replace")
    into = sqlite3.connect(new, isolation_level=None)
    with contextlib.closing(source), contextlib.closing(into):
        into.execute("BEGIN IMMEDIATE")
        into.executemany(_INSERT, (row for row in _actions(source) if is_sound(row)))
        rows = _rows(source, "SELECT alert, field, updated_ns, at FROM newest")
        into.executemany(_NEWEST, (row for row in rows if isinstance(row[2], int) and isinstance(row[3], float)))
        into.execute(
            "INSERT INTO alerts SELECT alert, min(due_at) FROM actions WHERE state = 'waiting' AND alert NOT IN"
            " (SELECT alert FROM actions WHERE state = 'in-flight') GROUP BY alert"
        )
        count = int(into.execute("SELECT count(*) FROM actions").fetchone()[0])
        into.execute("COMMIT")
        into.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def _rows(source: sqlite3.Connection, query: str, *values: object) -> Iterator[Tuple[Any, ...]]:
    """Read until the damage: an error ends the scan, and that there are some is why we are here."""
    with contextlib.suppress(sqlite3.Error):
        yield from source.execute(query, values)


def _actions(source: sqlite3.Connection) -> Iterator[Tuple[Any, ...]]:
    """Read towards the damage from both ends, and then id by id between them."""
    first, last = 0, _highest(source) + 1
    for row in _rows(source, f"{_SELECT} ORDER BY id"):
        first = row[0]
        yield row
    for row in _rows(source, f"{_SELECT} WHERE id > ? ORDER BY id DESC", first):
        last = row[0]
        yield row
    gap = range(first + 1, last)
    for number in sorted({*gap[:_GAP_IDS], *gap[-_GAP_IDS:]}):
        yield from _rows(source, f"{_SELECT} WHERE id = ?", number)


def _highest(source: sqlite3.Connection) -> int:
    found = next(_rows(source, "SELECT seq FROM sqlite_sequence WHERE name = 'actions'"), None)
    return found[0] if found and isinstance(found[0], int) else _GAP_IDS
