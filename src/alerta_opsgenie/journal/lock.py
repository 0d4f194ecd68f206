"""One holder of a lock: the process that delivers from a state directory, the one that sends for all workers."""

import fcntl
import os
import re
from typing import Optional, Set

from alerta_opsgenie.journal import place

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


class Lock:
    """A lock that this process holds until `release`, or until it dies, by whatever signal.

    Programs that are started do not get it. A forked child does not get it either: its copy is closed at the fork
    (`os.register_at_fork`), `held` is false there, and the parent keeps the lock. A fork that skips Python's hooks
    (uWSGI without `lazy-apps` or `py-call-uwsgi-fork-hooks`) leaves a copy behind, and the lock is then free only when
    both have ended: take it after the fork.
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

    def release(self) -> None:
        """Give the lock back. A second call does nothing, nor does one in a forked child."""
        if self.held:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._forget()

    def _forget(self) -> None:
        if self in _held:
            _held.discard(self)
            os.close(self._descriptor)

    def __enter__(self) -> "Lock":  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


_held: Set[Lock] = set()


def try_lock(directory: str, name: str) -> Optional[Lock]:
    """Take the lock `name` (lower-case letters, digits, hyphens) of a directory; None when another process has it.

    Never waits. Raises JournalError.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a lock: lower-case letters, digits and hyphens")
    where = place.prepare(directory)
    try:
        descriptor = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=where)
    except OSError as error:
        raise place.failure(directory, error) from error
    finally:
        os.close(where)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Lock(os.path.join(directory, f"{name}.lock"), descriptor)


def _leave_to_parent() -> None:
    for lock in list(_held):
        lock._forget()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_leave_to_parent)
