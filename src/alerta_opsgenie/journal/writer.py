"""Group commit: works that threads want written at the same time share one transaction, and so one fsync."""

import collections
import os
import sqlite3
import threading
import weakref
from typing import Any, Callable, Deque, Generic, List, Optional, TypeVar

from alerta_opsgenie.journal.errors import JournalError
from alerta_opsgenie.journal.file import File, check_version, transaction

_T = TypeVar("_T")
Work = Callable[[sqlite3.Connection], _T]


class _Job(Generic[_T]):
    def __init__(self, work: Work[_T]) -> None:
        self.work = work
        self.is_settled = False
        self.results: List[_T] = []
        self.error: Optional[BaseException] = None

    def settle(self, error: Optional[BaseException] = None) -> None:
        self.error = error
        self.is_settled = True


class Writer:
    """Runs works on a file. Any thread; a work may run more than once, and must have no effect but on the file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.mutex = threading.Lock()
        self.turn = threading.Condition()
        self.queue: Deque[_Job[Any]] = collections.deque()
        self._has_leader = False
        self._closed = False
        _writers.add(self)

    def read(self, work: Work[_T]) -> _T:
        """Do `work`, which reads by one statement. Raises JournalError."""
        with self.mutex:
            self._check_open()
            return self.file.run(work)

    def write(self, work: Work[_T]) -> _T:
        """Do `work`. On return it is on the disk; where this raises, it has done nothing. Raises JournalError."""
        job = _Job(work)
        with self.turn:
            self.queue.append(job)
            while self._has_leader and not job.is_settled:
                self.turn.wait()
            lead = not job.is_settled
            self._has_leader = self._has_leader or lead
        if lead:
            self._lead(job)
        if job.error is not None:
            raise job.error
        return job.results[-1]

    def _lead(self, mine: _Job[Any]) -> None:
        """Commit all that is queued, the thread's own job among it."""
        try:
            with self.mutex:
                self._check_open()
                self._run(self._all_queued(mine))
        finally:
            with self.turn:
                self._has_leader = False
                self.turn.notify_all()

    def close(self) -> None:
        """Close for good."""
        with self.mutex:
            self._closed = True
            self.file.close()

    def forget_threads(self) -> None:
        """Begin anew in a forked child: what other threads have queued is theirs, in the parent."""
        self.turn = threading.Condition()
        self.queue.clear()
        self._has_leader = False

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"the journal {self.file.path} was closed")

    def _all_queued(self, mine: _Job[Any]) -> List[_Job[Any]]:
        with self.turn:
            jobs = [job for job in self.queue if not job.is_settled]
            self.queue.clear()
        # Absent only where a thread that was interrupted had taken it.
        return jobs if mine in jobs else [*jobs, mine]

    def _run(self, jobs: List[_Job[Any]]) -> None:
        try:
            self.file.run(lambda connection: self._commit(connection, jobs))
        except Exception as error:  # noqa: BLE001 - each caller gets its own
            if len(jobs) == 1 or (isinstance(error, JournalError) and error.label in ("busy", "forked")):
                for job in jobs:
                    job.settle(error)
                return
            for job in jobs:  # one of them may be to blame: the others are not to fail with it
                self._run([job])

    def _commit(self, connection: sqlite3.Connection, jobs: List[_Job[Any]]) -> None:
        with transaction(connection):
            check_version(connection, self.file.path)  # an upgrade may have migrated the file since it was opened
            for job in jobs:
                job.results.append(job.work(connection))
        for job in jobs:
            job.settle()


# -- Forks: SQLite's files must not be open in one, nor may a child find a transaction half done.

_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()
_fork_mutex = threading.Lock()
_forking: List[Writer] = []


def _before_fork() -> None:
    _fork_mutex.acquire()
    for writer in list(_writers):
        writer.mutex.acquire()
        _forking.append(writer)
        writer.file.close()


def _after_fork() -> None:
    while _forking:
        _forking.pop().mutex.release()
    _fork_mutex.release()


def _in_child() -> None:
    for writer in _forking:
        writer.forget_threads()
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
