"""One owner per role: 'one drainer per spool', 'one sender across the workers'."""

import fcntl
import os
import re
from typing import Optional, Set

from alerta_opsgenie.journal.place import PathLike, Place, open_private

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


class Lock:
    """A role that this process holds until `release`, or until it dies, by whatever signal.

    Programs that are started do not get it. A forked child does not get it either: its copy is closed at the fork
    (`os.register_at_fork`), `held` is false there, and the parent keeps the role. A fork that skips Python's hooks
    (uWSGI without `lazy-apps` or `py-call-uwsgi-fork-hooks`) leaves a copy behind, and the role is then free only when
    both have ended: take it after the fork.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._process = os.getpid()
        _held.add(self)

    @property
    def held(self) -> bool:
        """Whether the calling process holds the role."""
        return self in _held and self._process == os.getpid()

    def release(self) -> None:
        """Give the role back. A second call does nothing, nor does one in a forked child."""
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


def try_lock(directory: PathLike, name: str) -> Optional[Lock]:
    """Take the role `name` (lower-case letters, digits, hyphens) of a spool's directory; None when another has it.

    It never waits. Whoever stops because nothing is left to do releases the role first and then looks once more:
    what was kept in between found the role taken. Raises SpoolUnavailable as `Spool` does, ValueError on the name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a role: lower-case letters, digits and hyphens")
    place = Place(directory)
    place.prepare()
    path = os.path.join(place.directory, name + ".lock")
    descriptor = open_private(path, place)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise place.failure(error) from error
    return Lock(path, descriptor)


def _leave_to_parent() -> None:
    for lock in list(_held):
        lock._forget()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_leave_to_parent)
