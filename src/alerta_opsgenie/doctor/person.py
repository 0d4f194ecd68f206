"""The user as whom the connector runs, and how root becomes that user.

What the connector's user can name (a key file, a log, a script) is never opened with root's rights: a link there could
lead to a file of root's. So root gathers what only root can see, then becomes the connector's user for good.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pwd
from typing import NamedTuple

from alerta_opsgenie.vendor import as_user

# Python imports these when they are first used; by then it may no longer be allowed to read them (below /root).
_IMPORTED_LATE = (
    "encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_16", "encodings.utf_8_sig", "stringprep",
    "_strptime", "ssl", "hashlib", "random", "email.utils", "email.parser", "traceback", "gzip", "sqlite3", "yaml",
)  # fmt: skip


class Person(NamedTuple):
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
    with contextlib.suppress(KeyError):
        return person_of_uid(pwd.getpwnam(name).pw_uid, how)
    return None


def person_of_uid(uid: int, how: str = "") -> Person:
    """Look a user up by number; one without a name, as in a container, has a group of the same number."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Person(str(uid), uid, uid, "/", how)
    return Person(entry.pw_name, uid, entry.pw_gid, entry.pw_dir, how)


def import_late() -> None:
    """Import what Python would import later."""
    for name in _IMPORTED_LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def become(person: Person) -> None:
    """Let root become this user for good; for anybody else nothing changes. Raises OSError."""
    if os.geteuid() != 0 or person.uid == 0:
        return
    import_late()
    as_user.become(person.uid, person.gid)
    os.chdir("/")
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    os.environ.update(HOME=person.home, USER=person.name, LOGNAME=person.name)
