"""The journal's file: created, opened, migrated, and replaced when it is damaged.

`journal.db`, `-wal` and `-shm` belong together, and SQLite finds the latter two by name. So each use of the file holds
a shared `flock` on `journal.db.lock`; to create or replace the file takes an exclusive one. A process that still has a
replaced file open detects it by the inode before its next transaction. A replacement is decided when the new file is
renamed to `.new`: the next process that opens the journal and finds that name completes the replacement.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
import weakref
from typing import Callable, Iterator, Optional, Tuple, TypeVar

from alerta_opsgenie.journal import errors
from alerta_opsgenie.journal.directory import check_file, open_directory, open_private, sync_directory
from alerta_opsgenie.journal.errors import JournalError
from alerta_opsgenie.journal.tables import APPLICATION_ID, MIGRATIONS, TRIGGERS

_T = TypeVar("_T")

NAME = "journal.db"
PAGE_BYTES = 4096
_EMPTY_BYTES = 1  # to SQLite a file of one byte is empty
_PAUSE_SECONDS = 0.003  # SQLite's own pauses grow to 100 ms, so the process that has waited longest would be last
_TRIES = 5  # how often one call creates, reopens or replaces the file before it fails


class _NotReadyError(Exception):
    """The file has to be created, replaced, or reopened."""


class File:
    """The file as opened by one process. Not thread-safe. A connection is never used after a fork."""

    def __init__(self, directory: str, busy_seconds: float) -> None:
        self.directory = directory
        self.path = os.path.join(directory, NAME)
        self.busy_seconds = busy_seconds
        self.set_aside = ""
        self.carried_over = 0
        self._connection: Optional[sqlite3.Connection] = None
        self._identity: Optional[Tuple[int, int]] = None
        self._place = self._guard = -1
        self._process = 0
        _files.add(self)

    def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work`; again if the file was replaced or is damaged. Raises JournalError."""
        for opened in list(_files):
            opened.check_process()
        try:
            return self._run(work)
        except (sqlite3.Error, OSError) as error:
            if errors.is_busy(error):
                raise errors.busy(self.path, self.busy_seconds) from error
            raise errors.failure(self.directory, error) from error

    def check_process(self) -> None:
        """Raise JournalError (`forked`) if this process was forked with the file open, without Python's hooks.

        SQLite's record of its locks is then wrong in the child, for any connection to the same file:
        https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
        """
        if self._process not in (0, os.getpid()):
            raise JournalError(
                f"{self.path} was opened by process {self._process}, which forked this one without telling Python",
                "open it after the fork (uWSGI: lazy-apps = true, or py-call-uwsgi-fork-hooks = true)", "forked",
            )

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        left, end = _TRIES, time.monotonic() + self.busy_seconds
        while left:
            try:
                with self._guarded(fcntl.LOCK_SH):
                    return work(self._opened())
            except _NotReadyError:
                with self._guarded(fcntl.LOCK_EX):
                    self._make()
            except sqlite3.Error as error:
                if errors.is_busy(error) and time.monotonic() < end:
                    time.sleep(_PAUSE_SECONDS)
                    continue
                if not errors.is_damage(error):
                    raise
                with self._guarded(fcntl.LOCK_EX):
                    self._replace_damaged()
            left -= 1
        reason = f"{self.path} is damaged again as soon as it is made"
        raise JournalError(reason, "look at the disk (dmesg), or use another one", "damaged")

    def close(self) -> None:
        """Close the file. The next `run` reopens it."""
        if self._process == os.getpid():
            with contextlib.suppress(JournalError, OSError), self._guarded(fcntl.LOCK_SH):
                self._disconnect()
        self._disconnect()
        self._close_guard()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextlib.contextmanager
    def _guarded(self, operation: int) -> Iterator[None]:
        if self._guard < 0:
            self._open_guard()
        end = time.monotonic() + self.busy_seconds
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._guard, operation | fcntl.LOCK_NB)
                break
            if time.monotonic() >= end:
                raise errors.busy(self.path, self.busy_seconds)
            time.sleep(_PAUSE_SECONDS)
        try:
            yield
        finally:
            if self._guard >= 0:
                fcntl.flock(self._guard, fcntl.LOCK_UN)

    def _open_guard(self) -> None:
        place = open_directory(self.directory)
        try:
            self._guard = open_private(self.directory, place, NAME + ".lock")
        except BaseException:
            os.close(place)
            raise
        self._place, self._process = place, os.getpid()

    def _close_guard(self) -> None:
        for descriptor in (self._guard, self._place):
            if descriptor >= 0:
                os.close(descriptor)
        self._guard = self._place = -1
        self._process = 0

    def _is_our_guard(self) -> bool:
        """Whether the locked file still is `journal.db.lock`."""
        here = os.fstat(self._guard)
        return _identity(self.path + ".lock") == (here.st_dev, here.st_ino)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and _identity(self.path) == self._identity:
            return self._connection
        if self._connection is not None or not self._is_our_guard():
            self._disconnect()
            self._close_guard()
            raise _NotReadyError
        if not os.path.lexists(self.path) or os.path.exists(self.path + ".new") or self._is_emptied():
            raise _NotReadyError
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            check_file(self.directory, self._place, NAME + suffix)
        self._identity = _identity(self.path)
        self._connection = open_connection(self.path)
        try:
            prepare(self._connection, self.path)
        except BaseException as error:
            # A damaged file stays open until it is renamed.
            if not (isinstance(error, Exception) and errors.is_damage(error)):
                self._disconnect()
            raise
        return self._connection

    def _is_emptied(self) -> bool:
        """Whether the file was truncated to nothing and has a log, which SQLite would then delete."""
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self.path).st_size <= _EMPTY_BYTES and os.stat(self.path + "-wal").st_size > 0
        return False

    def _make(self) -> None:
        if not self._is_our_guard():
            return
        if os.path.exists(self.path + ".new"):
            self._finish()
        elif not os.path.lexists(self.path):
            os.close(open_private(self.directory, self._place, NAME, new=True))
            if not self._is_emptied():
                # Prepare it now: two processes must not convert one file to WAL at the same time.
                self._connect()
                self._disconnect()
            sync_directory(self.directory)
        if self._is_emptied():
            self._replace()

    def _replace_damaged(self) -> None:
        if _identity(self.path) != self._identity:
            return  # another process has done it
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                # Missing tables are no damage if a newer version has migrated the file.
                check_version(self._connection, self.path)
        try:
            self._replace()
        except BaseException:
            # After a read of the file this process has lost its locks on it: https://www.sqlite.org/howtocorrupt.html
            self._disconnect()
            raise

    def _replace(self) -> None:
        from alerta_opsgenie.journal import salvage  # noqa: PLC0415 - rarely needed

        building = self.path + ".building"
        salvage.rescue(self.path, building)
        os.rename(building, self.path + ".new")
        sync_directory(self.directory)
        self._finish()

    def _finish(self) -> None:
        """Rename `.new` to the file's name. A process can be killed after any step, so each step can be repeated."""
        new = self.path + ".new"
        with contextlib.closing(open_connection(new)) as connection:
            carried_over = int(connection.execute("SELECT count(*) FROM actions").fetchone()[0])
        # Named by the time of the replacement, so that another process that completes it uses the same name.
        made_ns = os.stat(new).st_mtime_ns
        aside = f"{self.path}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(made_ns // 10**9))}-{made_ns % 10**9}"
        for suffix in ("-wal", ""):
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path + suffix, aside + suffix)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path + "-shm")
        os.rename(new, self.path)
        sync_directory(self.directory)
        self.set_aside, self.carried_over = aside, carried_over
        # Not earlier: SQLite would copy the log into a file that still has its name.
        self._disconnect()


