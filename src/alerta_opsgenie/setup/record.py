"""What an installation made, so that `uninstall` removes exactly that.

The record is a JSON file in a directory of root's: whoever can write it can have root remove files. An entry is written
down before its change is made. An entry whose change was then not made is harmless: undoing looks at what is there.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import Any, Iterator

from alerta_opsgenie.setup.host import Host, SetupError

DIRECTORY = "/var/lib/alerta-opsgenie-setup"
VERSION = 2

GROUP, USER, DIRECTORY_MADE, FILE, LOG, UNIT = "group", "user", "directory", "file", "log", "unit"
"""The kinds of entries. LOG is a file that the connector will write; it goes with its rotated ones."""

Entry = dict[str, Any]


class Record:
    """The record of one installation: `entries` in the order in which things were made, and its `places`.

    `places` are `home`, `log_directory` and `own`: what no other installation may use.
    """

    def __init__(self, host: Host, edge: str, user: str) -> None:
        self.path = f"{DIRECTORY}/{edge}-{user}.json"
        self._files = host.files
        self._host = host
        self.places: dict[str, Any] = {}
        self.entries: list[Entry] = []
        self.read()

    def read(self) -> None:
        """Read what is there. Raises `SetupError` for what is no record."""
        if self._files.look(self.path) is not None:
            self.places, self.entries = _parse(self._host, self.path)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep every other install and uninstall out. A record without entries is removed at the end."""
        make_above(self._host, self.path)
        lock = os.open(f"{self._host.root}{DIRECTORY}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.read()
            yield
            if not self.entries:
                self._files.remove(self.path)
                self._files.remove_directory(DIRECTORY)
        except BlockingIOError:
            what = "another install or uninstall is at work on this host"
            raise SetupError(what, "wait until it has ended, then run this again") from None
        finally:
            os.close(lock)

    def find(self, kind: str, name: str) -> Entry | None:
        """Give the entry of this kind and name, if there is one."""
        return next((entry for entry in self.entries if (entry["kind"], entry["name"]) == (kind, name)), None)

    def put(self, entry: Entry) -> None:
        """Write an entry down, or new values of one that is there."""
        there = self.find(entry["kind"], entry["name"])
        if there is None:
            self.entries.append(entry)
        else:
            there.update(entry)
        self.save()

    def drop(self, entry: Entry) -> None:
        """Take an entry away: what it names is gone."""
        self.entries.remove(entry)
        self.save()

    def save(self) -> None:
        """Write the record, for root alone."""
        text = json.dumps({"version": VERSION, "places": self.places, "entries": self.entries}, indent=1) + "\n"
        self._files.write(self.path, text.encode("utf-8"), 0o600)

    def others(self) -> Iterator[tuple[str, list[str]]]:
        """Give the other installations of this host, each by its name and with the places that are its own."""
        if self._files.look(DIRECTORY) is not None:
            for name in self._files.names(DIRECTORY):
                if name.endswith(".json") and f"{DIRECTORY}/{name}" != self.path:
                    places, _ = _parse(self._host, f"{DIRECTORY}/{name}")
                    yield name.removesuffix(".json"), list(places.get("own", ()))


def make_above(host: Host, path: str) -> None:
    """Make the directories above a path that are not there; all may enter them."""
    parts = path.strip("/").split("/")[:-1]
    for count in range(1, len(parts) + 1):
        above = "/" + "/".join(parts[:count])
        if host.files.look(above) is None:
            host.files.make_directory(above, 0o755)


def _parse(host: Host, path: str) -> tuple[dict[str, Any], list[Entry]]:
    try:
        value = json.loads(host.files.read(path))
        if value["version"] == 1:
            return {}, [entry for old in value["entries"] for entry in _of_version_1(old)]
        if value["version"] == VERSION:
            return dict(value["places"]), list(value["entries"])
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}", "run as root") from None
    except (ValueError, KeyError, TypeError):
        pass
    what = f"{path}, the record of what was installed, cannot be understood"
    raise SetupError(what, "use the version that wrote it, or remove it and what it names by hand")


def _of_version_1(old: Entry) -> Iterator[Entry]:
    """Read an entry of the earlier form. Owners and modes that it wanted back are left as they are."""
    kind, name = old["kind"], old["name"]
    if kind in {GROUP, USER, DIRECTORY_MADE, UNIT}:
        yield {"kind": kind, "name": name}
    elif kind == FILE:
        backup = "" if old["made"] else old["copies"][0]["path"]
        yield {"kind": FILE, "name": name, "backup": backup, "digests": old["ours"]}
    elif kind == "leaving":
        yield {"kind": LOG if old["what"] == LOG else DIRECTORY_MADE, "name": name}
