"""One object's hold on the spool's file: opened when needed, opened again after a fork or a replacement."""

import os
import sqlite3
import threading
import weakref
from typing import Callable, List, Optional, TypeVar

from alerta_opsgenie.journal import database
from alerta_opsgenie.journal.link import NAP_MILLISECONDS, Damaged, Link, failure, is_busy, is_damage
from alerta_opsgenie.journal.place import Place, SpoolUnavailable

_T = TypeVar("_T")
# How often a file may be replaced by others, and found damaged by us, before one call gives up.
_REPLACED, _DAMAGED = 20, 3


class Handle:
    """Runs work on the file, for one thread at a time, and turns what goes wrong into SpoolUnavailable.

    `aside` tells the last damaged file that this object has replaced.
    """

    def __init__(self, place: Place, busy_seconds: float) -> None:
        self.aside: database.Aside = None
        self.place = place
        self.mutex = threading.RLock()
        self._busy_seconds = busy_seconds
        self._link: Optional[Link] = None
        self._closed = False
        _handles.add(self)

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do `work`, which reads by one statement."""
        return self._attempt(lambda link: work(link.connection))

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do `work` in one transaction: all of it is on the disk on return, or nothing when this raises.

        It is done again if the file was replaced before the transaction was on the disk. What the first time did may
        have been carried over, and the second time then finds nothing to do; so the first result stands, if truthy.
        """
        results: List[_T] = []

        def run(link: Link) -> _T:
            with link.transaction() as connection:
                link.check_current()
                result = work(connection)
            results.append(result)
            if link.moved():
                raise _Replaced
            return next((result for result in results if result), results[-1])

        return self._attempt(run)

    def close(self) -> None:
        """Close for good. A second call does nothing."""
        with self.mutex:
            self._closed = True
            self.unlink()

    def unlink(self) -> None:
        """Close the file; the next call opens it again. One that another process opened is left alone."""
        link, self._link = self._link, None
        if link is not None and link.process == os.getpid():
            link.close()

    def check_process(self) -> None:
        """Raise SpoolUnavailable (`forked`) if this process was forked with the file open, past Python's hooks.

        SQLite's own record of its locks is then wrong in the child, for any connection to the same file:
        https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
        """
        link = self._link
        if link is not None and link.process != os.getpid():
            raise SpoolUnavailable(
                f"the spool {self.place.directory} was opened by process {link.process}, which then forked this one"
                " without telling Python",
                "open the spool after the fork (uWSGI: lazy-apps = true, or py-call-uwsgi-fork-hooks = true)", "forked",
            )

    def _attempt(self, run: Callable[[Link], _T]) -> _T:
        left = {_Busy: 1 + int(self._busy_seconds * 1000 / NAP_MILLISECONDS), _Replaced: _REPLACED, Damaged: _DAMAGED}
        with self.mutex:
            while True:
                try:
                    return self._try(run)
                except (_Busy, _Replaced, Damaged) as error:  # noqa: PERF203 - the loop is for the failures
                    left[type(error)] -= 1
                    if not left[type(error)]:
                        raise self._give_up(error) from error

    def _give_up(self, error: Exception) -> SpoolUnavailable:
        return self.place.busy(self._busy_seconds) if isinstance(error, _Busy) else self.place.damaged()

    def _try(self, run: Callable[[Link], _T]) -> _T:
        """Do it once. Raises _Busy, _Replaced and Damaged where another try may do better."""
        try:
            return run(self._linked())
        except Damaged as damaged:
            self._replace(damaged.link)
            raise
        except OSError as error:
            raise self.place.failure(error) from error
        except sqlite3.Error as error:
            raise self._judged(error) from error

    def _judged(self, error: sqlite3.Error) -> Exception:
        link = self._link
        if link is not None and is_busy(error):
            return _Busy()
        if link is not None and is_damage(error):
            self._replace(link)
            return Damaged(link)
        return failure(self.place, error, self._busy_seconds)

    def _replace(self, link: Link) -> None:
        try:
            self.aside = database.set_aside(link) or self.aside
        except sqlite3.Error as error:
            raise failure(self.place, error, self._busy_seconds) from error
        except OSError as error:
            raise self.place.failure(error) from error
        finally:
            self._link = None

    def _linked(self) -> Link:
        if self._closed:
            raise RuntimeError(f"the spool {self.place.directory} was closed")
        for handle in list(_handles):
            handle.check_process()
        if self._link is not None and self._link.moved():
            self.unlink()
        if self._link is None:
            self.place.prepare()
            self._link, aside = database.connect(self.place, self._busy_seconds)
            self.aside = aside or self.aside
        return self._link


class _Busy(Exception):  # noqa: N818 - the same
    """Another process has the file; SQLite has waited for `NAP_MILLISECONDS`."""


class _Replaced(Exception):  # noqa: N818 - a signal within this module
    """The file was replaced while it was written."""


_handles: "weakref.WeakSet[Handle]" = weakref.WeakSet()
_fork_mutex = threading.Lock()
_forking: List[Handle] = []


def _before_fork() -> None:
    _fork_mutex.acquire()
    for handle in list(_handles):
        handle.mutex.acquire()
        _forking.append(handle)
        handle.unlink()


def _after_fork() -> None:
    while _forking:
        _forking.pop().mutex.release()
    _fork_mutex.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
