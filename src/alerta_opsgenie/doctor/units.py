"""The services of this host, found among systemd's units."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Mapping

from alerta_opsgenie.vendor.safe_files import SafeFiles
from alerta_opsgenie.vendor.systemd import read_unit

DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")

_COMMAND = re.compile(r"^[ \t]*ExecStart[ \t]*=[ \t]*[@:+!-]*[ \t]*(\S.*)$", re.MULTILINE)


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
    """Read the services; a unit in an earlier directory goes before one of the same name."""
    found: dict[str, Path] = {}
    for directory in reversed(directories):
        found.update({path.name: path for path in Path(directory).glob("*.service")})
    return (_read(found[name], directories) for name in sorted(found))


def _read(path: Path, directories: tuple[str, ...]) -> Unit:
    parts: dict[str, Path] = {}
    for directory in reversed(directories):
        parts.update({part.name: part for part in Path(directory, f"{path.name}.d").glob("*.conf")})
    texts = [_text(str(one)) for one in (path, *(parts[name] for name in sorted(parts)))]
    service = read_unit(texts, _text)
    commands = _COMMAND.findall("\n".join(texts).replace("\\\n", " "))
    return Unit(str(path), service.user, _words(commands[-1]) if commands else (), service.variables)


def _text(path: str) -> str:
    """Read what root alone decides; what others could put there may be a link to any file of root's."""
    try:
        return SafeFiles().read(path).decode("utf-8", "replace") if SafeFiles().writer(path) == 0 else ""
    except OSError:
        return ""


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return ()
