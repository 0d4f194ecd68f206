"""The services of this host, found among systemd's units, and their environment (systemd.exec(5)).

Specifiers other than `%%` (`%h`, `%i`) are not expanded: only systemd knows their values.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterable, Iterator, Mapping

from alerta_opsgenie.vendor.safe_files import SafeFiles

DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTINUED_LINE = re.compile(r"\\\n(?:[ \t]*[#;][^\n]*\n)*")
_FILE_ENTRY = re.compile(
    r"""^[ \t]*(?P<name>[A-Za-z_]\w*)[ \t]*=[ \t]*(?P<value>(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^'"\\\n])*)$""",
    re.MULTILINE | re.DOTALL | re.ASCII,
)
_VALUE_PART = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|((?:\\.|[^'"\\])+)""", re.DOTALL)


@dataclass(frozen=True)
class Unit:
    """A service: the path of its unit, its user, its command, and its environment variables."""

    path: str = ""
    user: str = ""
    command: tuple[str, ...] = field(default=(), repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The service's name for systemctl."""
        return Path(self.path).name


def find_units(directories: tuple[str, ...] = DIRECTORIES) -> Iterator[Unit]:
    """Read the services; a unit or drop-in in an earlier directory replaces one of the same name."""
    for name, path in _by_name(directories, "*.service"):
        drop_ins = _by_name([f"{directory}/{name}.d" for directory in directories], "*.conf")
        yield read_unit(path, map(_text, [path, *(part for _, part in drop_ins)]), _text)


def _by_name(directories: Iterable[str], pattern: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for directory in directories:
        for path in Path(directory).glob(pattern):
            found.setdefault(path.name, str(path))
    return sorted(found.items())


def _text(path: str) -> str:
    """Read a file that only root can change: one that others can change may be a link to any file of root's."""
    try:
        return SafeFiles().read(path).decode("utf-8", "replace") if SafeFiles().find_writer(path) == 0 else ""
    except OSError:
        return ""


def read_unit(path: str, texts: Iterable[str], read_file: Callable[[str], str]) -> Unit:
    """Read a unit and its drop-ins, in order. `read_file` returns a file's text, empty if there is none."""
    last: dict[str, str] = {}
    own: dict[str, str] = {}
    files: list[str] = []
    for name, value in (setting for text in texts for setting in _service_settings(text)):
        last[name] = value
        # An empty value removes all earlier ones.
        if name == "Environment":
            own = {**own, **parse_environment(value)} if value else {}
        elif name == "EnvironmentFile":
            files = [*files, value.lstrip("-")] if value else []
    for file in files:
        own.update(parse_environment_file(read_file(file)))
    unset = _words(last.get("UnsetEnvironment", ""))
    command = _words(last.get("ExecStart", "").lstrip("@:+!- \t"))
    variables = {name: own[name] for name in own if name not in unset}
    return Unit(path, last.get("User", ""), tuple(command), variables)


def _service_settings(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in (line.strip() for line in _CONTINUED_LINE.sub(" ", text).splitlines()):
        section = line if line.startswith("[") else section
        name, mark, value = line.partition("=")
        if section == "[Service]" and mark and name[:1] not in "#;":
            yield name.strip(), value.strip()


def parse_environment(value: str) -> dict[str, str]:
    """Read the value of an `Environment=` line: assignments with spaces between them."""
    pairs = (word.replace("%%", "%").partition("=") for word in _words(value))
    return {name: text for name, mark, text in pairs if mark and _NAME.fullmatch(name)}


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        # An unclosed quote: systemd ignores the line.
        return []


def parse_environment_file(text: str) -> dict[str, str]:
    """Read an environment file: `NAME=value` lines, comments after `#` or `;`, quotes over several lines."""
    entries = _FILE_ENTRY.finditer(text.replace("\r\n", "\n"))
    return {entry["name"]: "".join(map(_unquote, _VALUE_PART.findall(entry["value"].rstrip()))) for entry in entries}


def _unquote(part: tuple[str, str, str]) -> str:
    single, double, plain = part
    if double:
        return re.sub(r'\\(["\\`$])', r"\1", double.replace("\\\n", ""))
    return single or re.sub(r"\\(.)", r"\1", plain.replace("\\\n", ""))
