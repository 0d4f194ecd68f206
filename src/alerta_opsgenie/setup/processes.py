"""The host's processes, and which of them is a connector."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Mapping

from alerta_opsgenie.agent.handover import last_value
from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC

PROGRAMS: Mapping[str, str] = {OEC: "OpsgenieEdgeConnector", JEC: "JiraEdgeConnector", NATIVE: "alerta-opsgenie"}
"""The names of the vendor's programs (release/oec-builder of opsgenie/oec and atlassian/jec), and of ours."""

SCRIPT = "oecAlertaExecutor"
"""The executor's processes have this in their command line."""

SERVICES: Mapping[str, str] = {OEC: "oec", JEC: "jec", NATIVE: "alerta-opsgenie"}
"""The services of the packages (the vendor's documentation), and ours."""

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process of the host. `environment` is None if this user may not read it."""

    pid: int
    uid: int
    gid: int
    arguments: tuple[str, ...] = field(repr=False)
    environment: Mapping[str, str] | None = field(default=None, repr=False)

    def option(self, name: str) -> str:
        """Return the value of a long option of the command line; empty if it is not given."""
        return last_value(list(self.arguments), name)


def list_processes(proc: Path = PROC) -> Iterator[Process]:
    """Yield the processes that this user can see, except this one."""
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
        return None  # it has ended, or is hidden (hidepid)
    try:
        pairs = (variable.partition("=") for variable in _split((entry / "environ").read_bytes()))
        environment = {name: value for name, mark, value in pairs if mark}
    except OSError:
        environment = None
    return Process(int(entry.name), status.st_uid, status.st_gid, arguments, environment)


def _split(data: bytes) -> tuple[str, ...]:
    return tuple(part.decode("utf-8", "replace") for part in data.rstrip(b"\0").split(b"\0")) if data else ()


def is_connector(process: Process, edge: str) -> bool:
    """Return whether this is the connector itself, not one of its scripts or another command of ours."""
    names = [argument.rpartition("/")[2] for argument in process.arguments[:3]]
    if edge != NATIVE:
        return PROGRAMS[edge] in names[:2]
    return is_run_command(process.arguments)


def is_run_command(command: tuple[str, ...]) -> bool:
    """Return whether a command line is that of our connector, `alerta-opsgenie run`."""
    names = [argument.rpartition("/")[2] for argument in command[:3]]
    return "run" in command[1:4] and (PROGRAMS[NATIVE] in names[:2] or "alerta_opsgenie" in names)
