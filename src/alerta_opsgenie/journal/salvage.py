"""What can still be read of a damaged file, carried over into a new one. Imported only when there is such a file."""

import contextlib
import os
import shutil
import sqlite3
from typing import Any, Iterator, Tuple

from alerta_opsgenie.journal.database import ALMOST_NOTHING
from alerta_opsgenie.journal.link import PAGE_BYTES, Link, open_connection
from alerta_opsgenie.journal.place import Place, open_private
from alerta_opsgenie.journal.tables import COLUMNS, is_sound, settle

_BUSY_SECONDS = 5.0
# Ids that are tried one by one from each side of the damage: a lost leaf holds a few rows, a lost inner page some
# thousands; and a scan that ends in an error has swallowed the row before it.
_GAP_IDS = 20_000
_COPY_BYTES = 1 << 20

_SELECT = f"SELECT {COLUMNS} FROM entries"  # noqa: S608 - a constant
_INSERT = f"INSERT OR IGNORE INTO entries ({COLUMNS}) VALUES ({','.join('?' * len(COLUMNS.split(',')))})"  # noqa: S608


def rescue(aside: str, target: str, place: Place) -> int:
    """Make `target` (which exists) a spool file with all that can be read of `aside`, and return the entries' number.

    `aside` and its log are only read. Where its first page is lost, or says more than the file is long, a copy gets
    a new file's first page: files of one version have their tables on the same pages. Raises SpoolUnavailable and
    sqlite3.Error when `target` fails.
    """
    scratch = target + ".graft"
    _start_over(target)
    link = Link(place, _BUSY_SECONDS, target)
    try:
        link.prepare()
        with link.transaction() as into:
            if not _copy(aside, into) and os.path.exists(aside):
                _graft(aside, scratch, place)
                _copy(scratch, into)
            for (lane,) in into.execute("SELECT DISTINCT lane FROM entries WHERE state = 'waiting'").fetchall():
                settle(into, lane)
        count = int(link.connection.execute("SELECT count(*) FROM entries").fetchone()[0])
        if link.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise place.busy(_BUSY_SECONDS)
    finally:
        link.connection.close()
        _remove(scratch)
    return count


def _start_over(path: str) -> None:
    """Empty `path` without ever removing it: that it exists is what says that the work is not done."""
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)
    os.truncate(path, 0)


def _remove(path: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _copy(source: str, into: sqlite3.Connection) -> bool:
    """Copy entries and delivered keys; False when not even the tables could be found."""
    # SQLite would remove the log of an empty file, even for a mere reader.
    if not os.path.exists(source) or os.path.getsize(source) <= ALMOST_NOTHING:
        return False
    with contextlib.closing(open_connection(source, _BUSY_SECONDS, "ro")) as connection:
        reader = _Reader(connection)
        if not list(reader.rows("SELECT 1 FROM sqlite_master WHERE name = 'entries'")):
            return False
        into.executemany(_INSERT, (row for row in reader.entries() if is_sound(row)))
        into.executemany("INSERT OR IGNORE INTO delivered (key, at) VALUES (?, ?)", reader.delivered())
        return True


class _Reader:
    """Reads towards the damage from both ends. Its errors end a scan: that there are some is why it is here."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._damaged = False
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")

    def rows(self, query: str, *parameters: object) -> Iterator[Tuple[Any, ...]]:
        try:
            yield from self._connection.execute(query, parameters)
        except sqlite3.Error:
            self._damaged = True

    def entries(self) -> Iterator[Tuple[Any, ...]]:
        last, self._damaged = 0, False
        for row in self.rows(f"{_SELECT} NOT INDEXED ORDER BY id"):
            last = row[0]
            yield row
        if self._damaged:
            first = self._highest() + 1
            for row in self.rows(f"{_SELECT} NOT INDEXED WHERE id > ? ORDER BY id DESC", last):
                first = row[0]
                yield row
            gap = range(last + 1, first)
            for number in {*gap[:_GAP_IDS], *gap[-_GAP_IDS:]}:
                yield from self.rows(f"{_SELECT} NOT INDEXED WHERE id = ?", number)

    def _highest(self) -> int:
        found = list(self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'entries'"))
        return found[0][0] if found and isinstance(found[0][0], int) else _GAP_IDS

    def delivered(self) -> Iterator[Tuple[Any, ...]]:
        for direction in ("ASC", "DESC"):
            self._damaged = False
            rows = self.rows(f"SELECT key, at FROM delivered ORDER BY key {direction}")  # noqa: S608
            yield from (row for row in rows if isinstance(row[0], str) and isinstance(row[1], float))
            if not self._damaged:
                return


def _graft(aside: str, scratch: str, place: Place) -> None:
    _remove(scratch)
    os.close(open_private(scratch, place))
    link = Link(place, _BUSY_SECONDS, scratch)
    try:
        link.prepare()
    finally:
        link.connection.close()
    try:
        with open(scratch, "r+b") as copy, open(aside, "rb") as old:
            old.seek(PAGE_BYTES)
            copy.seek(PAGE_BYTES)
            shutil.copyfileobj(old, copy, _COPY_BYTES)
            pages = -(-max(os.fstat(copy.fileno()).st_size, PAGE_BYTES) // PAGE_BYTES)
            copy.truncate(pages * PAGE_BYTES)
            copy.seek(28)  # the header's count of pages: https://www.sqlite.org/fileformat.html
            copy.write(pages.to_bytes(4, "big"))
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(aside + "-wal", scratch + "-wal")
    except OSError as error:
        raise place.failure(error) from error


