"""The connectors' own logs, and what their executor wrote: read from the end, and without secrets."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from alerta_opsgenie.vendor.config import NATIVE

_VERSION = re.compile(r"(?:OEC|JEC) version is (?P<version>[0-9A-Za-z.+-]+)")
_TAIL_BYTES = 256 * 1024
_HEAD_BYTES = 4096
_FAILURE_LEVELS = {"ERRO", "FATA", "PANI"}

# logrus's TextFormatter, with ForceColors (opsgenie/oec, queue/poller.go) and without.
_COLOURED = re.compile(r"(?:\x1b\[\d+m)?(?P<level>[A-Z]{4})\w*(?:\x1b\[0m)?\[(?P<when>[0-9T:.Z+-]+)\]\s*(?P<text>.*)")
_PLAIN = re.compile(r'time="?(?P<when>[0-9T:.Z+-]+)"? level=(?P<level>[a-z]{4})\w* msg="?(?P<text>.*?)"?$')


class LogLine(NamedTuple):
    """A line of a connector's log. `level` has four capitals (ERRO, WARN), `at` is in seconds since the epoch."""

    level: str
    at: float
    text: str

    @property
    def is_failure(self) -> bool:
        """Whether the connector calls it an error."""
        return self.level in _FAILURE_LEVELS


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
    """Read the last lines of a text file; none where it cannot be read, or is no ordinary file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            lines = file.read(most_bytes).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > most_bytes else lines


def last_failure(lines: list[str]) -> LogLine | None:
    """Find the last error that a connector logged."""
    found = (_read_line(line) for line in reversed(lines))
    return next((line for line in found if line and line.is_failure), None)


def _read_line(line: str) -> LogLine | None:
    match = _COLOURED.match(line) or _PLAIN.match(line)
    if match is None:
        return None
    try:
        at = datetime.fromisoformat(_instant(match["when"]))
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    return LogLine(match["level"].upper(), at.timestamp(), match["text"].strip())


def _instant(text: str) -> str:
    """Cut Go's nanoseconds, of which Python 3.10 reads six digits, and spell the zone as it reads it."""
    return re.sub(r"(\.\d{1,6})\d*", lambda found: found[1].ljust(7, "0"), text).replace("Z", "+00:00")
