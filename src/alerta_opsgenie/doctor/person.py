"""The user as whom the connector runs, and how root becomes that user.

What the connector's user can name (a key file, a log, a script) is never opened with root's rights: a link there could
lead to a file of root's. So root gathers what only root can see, then becomes the connector's user for good.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - looking up a host needs it, and it may lie where only root can read
import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_NOBODY = 65534  # the kernel's overflow user: /proc/sys/kernel/overflowuid
_OTHERS_WRITE = 0o022

@dataclass(frozen=True)
class Person:
    """A user of this host; `how` says from what it is known that the connector runs as this user."""

    name: str
    uid: int
    gid: int
    home: str
    how: str = ""

    @property
    def is_us(self) -> bool:
        """Whether this process has this user's rights and no others."""
        return os.geteuid() == self.uid


def person_of_name(name: str, how: str = "") -> Person | None:
    """Look a user up by name; None: there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Person(name, entry.pw_uid, entry.pw_gid, entry.pw_dir, how)


def person_of_uid(uid: int, how: str = "") -> Person:
    """Look a user up by number; one without a name, as in a container, has a group of the same number."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Person(str(uid), uid, uid, "/", how)
    return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, how)


def user_name(uid: int) -> str:
    """Name a user; by the number where there is no name."""
    return person_of_uid(uid).name


def group_name(gid: int) -> str:
    """Name a group; by its number where it has no name."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def owner_of(path: str) -> int:
    """Give the user who decides what lies at a path: 0 where root alone does, all the way down.

    Where anybody may change something on the way, that is `nobody`. What is not there yet is decided by whoever owns
    the directory above. Raises OSError.
    """
    where = Path(path).absolute()
    for step in (*reversed(where.parents), where):
        try:
            found = step.lstat()
        except FileNotFoundError:
            break
        if stat.S_ISLNK(found.st_mode) and found.st_uid == 0:
            return owner_of(str(step.parent / step.readlink() / where.relative_to(step)))
        if found.st_uid != 0:
            return found.st_uid
        if found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX and not stat.S_ISLNK(found.st_mode):
            return _NOBODY
    return 0


def become(person: Person) -> None:
    """Let root become this user for good; for anybody else nothing changes. Raises OSError.

    What follows sees the user's home, not root's.
    """
    if os.geteuid() != 0 or person.uid == 0:
        return
    if person.name.isdecimal():
        os.setgroups([])
    else:
        os.initgroups(person.name, person.gid)
    os.setresgid(person.gid, person.gid, person.gid)
    os.setresuid(person.uid, person.uid, person.uid)
    os.chdir("/")
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    os.environ.update(HOME=person.home, USER=person.name, LOGNAME=person.name)
