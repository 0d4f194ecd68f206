"""One script of somebody else's: started, read, logged, and stopped with all its children when its time is over.

It has ended when it *and* all that hold its output have ended, as in the Go connectors: a program that it leaves in the
background without an output of its own keeps the worker. A time limit ends that, too.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, Mapping, Sequence

from alerta_opsgenie.vendor.config import ActionMapping

MOST_KEPT_BYTES = 1024 * 1024
"""How much of each output is kept in memory; the files get all of it."""

LARGEST_LOG_BYTES = 3 * 1024 * 1024
"""MaxSize of the Go connectors' loggers (queue/processor.go)."""

GRACE_SECONDS = 2.0
"""How long a script that is over its time has between SIGTERM and SIGKILL."""

_LONGEST_LINE_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How it ended: Python's return code (None where it never ran), and why it failed; empty for a success."""

    exit_code: int | None
    failure: str
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False


def run_process(
    argv: Sequence[str],
    mapping: ActionMapping,
    environment: Mapping[str, str],
    *,
    search_path: str,
    directory: str | None = None,
    limit_seconds: float | None = None,
) -> Ended:
    """Run a mapping's program to its end. Never raises for what the program or the system does.

    `search_path` is the connector's own PATH, even where the script's environment has another.
    """
    program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=search_path)
    if program is None:
        return Ended(None, f"{argv[0]} is not found in the connector's PATH")
    try:
        process = subprocess.Popen(
            [_bytes(argument) for argument in argv],
            executable=_bytes(program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if mapping.stdout or mapping.type == "http" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={_bytes(variable): _bytes(value) for variable, value in environment.items()},
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        return Ended(None, f"{program} cannot be started: {error.strerror}")
    except ValueError:
        return Ended(None, f"{program} cannot be started: a NUL character is among its arguments or variables")
    return _follow(
        process, _Output(process.stdout, mapping.stdout), _Output(process.stderr, mapping.stderr), limit_seconds
    )


def _bytes(text: str) -> bytes:
    """Encode for the system; what this process itself was given undecodable goes out as it came in."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class _Output(threading.Thread):
    """Reads one output to its end: into memory up to a limit, and line by line into its file."""

    def __init__(self, stream: IO[bytes] | None, path: str) -> None:
        super().__init__(name="script-output", daemon=True)
        self._stream = stream
        self._file = _log_file(path) if path else None
        self._kept = bytearray()
        self.start()

    def run(self) -> None:
        if self._stream is None:
            return
        with self._stream:
            for line in iter(functools.partial(self._stream.readline, _LONGEST_LINE_BYTES), b""):
                self._kept += line[: MOST_KEPT_BYTES - len(self._kept)]
                if self._file is not None:
                    self._file.handle(_record(line))
        if self._file is not None:
            self._file.close()

    @property
    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", "replace")


def _follow(process: subprocess.Popen[bytes], stdout: _Output, stderr: _Output, limit_seconds: float | None) -> Ended:
    """Wait for all three; with a limit SIGTERM ends the whole group of processes, and SIGKILL after a grace."""
    left, too_late = limit_seconds, ""
    for number in (signal.SIGTERM, signal.SIGKILL, None):
        if _have_ended(process, stdout, stderr, left):
            break
        too_late = f"the script did not end within {limit_seconds or 0:g} s and was stopped"
        if number is not None:
            left = GRACE_SECONDS
            # It may be gone, or the script has changed its user.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
    code = process.poll()
    return Ended(code, too_late or _exit_text(code), stdout.text, stderr.text, bool(too_late))


def _have_ended(process: subprocess.Popen[bytes], stdout: _Output, stderr: _Output, limit: float | None) -> bool:
    """Wait for the process last: until then its number, by which the group is stopped, is nobody else's."""
    deadline = None if limit is None else time.monotonic() + limit
    for output in (stdout, stderr):
        output.join(_left(deadline))
        if output.is_alive():
            return False
    try:
        process.wait(_left(deadline))
    except subprocess.TimeoutExpired:
        return False
    return True


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _exit_text(code: int | None) -> str:
    if code is not None and code < 0:
        return f"stopped by the signal {signal.strsignal(-code) or -code}"
    return f"exit status {code}" if code else ""


def _record(line: bytes) -> logging.LogRecord:
    text = line.decode("utf-8", "replace").rstrip("\n")
    return logging.LogRecord("script", logging.INFO, "", 0, text, None, None)


class _LogFile(RotatingFileHandler):
    """A file for scripts' output: for its owner alone, rotated at 3 MiB, and never waited for."""

    _has_failed = False

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_open_private)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the base class's
        """Say once that the file cannot be written: a script that succeeded has not failed by that."""
        if not self._has_failed:
            _log.warning("the output of a script cannot be written to %s; it goes on without", self.baseFilename)
        self._has_failed = True


def _open_private(path: str, flags: int) -> int:
    # Without O_NONBLOCK a FIFO of this name would hold the script up.
    return os.open(path, flags | os.O_NONBLOCK, 0o600)


@functools.lru_cache(maxsize=256)
def _log_file(path: str) -> _LogFile:
    """Give the one handler for a path: workers that write the same file wait for each other."""
    return _LogFile(path, maxBytes=LARGEST_LOG_BYTES, backupCount=1, encoding="utf-8", delay=True)
