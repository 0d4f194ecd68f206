"""Services of this host, as systemd reads their units and environment files (systemd.unit(5), systemd.exec(5))."""

from __future__ import annotations

import glob
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Mapping

from alerta_opsgenie.vendor.safe_files import SafeFiles

DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENTS = ("#", ";")
_EXEC_PREFIXES = "@-:+!"
_LARGEST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Unit:
    """A service: where its unit lies, its user, the command that it starts, the variables that it sets."""

    path: str = ""
    user: str = ""
    command: tuple[str, ...] = field(default=(), repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The service's name, as systemctl takes it."""
        return Path(self.path).name


def find_units(directories: tuple[str, ...] = DIRECTORIES) -> Iterator[Unit]:
    """Read the services that root alone defines; a unit in an earlier directory goes before one of the same name."""
    seen: set[str] = set()
    for directory in directories:
        for path in sorted(glob.glob(f"{glob.escape(directory)}/*.service")):  # noqa: PTH207 - one of a fixed place
            if Path(path).name not in seen:
                seen.add(Path(path).name)
                yield read_unit(path, directories)


def read_unit(path: str, directories: tuple[str, ...] = DIRECTORIES) -> Unit:
    """Read a unit with its drop-ins."""
    dropped = {
        part.name: part
        for directory in reversed(directories)
        for part in Path(directory, f"{Path(path).name}.d").glob("*.conf")
    }
    lines = [line for part in (Path(path), *(dropped[name] for name in sorted(dropped))) for line in _lines(part)]
    settings = [(name, value) for name, value in _service_settings(lines)]
    return Unit(path, _last(settings, "User"), tuple(_words(_last(settings, "ExecStart"))), _environment(settings))


def _lines(path: Path) -> list[str]:
    """Give the lines that count, those with a backslash at the end joined. None of what others than root decide."""
    try:
        if SafeFiles().writer(str(path)) != 0:
            return []
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_LARGEST_BYTES)
    except OSError:
        return []
    text = re.sub(r"\\\n", " ", text)
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(_COMMENTS)]


def _service_settings(lines: list[str]) -> Iterator[tuple[str, str]]:
    section = ""
    for line in lines:
        if line.startswith("["):
            section = line
        elif section == "[Service]":
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _last(settings: list[tuple[str, str]], wanted: str) -> str:
    return next((value for name, value in reversed(settings) if name == wanted), "").lstrip(_EXEC_PREFIXES)


def _environment(settings: list[tuple[str, str]]) -> dict[str, str]:
    """Collect the variables: an empty setting forgets those before it, and files go before `Environment=`."""
    own: dict[str, str] = {}
    files: list[str] = []
    for name, value in settings:
        if name == "Environment":
            own = {**own, **dict(_assignments(_words(value)))} if value else {}
        elif name == "EnvironmentFile":
            files = [*files, value.lstrip("-")] if value else []
    found = [path for pattern in files for path in sorted(glob.glob(pattern))]  # noqa: PTH207 - a pattern as a whole
    return {**own, **{name: value for path in found for name, value in _assignments(_file_words(path))}}


def _file_words(path: str) -> Iterator[str]:
    for line in _lines(Path(path)):
        name, mark, value = line.partition("=")
        quoted = value.strip().startswith(('"', "'"))
        yield f"{name.strip()}{mark}{''.join(_words(value)) if quoted else value.strip()}"


def _assignments(words: Iterator[str] | list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, mark, value = word.partition("=")
        if mark and _NAME.fullmatch(name):
            yield name, value.replace("%%", "%")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []
