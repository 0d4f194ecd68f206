"""One process's connection to the spool's file, and what SQLite's errors mean."""

import contextlib
import os
import sqlite3
from typing import Iterator, Optional, Tuple

from alerta_opsgenie.journal.place import Place, SpoolUnavailable
from alerta_opsgenie.journal.tables import APPLICATION_ID, MIGRATIONS

PAGE_BYTES = 4096

# SQLite waits longer each time it finds a file busy, up to 100 ms, so whoever has waited longest is served last. Once
# a file is open, the caller asks it for short naps instead, over and over.
NAP_MILLISECONDS = 3

_BUSY, _FULL, _CORRUPT, _PROTOCOL, _NOT_A_DATABASE = 5, 13, 11, 15, 26

# Python tells SQLite's own codes only from 3.11 on; the texts are the same in every version.
_CODES_BY_TEXT = (
    ("database is locked", _BUSY),
    ("locking protocol", _PROTOCOL),
    ("database or disk is full", _FULL),
    ("is not a database", _NOT_A_DATABASE),
    ("malformed", _CORRUPT),
    ("no such table", _CORRUPT),
    ("no such column", _CORRUPT),
    ("Could not decode to UTF-8", _CORRUPT),
)

Identity = Optional[Tuple[int, int]]


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken."""
    return _code(error) in (_CORRUPT, _NOT_A_DATABASE)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether other processes were at work for as long as SQLite was told to wait."""
    return _code(error) in (_BUSY, _PROTOCOL)


def failure(place: Place, error: sqlite3.Error, busy_seconds: float) -> SpoolUnavailable:
    """The error to raise for one of SQLite's."""
    if is_busy(error):
        return place.busy(busy_seconds)
    code = _code(error)
    if code == _FULL:
        return place.full()
    if code in (_CORRUPT, _NOT_A_DATABASE):
        return place.damaged()
    return place.failure(error)


def _code(error: sqlite3.Error) -> Optional[int]:
    text = str(error)
    for part, code in _CODES_BY_TEXT:
        if part in text:
            return code
    return None


class Damaged(Exception):  # noqa: N818 - caught inside the package
    """A file that SQLite cannot use; its link must stay open until the file is set aside."""

    def __init__(self, link: "Link") -> None:
        super().__init__(link.place.database)
        self.link = link


class Link:
    """This process's connection to the file that has the name `path` (default: `spool.db`) now."""

    def __init__(self, place: Place, busy_seconds: float, path: str = "") -> None:
        self.place = place
        self.path = path or place.database
        self.process = os.getpid()
        self.busy_seconds = busy_seconds
        self.identity = identity(self.path)
        self.connection = open_connection(self.path, busy_seconds)

    def moved(self) -> bool:
        """Whether the name now stands for another file, or for none."""
        return identity(self.path) != self.identity

    def prepare(self) -> None:
        """See that the file is ours and of our version, and migrate an older one.

        The version is read before anything is set, so that a newer file stays as it is.
        """
        run = self.connection.execute
        self.check_version()
        run("PRAGMA synchronous = FULL")
        if run("PRAGMA journal_mode").fetchone()[0] != "wal":
            self._make_wal()
        if self._version() < len(MIGRATIONS):
            with self.transaction():
                self._migrate()
        run(f"PRAGMA busy_timeout = {NAP_MILLISECONDS}")

    def _make_wal(self) -> None:
        run = self.connection.execute
        run(f"PRAGMA page_size = {PAGE_BYTES}")
        if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise SpoolUnavailable(
                f"the spool directory {self.place.directory} cannot carry SQLite's write-ahead log",
                "give the spool a directory on a local disk", "network",
            )

    def _migrate(self) -> None:
        for version in range(self._version(), len(MIGRATIONS)):
            for statement in MIGRATIONS[version]:
                self.connection.execute(statement)
        self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def check_version(self) -> None:
        """Raise SpoolUnavailable for a file of a newer version (`newer`) or of another program (`foreign`)."""
        version = self._version()
        application = self.connection.execute("PRAGMA application_id").fetchone()[0]
        empty = version == application == 0 and not self.connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        if not empty and application != APPLICATION_ID:
            raise SpoolUnavailable(
                f"{self.place.database} is another program's file",
                "give the spool a directory of its own", "foreign",
            )
        if version > len(MIGRATIONS):
            raise SpoolUnavailable(
                f"{self.place.database} was written by a newer version of this program (format {version}, this one"
                f" knows {len(MIGRATIONS)})",
                "upgrade alerta-opsgenie here, or give this one another spool directory", "newer",
            )

    def check_current(self) -> None:
        """The same within a transaction: an upgrade elsewhere may have migrated the file since it was opened."""
        if self._version() != len(MIGRATIONS):
            self.check_version()

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing; on the disk when the block has ended."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has rolled back by itself; what the block raised is what matters.
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close; the last one to close a file that still has its name moves its log into it."""
        guard = self.place.guarded(self.busy_seconds, exclusive=False)
        try:
            with guard:
                self.connection.close()
        except SpoolUnavailable:
            # SQLite itself looks once whether the file still has its name; the guard closes a gap of microseconds.
            self.connection.close()


def identity(path: str) -> Identity:
    """What tells this file from another of the same name; None when there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def open_connection(path: str, busy_seconds: float, mode: str = "rw") -> sqlite3.Connection:
    """Open a file that exists. Transactions are begun by hand; threads take turns by the caller's lock."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file://{quoted}?mode={mode}", uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
