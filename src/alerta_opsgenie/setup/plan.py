"""The plan of an installation: all changes, found before the first is made. A replaced file is kept as a dated copy."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Callable, Iterator, Mapping

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.executor.build import NAMES
from alerta_opsgenie.setup.connector_config import show_difference
from alerta_opsgenie.setup.host import Host, SetupError, run_command
from alerta_opsgenie.setup.layout import ROOT, SCRIPT_MODE, STARTED_SCRIPT_MODE, Directory, Layout, Ownership
from alerta_opsgenie.setup.record import DIRECTORY_MADE, FILE, GROUP, LOG, UNIT, USER, Entry, Record
from alerta_opsgenie.vendor.safe_files import FileStatus
from alerta_opsgenie.vendor.store import dump_document, free_name

_OWNER_ALL, _OTHERS_WRITE = 0o700, 0o022
_UNIT_MODE = 0o644
_EXISTS = 9  # useradd(8), groupadd(8)


@dataclass(frozen=True)
class Contents:
    """The contents of the files. With `config` None, the existing one and its `kept_state` directory stay."""

    executor: bytes = field(repr=False)
    config: Mapping[str, Any] | None = field(repr=False)
    alerta_key: Secret
    unit: str
    kept_state: str = ""


@dataclass(frozen=True)
class Change:
    """One change, made by `do`. `text` describes it (empty: it is not shown).

    `entry` is recorded before `do`, `after` when it is done. If a file that a person edited would be replaced,
    `question` asks for that, and `difference` shows it without secrets.
    """

    text: str
    do: Callable[[], None] = field(default=lambda: None, repr=False)
    entry: Entry | None = None
    after: Entry | None = None
    question: str = ""
    difference: str = ""


@dataclass(frozen=True)
class File:
    """A file as it should be. The first of `modes` is set; the others are accepted.

    `same` returns whether another content is equivalent and may stay. `difference` returns what would change (empty:
    the content is equivalent); a person is then asked before the file is replaced.
    """

    path: str
    data: bytes = field(repr=False)
    ownership: Ownership
    modes: tuple[int, ...]
    same: Callable[[bytes], bool] = field(default=lambda _: False, repr=False)
    difference: Callable[[bytes], str] | None = field(default=None, repr=False)


def make_plan(
    host: Host, layout: Layout, record: Record, contents: Contents, *, now: datetime | None = None
) -> list[Change]:
    """Return all changes that are needed, in order. Raises `SetupError` and `OSError`."""
    _refuse_others_places([*layout.own_places, layout.unit, contents.kept_state], record)
    plan = _Planner(host, layout, record, now or datetime.now().astimezone())
    return [
        *plan.users(),
        *plan.above(),
        *(change for directory in layout.directories for change in plan.directory(directory)),
        *(change for file in _files(layout, contents) for change in plan.file(file)),
        *plan.ownership(),
        *plan.logs(),
        *plan.unit(contents.unit),
    ]


def apply_plan(layout: Layout, record: Record, changes: list[Change], report: Callable[[str], None]) -> None:
    """Make the changes and `report` each. Raises `SetupError` and `OSError`; a new plan then makes the rest."""
    with record.opened():
        own = [*layout.own_places, layout.unit]
        record.places = {"home": layout.home, "log_directory": layout.log_directory, "own": own}
        for change in changes:
            if change.entry is not None:
                record.put(change.entry)
            change.do()
            if change.after is not None:
                record.put(change.after)
            if change.text:
                report(change.text)


def digest(data: bytes) -> str:
    """Return the SHA-256 digest of a file's content."""
    return hashlib.sha256(data).hexdigest()


def _refuse_others_places(wanted: list[str], record: Record) -> None:
    for name, places in record.others():
        for place in filter(None, wanted):
            if any(f"{place}/".startswith(f"{other}/") or f"{other}/".startswith(f"{place}/") for other in places):
                advice = "give another --user, or other places with --home and --log-dir"
                raise SetupError(f"{place} belongs to the installation {name}", advice, usage=True)


