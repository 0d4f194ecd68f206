"""The record of what `install` made, so that `uninstall` removes exactly that.

The record is a JSON file in a directory of root's: a user who can write it can make root remove files. An entry is
written before its change is made. An entry without its change is harmless: undoing first checks what exists.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, Iterator

from alerta_opsgenie.setup.host import Host, SetupError

DIRECTORY = "/var/lib/alerta-opsgenie-setup"
VERSION = 2

GROUP, USER, DIRECTORY_MADE, FILE, LOG, UNIT = "group", "user", "directory", "file", "log", "unit"
KINDS = {GROUP, USER, DIRECTORY_MADE, FILE, LOG, UNIT}
"""The kinds of entries. LOG is a file that the connector will write; its rotated files are removed with it."""

Entry = dict[str, Any]


class Record:
    """The record of one installation: its `entries` in the order of their changes, and its `places`.

    `places` has `home`, `log_directory` and `own`, the paths that no other installation may use. Raises `SetupError`.
    """

    def __init__(self, host: Host, edge: str, user: str) -> None:
        self.path = f"{DIRECTORY}/{edge}-{user}.json"
        self._files = host.files
        self._host = host
        self.places, self.entries = self._read(self.path)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Lock out every other install and uninstall. At the end, remove a record without entries."""
        for above in [str(parent) for parent in PurePosixPath(self.path).parents][-2::-1]:
            if self._files.look(above) is None:
                self._files.make_directory(above, 0o755)
        lock = os.open(f"{self._host.root}{DIRECTORY}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.places, self.entries = self._read(self.path)
            yield
            if not self.entries:
                self._files.remove(self.path)
                self._files.remove_directory(DIRECTORY)
        except BlockingIOError:
            what = "another install or uninstall is running on this host"
            raise SetupError(what, "wait until it has ended, then run this again") from None
        finally:
            os.close(lock)

    def find(self, kind: str, name: str) -> Entry | None:
        """Return the entry of this kind and name, or None."""
        return next((entry for entry in self.entries if (entry["kind"], entry["name"]) == (kind, name)), None)

    def put(self, entry: Entry) -> None:
        """Save an entry, or new values of an existing one."""
        there = self.find(entry["kind"], entry["name"])
        if there is None:
            self.entries.append(entry)
        else:
            there.update(entry)
        self._save()

    def drop(self, entry: Entry) -> None:
        """Remove an entry from the record."""
        self.entries.remove(entry)
        self._save()

    def _save(self) -> None:
        text = json.dumps({"version": VERSION, "places": self.places, "entries": self.entries}, indent=1) + "\n"
        self._files.write(self.path, text.encode("utf-8"), 0o600)

    def others(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the name and the own paths of each other installation on this host."""
        names = self._files.names(DIRECTORY) if self._files.look(DIRECTORY) else []
        for name in names:
            if name.endswith(".json") and f"{DIRECTORY}/{name}" != self.path:
                places, _ = self._read(f"{DIRECTORY}/{name}")
                yield name.removesuffix(".json"), list(places.get("own", ()))

    def _read(self, path: str) -> tuple[dict[str, Any], list[Entry]]:
        """Return `places` and `entries` of a record; empty ones if there is none. Raises `SetupError`."""
        try:
            if self._files.look(path) is None:
                return {}, []
            value = json.loads(self._files.read(path))
            if value["version"] == VERSION and {entry["kind"] for entry in value["entries"]} <= KINDS:
                return dict(value["places"]), list(value["entries"])
        except OSError as error:
            raise SetupError(f"{path} cannot be read: {error.strerror}", "run as root") from None
        except (ValueError, KeyError, TypeError):
            pass
        what = f"{path}, the record of what was installed, cannot be parsed"
        raise SetupError(what, "use the version that wrote it, or delete it and the files that it lists by hand")
