"""Group commit: writes of several threads at the same time share one transaction, and so one fsync."""

import collections
import os
import sqlite3
import threading
import weakref
from typing import Any, Callable, Deque, List, Optional, TypeVar

from alerta_opsgenie.journal.errors import JournalError
from alerta_opsgenie.journal.file import File, check_version, transaction

_T = TypeVar("_T")
Work = Callable[[sqlite3.Connection], _T]


class _Job:
    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.is_settled = False
        self.result: Any = None
        self.error: Optional[BaseException] = None


class Writer:
    """Runs functions (`work`) on the file. Thread-safe. A function can run twice, and must only change the file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.mutex = threading.Lock()
        self.queue: Deque[_Job] = collections.deque()
        self._closed = False
        _writers.add(self)

    def read(self, work: Work[_T]) -> _T:
        """Run `work`, which reads by one statement. Raises JournalError."""
        with self.mutex:
            self._check_open()
            return self.file.run(work)

    def write(self, work: Work[_T]) -> _T:
        """Run `work` and all queued ones in one transaction. Its changes are on disk then. Raises JournalError."""
        job = _Job(work)
        self.queue.append(job)
        with self.mutex:
            if not job.is_settled:
                self._check_open()
                jobs = [self.queue.popleft() for _ in range(len(self.queue))]
                # It is missing only if a thread that was interrupted had taken it.
                self._run(jobs if job in jobs else [*jobs, job])
        if job.error is not None:
            raise job.error
        result: _T = job.result
        return result

    def close(self) -> None:
        """Close it. It cannot be used again."""
        with self.mutex:
            self._closed = True
            self.file.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"the journal {self.file.path} was closed")

    def _run(self, jobs: List[_Job]) -> None:
        error: Optional[Exception] = None
        try:
            self.file.run(lambda connection: self._commit(connection, jobs))
        except Exception as found:  # noqa: BLE001 - raised to each caller
            error = found
        concerns_all = isinstance(error, JournalError) and error.label in ("busy", "forked")
        if error is not None and len(jobs) > 1 and not concerns_all:
            for job in jobs:  # one of them may be the cause: the others must not fail
                self._run([job])
            return
        for job in jobs:
            job.error, job.is_settled = error, True

    def _commit(self, connection: sqlite3.Connection, jobs: List[_Job]) -> None:
        with transaction(connection):
            check_version(connection, self.file.path)  # an upgrade may have migrated it
            for job in jobs:
                job.result = job.work(connection)


# -- Forks: SQLite's files must be closed, and no transaction may be open.

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
        writer.queue.clear()  # the parent's threads run what they have queued
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
