"""The steps that concern files: written, set aside, and those that will only come to be while the connector runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Callable

from alerta_opsgenie.setup.host import Attributes, Found, Host, SetupError, digest, run_command
from alerta_opsgenie.setup.layout import Ownership
from alerta_opsgenie.setup.record import Entry, Record
from alerta_opsgenie.setup.steps import (
    ASIDE,
    FILE,
    LEAVING,
    UNIT,
    Assessment,
    assess_attributes,
    attributes_for,
    change_attributes,
    make_ancestors,
    require_kind,
)

_BLANK = Found("file", Attributes(0, 0, 0))
_MOST_COPIES = 1000
_OWNER_WRITES = 0o600


def _never(_content: bytes) -> bool:
    return False


def _nothing(_content: bytes) -> str:
    return ""


@dataclass(frozen=True)
class WriteFile:
    """Write a file. One with another content is kept beside it under a dated name.

    `modes` are those that are right; the first is the one that is set. `same` tells whether another content means the
    same. With `asks` a person's own version is only replaced after a question; `difference` shows what would change.
    """

    path: str
    data: bytes = field(repr=False)
    ownership: Ownership
    modes: tuple[int, ...]
    same: Callable[[bytes], bool] = field(default=_never, repr=False)
    asks: bool = False
    difference: Callable[[bytes], str] = field(default=_nothing, repr=False)

    def assess(self, host: Host, record: Record) -> Assessment:
        """Look at the file."""
        found = host.look(self.path)
        text = f"{self.path} {self.ownership} {self.modes[0]:04o}"
        if found is None:
            return Assessment(text)
        require_kind(found, self.path, "file")
        content = host.read(self.path)
        if not self._is_same(content):
            return self._assess_other(content, record, text)
        return assess_attributes(host, text, self.ownership, found.attributes, self._wanted(host, found))

    def _assess_other(self, content: bytes, record: Record, text: str) -> Assessment:
        if digest(content) in _ours(record, self.path):
            return Assessment(f"{text} (replaces what an earlier installation wrote)")
        text = f"{text} (replaces another, which is kept under a dated name)"
        if not self.asks:
            return Assessment(text)
        return Assessment(text, question=f"Replace {self.path}?", difference=self.difference(content))

    def apply(self, host: Host, record: Record, now: datetime) -> None:
        """Write it, after keeping what is there; or mend its owner and mode."""
        found = host.look(self.path)
        content = None if found is None else host.read(self.path)
        if found is not None and content is not None:
            if self._is_same(content):
                mine = digest(content) in _ours(record, self.path)
                change_attributes(host, record, self.path, self._wanted(host, found), mine=mine)
                return
            self._keep(host, record, found, content, now)
        make_ancestors(host, record, self.path)
        entry = record.find(FILE, self.path) or {"made": found is None, "copies": []}
        ours = _ours(record, self.path)
        # All that we ever wrote is named: after a kill before the writing the one before is there still.
        ours += [] if digest(self.data) in ours else [digest(self.data)]
        record.put(FILE, self.path, made=entry["made"], copies=entry["copies"], ours=ours)
        host.write(self.path, self.data, attributes_for(host, self.ownership, self.modes[0], found or _BLANK))

    def _is_same(self, content: bytes) -> bool:
        return content == self.data or self.same(content)

    def _wanted(self, host: Host, found: Found) -> Attributes:
        mode = found.attributes.mode if found.attributes.mode in self.modes else self.modes[0]
        return attributes_for(host, self.ownership, mode, found)

    def _keep(self, host: Host, record: Record, found: Found, content: bytes, now: datetime) -> None:
        """Keep somebody's version beside the file, readable for its owner alone: it may hold keys."""
        mark = digest(content)
        if mark in _ours(record, self.path):
            return
        entry = record.find(FILE, self.path) or {"made": False, "copies": []}
        copy = next((copy for copy in entry["copies"] if copy["digest"] == mark), None)
        if copy is None:
            copy = {"path": _free_name(host, self.path, now), "digest": mark, **asdict(found.attributes)}
            copies = [*entry["copies"], copy]
            record.put(FILE, self.path, made=entry["made"], copies=copies, ours=_ours(record, self.path))
        if host.look(copy["path"]) is None:
            private = Attributes(found.attributes.uid, found.attributes.gid, found.attributes.mode & 0o700)
            host.write(copy["path"], content, private)