def _files(layout: Layout, contents: Contents) -> Iterator[File]:
    for name in NAMES if layout.scripts else ():
        modes = (SCRIPT_MODE, STARTED_SCRIPT_MODE)
        yield File(f"{layout.scripts}/{name}", contents.executor, layout.ownership, modes)
    key = f"{contents.alerta_key.reveal()}\n".encode("ascii")
    owner, mode = layout.config_ownership, layout.config_mode
    yield File(layout.key_file, key, owner, (mode,), lambda content: content.strip() == key.strip())
    if contents.config is not None:
        value, data = contents.config, dump_document(contents.config).encode("utf-8", "replace")
        yield File(
            layout.config, data, owner, (mode,), difference=lambda content: show_difference(content, value, layout)
        )
    yield File(layout.unit, contents.unit.encode("utf-8"), ROOT, (_UNIT_MODE,))


class _Planner:
    """Finds the changes for one installation."""

    def __init__(self, host: Host, layout: Layout, record: Record, now: datetime) -> None:
        self._host, self._layout, self._record, self._now = host, layout, record, now
        self._files = host.files
        self._look = host.files.look

    def users(self) -> Iterator[Change]:
        """Make the system group and user, without a login. An image's own tools make them there."""
        host, user, group, home = self._host, self._layout.user, self._layout.group, self._layout.home
        shell = shutil.which("nologin", path="/usr/sbin:/sbin") or "/bin/false"
        add_group = ["groupadd", "--system", group]
        add_user = ["useradd", "--system", "--gid", group, "--home-dir", home, "--no-create-home", "--shell", shell]
        if not host.staged and host.group_number(group) is None:
            entry = {"kind": GROUP, "name": group}
            yield Change(f"group {group}", partial(run_command, add_group, fine=_EXISTS), entry)
        if not host.staged and host.user_number(user) is None:
            entry = {"kind": USER, "name": user}
            text = f"user {user} (home {home}, no login)"
            yield Change(text, partial(run_command, [*add_user, user], fine=_EXISTS), entry)

    def ownership(self) -> Iterator[Change]:
        """Change the owner of directories that root made by hand to the connector's user.

        This runs after the files are written, and for the deepest directory first: so all directories above are still
        root's when one is changed.
        """
        for directory in sorted(self._layout.directories, key=lambda one: -one.path.count("/")):
            path, found = directory.path, self._look(directory.path)
            if found is None or found.kind != "directory" or self._belongs(found, directory.ownership):
                continue
            if found.uid != 0 or self._files.find_writer(path) != 0:
                what = f"{path} belongs to user {found.uid}, and not to {directory.ownership.user}"
                raise SetupError(what, f"if it should: chown -h {directory.ownership} {path}")
            yield self._made(directory)

    def _belongs(self, found: FileStatus, ownership: Ownership) -> bool:
        """Return whether `found` already has this owner. A user who does not exist yet owns nothing."""
        numbers = self._host.numbers(ownership)
        if numbers is None:
            return os.geteuid() != 0 or self._host.staged
        return found.uid == numbers[0] and (ownership.user != "root" or found.gid == numbers[1])

    def above(self) -> Iterator[Change]:
        """Make missing directories above those of the layout; an image may lack them."""
        planned = [directory.path for directory in self._layout.directories]
        parents = {str(parent) for path in (*planned, self._layout.unit) for parent in PurePosixPath(path).parents}
        for path in sorted(parents - {*planned, "/"}):
            if self._look(path) is None:
                yield Change("", partial(self._make, path, 0o755, ROOT), {"kind": DIRECTORY_MADE, "name": path})

    def _make(self, path: str, mode: int, ownership: Ownership) -> None:
        self._files.make_directory(path, mode, self._host.numbers(ownership))

    def _made(self, directory: Directory, entry: Entry | None = None) -> Change:
        text = f"{directory.path}/ {directory.ownership} {directory.mode:04o}"
        return Change(text, partial(self._make, directory.path, directory.mode, directory.ownership), entry)

    def directory(self, directory: Directory) -> Iterator[Change]:
        """Make a directory; correct the mode of one that others can write to. OEC sets its log directory to 0744."""
        path, found = directory.path, self._look(directory.path)
        if found is None:
            yield self._made(directory, {"kind": DIRECTORY_MADE, "name": path})
            return
        _require(found, path, "directory")
        is_right = found.mode & _OWNER_ALL == _OWNER_ALL and not found.mode & _OTHERS_WRITE
        if self._belongs(found, directory.ownership) and not is_right:
            yield self._made(directory)

    def file(self, file: File) -> Iterator[Change]:
        """Write a file; keep a copy of one that this program did not write."""
        found = self._look(file.path)
        text = f"{file.path} {file.ownership} {file.modes[0]:04o}"
        if found is None:
            yield Change(text, partial(self._write, file, file.data), self._entry(file))
            return
        _require(found, file.path, "file")
        content = self._files.read(file.path)
        there = self._record.find(FILE, file.path)
        difference = file.difference(content) if file.difference else ""
        if content == file.data or file.same(content) or (file.difference and not difference):
            if not self._belongs(found, file.ownership) or found.mode not in file.modes:
                yield Change(text, partial(self._write, file, content))
        elif there and digest(content) in there["digests"]:
            yield Change(f"{text} (a new version)", partial(self._write, file, file.data), self._entry(file))
        else:
            yield self._replacement(file, content, text, difference)

    def _write(self, file: File, data: bytes, path: str = "") -> None:
        self._files.write(path or file.path, data, file.modes[0], self._host.numbers(file.ownership))

    def _replace(self, file: File, content: bytes, backup: str) -> None:
        self._write(file, content, backup)
        self._write(file, file.data)

    def _replacement(self, file: File, content: bytes, text: str, difference: str) -> Change:
        backup = free_name(self._files, file.path, self._now)
        question = f"Replace {file.path}?" if difference else ""
        text = f"{text} (replaces another, kept as {backup})"
        do = partial(self._replace, file, content, backup)
        return Change(text, do, self._entry(file, backup), question=question, difference=difference)

    def _entry(self, file: File, backup: str = "") -> Entry:
        """Return the record of a file: the digests of all versions that were written, and the first backup.

        A kill may leave the previous version, so its digest stays. `uninstall` restores the first backup.
        """
        there = self._record.find(FILE, file.path) or {"backup": backup, "digests": []}
        digests = [*dict.fromkeys((*there["digests"], digest(file.data)))]
        return {"kind": FILE, "name": file.path, "backup": there["backup"], "digests": digests}

    def logs(self) -> Iterator[Change]:
        """Record the logs that do not exist yet, so that `uninstall` removes them."""
        for path in self._layout.logs:
            if self._look(path) is None and self._record.find(LOG, path) is None:
                yield Change("", entry={"kind": LOG, "name": path})

    def unit(self, content: str) -> Iterator[Change]:
        """Make systemd load the unit. The agent is started at once; an administrator starts the native connector.

        The record has the digest of the unit that systemd has `loaded`: a kill can leave a file that is not loaded.
        """
        path, name, data = self._layout.unit, self._layout.unit_name, content.encode("utf-8")
        is_same = self._look(path) is not None and self._files.read(path) == data
        is_loaded = (self._record.find(UNIT, name) or {}).get("loaded") == digest(data)
        if (is_same and is_loaded) or not self._host.has_systemd:
            return
        commands = [["daemon-reload"], *([["enable", "--now", name]] if self._layout.scripts else [])]

        def load() -> None:
            for command in commands:
                run_command(["systemctl", *command])

        text = "; ".join(f"systemctl {' '.join(command)}" for command in commands)
        entry = {"kind": UNIT, "name": name, "loaded": ""}
        yield Change(text, load, entry, {**entry, "loaded": digest(data)})


def _require(found: FileStatus, path: str, kind: str) -> None:
    if found.kind != kind:
        what = f"{path} is a {found.kind}, where a {kind} should be"
        raise SetupError(what, "move it away, or choose another place (--home, --log-dir)")
