"""Copy the readable rows of a damaged file to a new one. Imported only when a file is damaged."""

import contextlib
import os
import shutil
import sqlite3
from typing import Any, Iterator, Tuple

from alerta_opsgenie.journal.file import PAGE_BYTES, open_connection, prepare, transaction
from alerta_opsgenie.journal.rows import COLUMNS, is_sound
from alerta_opsgenie.journal.tables import SELECT

# Ids that are read one by one from each side of the damage: a lost leaf page holds a few rows, a lost inner page some
# thousands. A scan that ends in an error also loses the row before it.
_GAP_IDS = 20_000

_SELECT = f"{SELECT} NOT INDEXED"
_INSERT = f"INSERT OR IGNORE INTO actions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


def rescue(source: str, target: str) -> None:
    """Create the journal file `target` with all readable rows of `source`, which is not changed.

    If the first page of `source` is lost, a copy gets the first page of a new file: files of one version have their
    tables on the same pages.
    """
    scratch = target + ".scratch"
    try:
        with _new_file(target) as into:
            with transaction(into):
                if not _copy(source, into):
                    _copy_with_new_first_page(source, scratch)
                    _copy(scratch, into)
            into.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        _remove(scratch)


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[sqlite3.Connection]:
    _remove(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    os.chmod(path, 0o600)
    with contextlib.closing(open_connection(path)) as connection:
        prepare(connection, path)
        yield connection


def _remove(path: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _copy(source: str, into: sqlite3.Connection) -> bool:
    # SQLite would remove the log of an empty file, even when opened for reading.
    if os.path.getsize(source) <= 1:
        return False
    with contextlib.closing(open_connection(source, "ro")) as connection:
        reader = _Reader(connection)
        if not list(reader.rows("SELECT 1 FROM sqlite_master WHERE name = 'actions'")):
            return False
        into.executemany(_INSERT, (row for row in reader.actions() if is_sound(row)))
        into.executemany("INSERT OR IGNORE INTO newest VALUES (?, ?, ?, ?)", reader.newest())
        return True


class _Reader:
    """Reads rows from both ends up to the damage. An error ends a scan, and is expected."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._damaged = False
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")

    def rows(self, query: str, *parameters: object) -> Iterator[Tuple[Any, ...]]:
        try:
            yield from self._connection.execute(query, parameters)
        except sqlite3.Error:
            self._damaged = True

    def actions(self) -> Iterator[Tuple[Any, ...]]:
        last, self._damaged = 0, False
        for row in self.rows(f"{_SELECT} ORDER BY id"):
            last = row[0]
            yield row
        if not self._damaged:
            return
        highest = list(self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'actions'"))
        first = 1 + (highest[0][0] if highest and isinstance(highest[0][0], int) else _GAP_IDS)
        for row in self.rows(f"{_SELECT} WHERE id > ? ORDER BY id DESC", last):
            first = row[0]
            yield row
        gap = range(last + 1, first)
        for number in {*gap[:_GAP_IDS], *gap[-_GAP_IDS:]}:
            yield from self.rows(f"{_SELECT} WHERE id = ?", number)

    def newest(self) -> Iterator[Tuple[Any, ...]]:
        types = (str, str, int, float)
        for direction in ("ASC", "DESC"):
            self._damaged = False
            order = f"ORDER BY alert {direction}, field {direction}"
            for row in self.rows(f"SELECT alert, field, order_ns, at FROM newest {order}"):  # noqa: S608
                if all(isinstance(value, kind) for value, kind in zip(row, types)):
                    yield row
            if not self._damaged:
                return


def _copy_with_new_first_page(source: str, scratch: str) -> None:
    with _new_file(scratch):
        pass
    with open(scratch, "r+b") as copy, open(source, "rb") as old:
        old.seek(PAGE_BYTES)
        copy.seek(PAGE_BYTES)
        shutil.copyfileobj(old, copy)
        copy.flush()
        pages = -(-max(os.fstat(copy.fileno()).st_size, PAGE_BYTES) // PAGE_BYTES)
        copy.truncate(pages * PAGE_BYTES)
        copy.seek(28)  # the number of pages in the header: https://www.sqlite.org/fileformat.html
        copy.write(pages.to_bytes(4, "big"))
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source + "-wal", scratch + "-wal")
