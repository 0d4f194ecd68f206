"""The connectors' own logs, and what their executor wrote: read from the end, and without secrets."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from alerta_opsgenie.core.instants import iso_seconds
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.vendor.config import NATIVE

_VERSION = re.compile(r"(?:OEC|JEC) version is ([0-9A-Za-z.+-]+)")
_TAIL_BYTES = 256 * 1024
_HEAD_BYTES = 4096
_FAILURE_LEVELS = {"ERRO", "FATA", "PANI"}

# logrus's TextFormatter, with ForceColors (opsgenie/oec, queue/poller.go) and without.
_LINE = re.compile(
    r"""(?:\x1b\[\d+m)?(?:time="?(?P<when>[0-9T:.Z+-]+)"? level=)?(?P<level>[A-Za-z]{4})\w*"""
    r"""(?:(?:\x1b\[0m)?\[(?P<at>[0-9T:.Z+-]+)\]\s*| msg=)(?P<text>.*)"""
)


def logs_named(inst: Installation, pattern: str) -> list[Path]:
    """Give the connector's own logs whose names match, the newest first; none where they cannot be listed."""
    if inst.edge == NATIVE:
        return []
    try:
        found = [path for path in Path(inst.log_directory).iterdir() if re.fullmatch(pattern, path.name)]
        return sorted(found, key=lambda path: -path.lstat().st_mtime)
    except OSError:
        return []


def connector_log(inst: Installation) -> str | None:
    """Give the connector's own log: its process's, else the one that was written last; None: there is none."""
    logs = logs_named(inst, rf"{inst.edge}\d+\.log")
    of_process = [path for path in logs if inst.process and path.name == f"{inst.edge}{inst.process.pid}.log"]
    return str((of_process or logs)[0]) if logs else None


def read_version(log: str) -> str:
    """Read which version wrote a log."""
    with suppress(OSError), Path(log).open(encoding="utf-8", errors="replace") as file:
        match = _VERSION.search(file.read(_HEAD_BYTES))
        return match[1] if match else "unknown"
    return "unknown"


def read_tail(path: str, *, most_bytes: int = _TAIL_BYTES) -> list[str]:
    """Read the last lines of a text file; none where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            lines = file.read(most_bytes).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > most_bytes else lines


def last_error(lines: list[str]) -> tuple[float, str]:
    """Find the last error that a connector logged: when, in seconds since the epoch, and what; 0 and nothing: none."""
    for line in reversed(lines):
        match = _LINE.match(line)
        at = iso_seconds(match["when"] or match["at"] or "") if match else None
        if match and at is not None and match["level"].upper() in _FAILURE_LEVELS:
            return at, match["text"].strip().strip('"')
    return 0.0, ""