_files: "weakref.WeakSet[File]" = weakref.WeakSet()


def _identity(path: str) -> Optional[Tuple[int, int]]:
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def open_connection(path: str, mode: str = "rw") -> sqlite3.Connection:
    """Open an existing file. Transactions are started explicitly."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file://{quoted}?mode={mode}", uri=True, timeout=1.0, isolation_level=None, check_same_thread=False
    )


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Check that a file is a journal of this version, before any setting is changed; migrate an older one."""
    version = check_version(connection, path)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")  # for the triggers
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            reason = f"the file system of {path} cannot carry SQLite's write-ahead log"
            raise JournalError(reason, "use a local disk", "network")
    if version < len(MIGRATIONS):
        with transaction(connection):
            _migrate(connection)
    for trigger in TRIGGERS:
        connection.execute(trigger)
    connection.execute(f"PRAGMA busy_timeout = {int(_PAUSE_SECONDS * 1000)}")


def _migrate(connection: sqlite3.Connection) -> None:
    for script in MIGRATIONS[_version(connection) :]:
        for statement in script:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(connection: sqlite3.Connection, path: str) -> int:
    """Return a file's version. Raises JournalError for a newer one (`newer`) or another program's file (`foreign`)."""
    version = _version(connection)
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = version == application == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    if not empty and application != APPLICATION_ID:
        raise JournalError(f"{path} is another program's file", "use a directory of its own", "foreign")
    if version > len(MIGRATIONS):
        known = f"format {version}, this one knows {len(MIGRATIONS)}"
        advice = "upgrade alerta-opsgenie here, or use another directory"
        raise JournalError(f"{path} was written by a newer version of this program ({known})", advice, "newer")
    return version


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing; it is on disk when the block has ended."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors SQLite has rolled back already. The error of the block is raised.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
