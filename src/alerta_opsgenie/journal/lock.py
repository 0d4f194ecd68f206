"""Locks between processes: one deliverer per state directory, one sender across the workers of Alerta."""

import fcntl
import os
from typing import Optional, Set

from alerta_opsgenie.journal.directory import PathLike, open_directory, open_private
from alerta_opsgenie.journal.errors import failure


class Lock:
    """Held until `close`, or until the process ends for any reason; a forked child does not hold it.

    A fork without Python's hooks (uWSGI without `lazy-apps` or `py-call-uwsgi-fork-hooks`) leaves an open copy.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._process = os.getpid()
        _held.add(self)

    @property
    def held(self) -> bool:
        """Whether the calling process holds the lock."""
        return self in _held and self._process == os.getpid()

    def close(self) -> None:
        """Release the lock. A second call, or a call in a forked child, does nothing."""
        if self.held:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        _close_descriptor(self)

    def __enter__(self) -> "Lock":  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_held: Set[Lock] = set()


def _close_descriptor(lock: Lock) -> None:
    if lock in _held:
        _held.discard(lock)
        os.close(lock._descriptor)  # noqa: SLF001 - this module's own class


def try_lock(directory: PathLike, name: str) -> Optional[Lock]:
    """Take the lock `name` of a directory; None if it is held. Never waits. Raises JournalError."""
    path = os.path.abspath(os.fspath(directory))
    place = open_directory(path)
    try:
        descriptor = open_private(path, place, name + ".lock")
    finally:
        os.close(place)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise failure(path, error) from error
    return Lock(os.path.join(path, name + ".lock"), descriptor)


def _close_in_child() -> None:
    for lock in list(_held):
        _close_descriptor(lock)


os.register_at_fork(after_in_child=_close_in_child)
