"""The SQLite file of a journal: opened when needed, written by many threads with one sync, set aside when damaged.

Group commit: each thread puts its work into a queue. Whoever gets the writer's mutex does all that is queued in one
transaction, each work in a savepoint of its own, and commits once; the others find their work done.

    thread 1:  queue, mutex, BEGIN, work 1, COMMIT (sync)
    thread 2:         queue, mutex .................... BEGIN, works 2 and 3, COMMIT (one sync)
    thread 3:           queue, mutex ........................................ its work is done
"""

import contextlib
import os
import threading
import time
import weakref
from typing import Any, Callable, List, Optional, Tuple, TypeVar

from alerta_opsgenie.journal import place
from alerta_opsgenie.journal.place import JournalError
from alerta_opsgenie.journal.rows import APPLICATION_ID, MIGRATIONS
from alerta_opsgenie.journal.sqlite import sqlite3

T = TypeVar("T")
Connection = sqlite3.Connection

_MOST_DAMAGED = 3
"""How often one call may find the file damaged before it gives up."""


class _Work:
    """A thread's share of a transaction."""

    def __init__(self, do: Callable[[Connection], Any]) -> None:
        self.do = do
        self.is_done = False
        self.result: Any = None
        self.error: Optional[Exception] = None


class _Moved(Exception):  # noqa: N818 - a signal within this module
    """Another process has put a new file in the place of the one that we have open."""