def _ours(record: Record, path: str) -> list[str]:
    entry: Entry | None = record.find(FILE, path)
    return list(entry["ours"]) if entry else []


def _free_name(host: Host, path: str, now: datetime) -> str:
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S")
    names = (f"{path}.{stamp}{f'-{number}' if number else ''}.bak" for number in range(_MOST_COPIES))
    name = next((name for name in names if host.look(name) is None), None)
    if name is None:
        raise SetupError(f"there are a thousand copies of {path} of this second", "remove the older ones")
    return name


@dataclass(frozen=True)
class OwnFile:
    """See that a file that is there already is the connector's own, so that it can go on writing it."""

    path: str
    ownership: Ownership

    def assess(self, host: Host, record: Record) -> Assessment:  # noqa: ARG002
        """Look at the file, if it is there."""
        found = host.look(self.path)
        if found is None:
            return Assessment("", needed=False)
        require_kind(found, self.path, "file")
        wanted = attributes_for(host, self.ownership, found.attributes.mode | _OWNER_WRITES, found)
        text = f"{self.path} {self.ownership}"
        return assess_attributes(host, text, self.ownership, found.attributes, wanted)

    def apply(self, host: Host, record: Record, now: datetime) -> None:  # noqa: ARG002
        """Give it to the connector."""
        found = host.look(self.path)
        if found is not None:
            wanted = attributes_for(host, self.ownership, found.attributes.mode | _OWNER_WRITES, found)
            change_attributes(host, record, self.path, wanted, mine=False)


@dataclass(frozen=True)
class SetAside:
    """Move something out of the way, into a dated directory below `base`."""

    path: str
    base: str

    def assess(self, host: Host, record: Record) -> Assessment:  # noqa: ARG002
        """Look whether it is there."""
        text = f"{self.path} is set aside, in {self.base}/set-aside.…/"
        return Assessment(text, needed=host.look(self.path) is not None)

    def apply(self, host: Host, record: Record, now: datetime) -> None:
        """Move it."""
        directory = f"{self.base}/set-aside.{now.strftime('%Y-%m-%dT%H-%M-%S')}"
        goal = f"{directory}/{self.path.rpartition('/')[2]}"
        record.put(ASIDE, goal, origin=self.path)
        if host.look(directory) is None:
            host.make_directory(directory)
        host.move(self.path, goal)


PARENT, LOG, SPOOL = "parent", "log", "spool"
"""What a leaving is, and with that how it goes: an empty directory, a log with its rotated ones, a spool of ours."""


@dataclass(frozen=True)
class ExpectLeavings:
    """Note what will come to be when the connector runs and is not there yet, so that `uninstall` removes it too.

    `leavings` are pairs of a path and what it is; directories come before what is in them.
    """

    leavings: tuple[tuple[str, str], ...]

    def _missing(self, host: Host, record: Record) -> list[tuple[str, str]]:
        return [
            (path, what)
            for path, what in self.leavings
            if host.look(path) is None and record.find(LEAVING, path) is None
        ]

    def assess(self, host: Host, record: Record) -> Assessment:
        """Look what is not there yet; it is not worth a line of its own."""
        return Assessment("", needed=bool(self._missing(host, record)))

    def apply(self, host: Host, record: Record, now: datetime) -> None:  # noqa: ARG002
        """Note it."""
        for path, what in self._missing(host, record):
            record.put(LEAVING, path, what=what)


@dataclass(frozen=True)
class LoadUnit:
    """Have systemd read the unit's file, where systemd runs this host."""

    name: str
    data: bytes = field(repr=False)

    def assess(self, host: Host, record: Record) -> Assessment:
        """Look whether this version has been read."""
        entry = record.find(UNIT, self.name)
        loaded = entry is not None and entry["loaded"] == digest(self.data)
        return Assessment(f"systemctl daemon-reload ({self.name})", needed=host.has_systemd and not loaded)

    def apply(self, host: Host, record: Record, now: datetime) -> None:  # noqa: ARG002
        """Have it read."""
        record.put(UNIT, self.name, loaded="")
        run_command(["systemctl", "daemon-reload"])
        record.put(UNIT, self.name, loaded=digest(self.data))
