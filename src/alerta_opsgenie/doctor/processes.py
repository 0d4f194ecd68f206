"""The connector's process, found among the host's, and what is known of it: its user, its environment, its log."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Mapping

from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC

PROGRAMS: Mapping[str, str] = {OEC: "OpsgenieEdgeConnector", JEC: "JiraEdgeConnector", NATIVE: "alerta-opsgenie"}
"""The names of the vendor's programs (release/oec-builder of opsgenie/oec and atlassian/jec), and of ours."""

SERVICES: Mapping[str, str] = {OEC: "oec", JEC: "jec", NATIVE: "alerta-opsgenie"}
"""The services that the packages make (the vendor's documentation), and ours."""

PROC = Path("/proc")

_VERSION = re.compile(r"(?:OEC|JEC) version is (?P<version>[0-9A-Za-z.+-]+)")
_TAIL_BYTES = 256 * 1024
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Process:
    """A process of the host. `environment` is None where it may not be read."""

    pid: int
    uid: int
    gid: int
    arguments: tuple[str, ...] = field(repr=False)
    environment: Mapping[str, str] | None = field(default=None, repr=False)


def list_processes(proc: Path = PROC) -> Iterator[Process]:
    """Walk through the processes that can be seen; those that end meanwhile are passed over."""
    for entry in proc.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            found = _read(entry)
            if found is not None:
                yield found


def _read(entry: Path) -> Process | None:
    try:
        status = entry.stat()
        arguments = _split((entry / "cmdline").read_bytes())
    except OSError:
        return None  # it has ended since, or hides itself (hidepid)
    try:
        pairs = (variable.partition("=") for variable in _split((entry / "environ").read_bytes()))
        environment = {name: value for name, mark, value in pairs if mark}
    except OSError:
        environment = None
    return Process(int(entry.name), status.st_uid, status.st_gid, arguments, environment)


def _split(data: bytes) -> tuple[str, ...]:
    return tuple(part.decode("utf-8", "replace") for part in data.rstrip(b"\0").split(b"\0")) if data else ()


def is_connector(process: Process, edge: str) -> bool:
    """Whether this is the connector itself, and not one of its scripts or another command of ours."""
    names = [argument.rpartition("/")[2] for argument in process.arguments[:3]]
    if edge != NATIVE:
        return PROGRAMS[edge] in names[:2]
    return "run" in process.arguments[1:4] and (PROGRAMS[NATIVE] in names[:2] or "alerta_opsgenie" in names)


def connector_log(directory: str, edge: str, pid: int | None) -> str | None:
    """Give the connector's own log: its process's, else the one that was written last; None: there is none."""
    if edge == NATIVE:
        return None
    if pid is not None and (Path(directory) / f"{edge}{pid}.log").exists():
        return f"{directory}/{edge}{pid}.log"
    try:
        logs = [path for path in Path(directory).iterdir() if re.fullmatch(rf"{edge}\d+\.log", path.name)]
        return str(max(logs, key=lambda path: path.stat().st_mtime)) if logs else None
    except OSError:
        return None


def read_version(log: str) -> str:
    """Read which version wrote a log; an empty text where it does not say."""
    try:
        with Path(log).open(encoding="utf-8", errors="replace") as file:
            match = _VERSION.search(file.read(_HEAD_BYTES))
    except OSError:
        return ""
    return match["version"] if match else ""


def read_tail(path: str, *, most_bytes: int = _TAIL_BYTES) -> list[str]:
    """Read the last lines of a text file; none where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            lines = file.read(most_bytes).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > most_bytes else lines
