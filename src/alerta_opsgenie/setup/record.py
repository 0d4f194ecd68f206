"""What an installation did, written down before each step: the ground on which `uninstall` undoes exactly that.

The record lies in a directory of root's own, because whoever can write it can have root remove files. It is a JSON
object with a list of entries, in the order in which things were done. An entry that was written down and whose step
was then not done (a kill in between) is harmless: undoing looks at what is really there.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from alerta_opsgenie.setup.host import Attributes, Host, SetupError

if TYPE_CHECKING:
    from typing_extensions import Self

DIRECTORY = "/var/lib/alerta-opsgenie-setup"
VERSION = 1

Entry = dict[str, Any]


def record_path(edge: str, user: str) -> str:
    """Say where the record of this connector's installation is."""
    return f"{DIRECTORY}/{edge}-{user}.json"


def _parse(data: bytes) -> list[Entry]:
    value = json.loads(data)
    if value["version"] != VERSION:
        raise ValueError
    return list(value["entries"])


class Record:
    """The record of one installation. Entries are found by `find`, and come in by `put`, which writes them to disk.

    With `open`, which only who changes something does, no second installation can change it at the same time.
    """

    def __init__(self, host: Host, edge: str, user: str) -> None:
        self.path = record_path(edge, user)
        self._host = host
        self._lock: int | None = None
        self.entries: list[Entry] = []
        self.read()

    def read(self) -> None:
        """Read what is there. Raises `SetupError` for what is no record of ours."""
        if self._host.look(self.path) is None:
            return
        try:
            self.entries = _parse(self._host.read(self.path))
        except OSError as error:
            raise SetupError(f"{self.path} cannot be read: {error.strerror}", "run as root") from None
        except (ValueError, KeyError, TypeError):
            what = f"{self.path}, the record of what was installed, cannot be understood"
            raise SetupError(what, "use the version that wrote it, or remove it and what it names by hand") from None

    def __enter__(self) -> Self:
        self._make_directory()
        self._lock = os.open(self._host.at(DIRECTORY), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            what = "another install or uninstall is at work on this host"
            raise SetupError(what, "wait until it has ended, then run this again") from None
        self.read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.entries:
            self._vanish()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def find(self, kind: str, name: str) -> Entry | None:
        """Give the entry of this kind about this name, if there is one."""
        return next((entry for entry in self.entries if (entry["kind"], entry["name"]) == (kind, name)), None)

    def put(self, kind: str, name: str, **values: Any) -> Entry:
        """Write an entry down, or new values of one that is there."""
        entry = self.find(kind, name)
        if entry is None:
            entry = {"kind": kind, "name": name}
            self.entries.append(entry)
        entry.update(values)
        self._save()
        return entry

    def drop(self, entry: Entry) -> None:
        """Take an entry away: what it tells of is undone."""
        self.entries.remove(entry)
        self._save()

    def _save(self) -> None:
        text = json.dumps({"version": VERSION, "entries": self.entries}, indent=1) + "\n"
        self._host.write(self.path, text.encode("utf-8"), Attributes(0, 0, 0o600))

    def _make_directory(self) -> None:
        directory = self._host.at(DIRECTORY)
        directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        directory.mkdir(mode=0o755, exist_ok=True)

    def _vanish(self) -> None:
        """Leave no trace: neither the record nor the directory, if nobody else's record is in it."""
        with suppress(OSError):
            self._host.remove_file(self.path)
        self._host.remove_directory(DIRECTORY)