class File:
    """One process's hold on a journal's file. Any thread may use it; a forked child opens the file anew.

    `salvage` carries over what can be read of a damaged file (first path) into a new one (second), and gives how much.
    """

    def __init__(self, directory: str, name: str, busy_seconds: float, salvage: Callable[[str, str], int]) -> None:
        self.directory = os.path.abspath(directory)
        self.path = os.path.join(self.directory, name)
        self.set_aside = ""
        self.carried_over = 0
        self._busy_seconds = busy_seconds
        self._salvage = salvage
        self._queue: List[_Work] = []
        self._queue_mutex = threading.Lock()
        self.writing = threading.RLock()
        self.reading = threading.RLock()
        self._writer: Optional[Connection] = None
        self._reader: Optional[Connection] = None
        self._identity: Tuple[int, int] = (0, 0)
        _files.add(self)

    def write(self, do: Callable[[Connection], T]) -> T:
        """Do something in a transaction. On return it is on the disk; it is not done at all when this raises."""
        work = _Work(do)
        with self._queue_mutex:
            self._queue.append(work)
        with self.writing:
            if not work.is_done:
                with self._queue_mutex:
                    works, self._queue = self._queue, []
                self._commit(works)
        if work.error is not None:
            raise work.error
        result: T = work.result
        return result

    def read(self, do: Callable[[Connection], T]) -> T:
        """Do something that only reads. Raises JournalError."""
        with self.reading:
            return self._attempt(lambda: self._read(do))

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self.writing, self.reading:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    # -- One attempt

    def _commit(self, works: List[_Work]) -> None:
        """Do the works in one transaction. Where that fails, each of them has failed."""
        try:
            self._attempt(lambda: self._transact(works))
        except JournalError as error:
            for work in works:
                work.error = work.error or error
        finally:
            for work in works:
                work.is_done = True

    def _transact(self, works: List[_Work]) -> None:
        connection = self._open_writer()
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_place()
            for work in works:
                self._do(connection, work)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        # Where the file was replaced meanwhile, the works are done again: a key is taken once, an id stays the same.
        self._check_place()

    def _do(self, connection: Connection, work: _Work) -> None:
        connection.execute("SAVEPOINT work")
        try:
            result = work.do(connection)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - it is the caller's, and goes there
            connection.execute("ROLLBACK TO work")
            work.error = error
        else:
            work.result = work.result or result
        connection.execute("RELEASE work")

    def _read(self, do: Callable[[Connection], T]) -> T:
        self._check_place()
        if self._reader is None:
            self._open_writer()  # makes what is missing
            self._reader = self._connect(self.path)
        return do(self._reader)

    def _attempt(self, do: Callable[[], T]) -> T:
        """Do it, again where the file was replaced or set aside meanwhile. Raises JournalError."""
        for _ in range(_MOST_DAMAGED):
            try:
                return do()
            except _Moved:  # noqa: PERF203 - the loop is for the failures
                self.close()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise self._failure(error) from error
                self._replace()
            except OSError as error:
                raise place.failure(self.directory, error) from error
        raise JournalError(
            f"the journal {self.path} is damaged again as soon as it is made",
            "look at the disk (dmesg), or name another directory", "damaged",
        )  # fmt: skip

    def _failure(self, error: sqlite3.Error) -> JournalError:
        self.close()
        text = str(error)
        if "locked" in text or "busy" in text:
            return JournalError(
                f"the journal {self.path} was held by another process for over {self._busy_seconds:g} s",
                "see what holds it (fuser -v on that file); the next try may succeed", "busy",
            )  # fmt: skip
        return place.full(self.directory) if "full" in text else place.failure(self.directory, error)

    # -- Opening

    def _open_writer(self) -> Connection:
        if self._writer is None:
            os.close(place.prepare(self.directory))
            os.close(_open_private(self.path))
            self._identity = _identity(self.path)
            connection = self._connect(self.path)
            try:
                migrate(connection, self.path)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _connect(self, path: str) -> Connection:
        connection = sqlite3.connect(
            path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        # A deleted body is overwritten: it is somebody's message.
        connection.executescript("PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
        return connection

    def _check_place(self) -> None:
        """Raise _Moved where the path leads to another file than the one that is open."""
        if self._writer is not None and _identity(self.path) != self._identity:
            raise _Moved

    def _replace(self) -> None:
        """Put a new file in the place of a damaged one, with what can be read of it; one process at a time does it."""
        with self.writing, self.reading:
            damaged = self._identity
            self.close()
            guard = _open_private(self.path + ".guard")
            try:
                import fcntl  # noqa: PLC0415 - for this alone

                fcntl.flock(guard, fcntl.LOCK_EX)
                if _identity(self.path) == damaged or damaged == (0, 0):
                    self._set_aside()
            finally:
                os.close(guard)

    def _set_aside(self) -> None:
        aside = f"{self.path}.damaged-{int(time.time())}"
        new = self.path + ".new"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new + suffix)
        os.close(_open_private(new))
        connection = self._connect(new)
        migrate(connection, new)
        connection.close()
        count = self._salvage(self.path, new)
        for suffix in ("-wal", ""):
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path + suffix, aside + suffix)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path + "-shm")
        os.rename(new, self.path)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(directory)
        os.close(directory)
        self.set_aside, self.carried_over = aside, count


def migrate(connection: Connection, path: str) -> None:
    """Make the tables, or bring them up to date. Raises JournalError where a newer program has made them."""
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 400;")
    if connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _check_version(connection, path)
        for statement in (statement for script in MIGRATIONS[version:] for statement in script):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _check_version(connection: Connection, path: str) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise JournalError(f"the journal {path} was made by a newer version", "upgrade this program", "newer")
    return version


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is not as it was written (https://www.sqlite.org/rescode.html: CORRUPT, NOTADB)."""
    text = str(error)
    return any(sign in text for sign in ("malformed", "not a database", "no such table", "no such column"))


def _open_private(path: str) -> int:
    """Open a file for writing, made if need be with mode 0600 whatever the umask. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _identity(path: str) -> Tuple[int, int]:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino


# SQLite must not carry an open file across a fork: https://www.sqlite.org/howtocorrupt.html, 2.6.
_files: "weakref.WeakSet[File]" = weakref.WeakSet()
_forking: List[File] = []


def _before_fork() -> None:
    for file in list(_files):
        file.writing.acquire()
        file.reading.acquire()
        file.close()
        _forking.append(file)


def _after_fork() -> None:
    while _forking:
        file = _forking.pop()
        file.reading.release()
        file.writing.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
