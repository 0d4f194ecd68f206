"""The steps of an installation. Each can say what it would do, and do it, any number of times.

A step writes its entry into the record first, then acts; run again after a kill it finds either and goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Protocol

from alerta_opsgenie.setup.host import Attributes, Found, Host, SetupError
from alerta_opsgenie.setup.layout import Directory, Ownership
from alerta_opsgenie.setup.record import Record

GROUP, USER, DIRECTORY, FILE, ATTRIBUTES, ASIDE, LEAVING, UNIT = (
    "group", "user", "directory", "file", "attributes", "aside", "leaving", "unit",
)  # fmt: skip
"""The kinds of entries in a record."""

_OWNER_ALL = 0o700
_OTHERS_WRITE = 0o002
_ANCESTOR_MODE = 0o755


@dataclass(frozen=True)
class Assessment:
    """What a step would do: `text` names it, `needed` is false where all is so already.

    `question` is set where something of a person's would be replaced: `difference` shows what, without secrets.
    """

    text: str
    needed: bool = True
    question: str = ""
    difference: str = ""


class Step(Protocol):
    """One step of an installation."""

    def assess(self, host: Host, record: Record) -> Assessment:
        """Say what there is to do, and change nothing. Raises `SetupError` where it cannot be done."""
        ...

    def apply(self, host: Host, record: Record, now: datetime) -> None:
        """Do it; called where it was needed. Raises `SetupError`."""
        ...


@dataclass(frozen=True)
class AddGroup:
    """Make a system group; not in an image, whose users its own tools make."""

    name: str

    def assess(self, host: Host, record: Record) -> Assessment:  # noqa: ARG002
        """Look whether the group is there."""
        there = host.group_number(self.name) is not None
        return Assessment(f"group {self.name}", needed=not there and not host.staged)

    def apply(self, host: Host, record: Record, now: datetime) -> None:  # noqa: ARG002
        """Make it."""
        record.put(GROUP, self.name)
        host.add_group(self.name)


@dataclass(frozen=True)
class AddUser:
    """Make a system user who cannot log in; not in an image. `places` are directories that will be that user's."""

    name: str
    group: str
    home: str
    places: tuple[str, ...] = ()

    def assess(self, host: Host, record: Record) -> Assessment:  # noqa: ARG002
        """Look whether the user is there."""
        there = host.user_number(self.name) is not None
        return Assessment(f"user {self.name} (home {self.home}, no login)", needed=not there and not host.staged)

    def apply(self, host: Host, record: Record, now: datetime) -> None:  # noqa: ARG002
        """Make the user."""
        record.put(USER, self.name, places=list(self.places))
        host.add_user(self.name, self.group, self.home)


@dataclass(frozen=True)
class MakeDirectory:
    """Make a directory, or see that an existing one is its user's, and not for everybody to write into."""

    directory: Directory

    def assess(self, host: Host, record: Record) -> Assessment:
        """Look at the directory."""
        path = self.directory.path
        found = host.look(path)
        text = f"{path}/ {self.directory.ownership} {self.directory.mode:04o}"
        if found is None:
            return Assessment(text)
        require_kind(found, path, "directory")
        wanted = self._wanted(host, found, mine=record.find(DIRECTORY, path) is not None)
        return assess_attributes(host, text, self.directory.ownership, found.attributes, wanted)

    def apply(self, host: Host, record: Record, now: datetime) -> None:  # noqa: ARG002
        """Make it, with the directories above it, or mend it."""
        path = self.directory.path
        found = host.look(path)
        if found is None:
            make_ancestors(host, record, path)
            found = _make(host, record, path)
        mine = record.find(DIRECTORY, path) is not None
        change_attributes(host, record, path, self._wanted(host, found, mine=mine), mine=mine)

    def _wanted(self, host: Host, found: Found, *, mine: bool) -> Attributes:
        """Say what its attributes should be: of one that was there, a mode that will do is left as it is."""
        wanted = attributes_for(host, self.directory.ownership, self.directory.mode, found)
        mode = found.attributes.mode
        if not mine and mode & _OWNER_ALL == _OWNER_ALL and not mode & _OTHERS_WRITE:
            return Attributes(wanted.uid, wanted.gid, mode)
        return wanted


def make_ancestors(host: Host, record: Record, path: str) -> None:
    """Make the directories above a path that are not there; they are open to all, as /etc and /var are."""
    names = path.strip("/").split("/")[:-1]
    for count in range(1, len(names) + 1):
        above = "/" + "/".join(names[:count])
        if host.look(above) is None:
            _make(host, record, above, _ANCESTOR_MODE)


def _make(host: Host, record: Record, path: str, mode: int = _OWNER_ALL) -> Found:
    record.put(DIRECTORY, path)
    host.make_directory(path, mode)
    found = host.look(path)
    if found is None:
        raise SetupError(f"{path} was made and is gone again", "see who else is at work there, then run this again")
    return found


def require_kind(found: Found, path: str, kind: str) -> None:
    """Raise `SetupError` unless a `file` or `directory` stands there itself: root does not follow a user's links."""
    if found.kind != kind:
        what = {"link": "a symbolic link", "file": "a file", "directory": "a directory"}.get(
            found.kind, "something else"
        )
        mend = "move it away, or choose another place (--home, --log-dir)"
        raise SetupError(f"{path} is {what}, where a {kind} should be", mend)


def attributes_for(host: Host, ownership: Ownership, mode: int, found: Found) -> Attributes:
    """Give attributes by number; where the owner cannot be had by number, or not be given, it stays who it is."""
    uid, gid = host.numbers(ownership) or (found.attributes.uid, found.attributes.gid)
    return Attributes(uid, gid, mode)


def assess_attributes(host: Host, text: str, ownership: Ownership, now: Attributes, wanted: Attributes) -> Assessment:
    """Say what there is to do at something that is there: perhaps nothing."""
    path = text.partition(" ")[0]
    if host.awaits(ownership):
        return Assessment(f"{path} is there: owner {now.uid}:{now.gid} becomes {ownership}")
    if now == wanted:
        return Assessment(text, needed=False)
    return Assessment(f"{path} is there: {tell_change(now, wanted)}")


def tell_change(now: Attributes, wanted: Attributes) -> str:
    """Say what changes, as `chown` and `chmod` would."""
    changes = []
    if (now.uid, now.gid) != (wanted.uid, wanted.gid):
        changes.append(f"owner {now.uid}:{now.gid} becomes {wanted.uid}:{wanted.gid}")
    if now.mode != wanted.mode:
        changes.append(f"mode {now.mode:04o} becomes {wanted.mode:04o}")
    return ", ".join(changes)


def change_attributes(host: Host, record: Record, path: str, wanted: Attributes, *, mine: bool) -> None:
    """Give a file or directory its attributes; what was there before us gets an entry with what they were."""
    found = host.look(path)
    if found is None or found.attributes == wanted:
        return
    if not mine:
        entry = record.find(ATTRIBUTES, path)
        was = entry["was"] if entry else asdict(found.attributes)
        record.put(ATTRIBUTES, path, was=was, set=asdict(wanted))
    host.set_attributes(path, wanted)
