"""Run the script of a mapping for a message as OEC and JEC do, and make the callback for Opsgenie or JSM.

The order of arguments, the environment and the named pipe are those of the connectors (opsgenie/oec and atlassian/jec:
queue/message.go, runbook/executor.go, conf/reader.go). A script has ended when the process *and* all processes that
hold its output have ended, so a background program that inherits the output keeps the worker busy. The optional time
limit is an addition. The caller receives messages and sends the callback.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Mapping

from alerta_opsgenie.vendor.arguments import mapping_arguments, script_argv
from alerta_opsgenie.vendor.callback import (
    DEFAULT_CONTEXT,
    LARGEST_CONTEXT_BYTES,
    PIPE_DIRECTORY,
    Envelope,
    UnreadableMessageError,
    callback_body,
    callback_pipe,
    read_envelope,
)
from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig

MOST_KEPT_BYTES = 1024 * 1024
"""How much of each output is kept in memory; the log files get all of it."""

LARGEST_LOG_BYTES = 3 * 1024 * 1024
"""MaxSize of the Go connectors' loggers (queue/processor.go)."""

GRACE_SECONDS = 2.0
"""The time between SIGTERM and SIGKILL for a script over its time limit."""

_CHUNK_BYTES = 64 * 1024
_log = logging.getLogger(__name__)

Message = Mapping[str, Any]


@dataclass(frozen=True)
class ScriptResult:
    """The result of a message.

    `dropped_reason` is the reason if no script was started, else None. `argv` contains the connector's API key.
    `exit_code` is Python's; None if the program could not be started. `callback` is the body to send, if any.
    """

    dropped_reason: str | None
    argv: tuple[str, ...] = field(default=(), repr=False)
    exit_code: int | None = None
    failure: str = ""
    stdout: str = ""
    stderr: str = ""
    callback: dict[str, Any] | None = None
    timed_out: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the connector would report success."""
        return self.dropped_reason is None and bool(self.callback and self.callback.get("isSuccessful"))


@dataclass(frozen=True)
class ScriptHost:
    """The connector's environment, the directory of JEC's pipes, and where scripts are started.

    `environment` None is this process's. `time_limit_seconds` None is no limit, as in the Go connectors.
    """

    environment: Mapping[str, str] | None = None
    pipe_directory: str = PIPE_DIRECTORY
    time_limit_seconds: float | None = None
    working_directory: str | None = None


def run_message(config: EdgeConfig, message: Message | str, *, host: ScriptHost | None = None) -> ScriptResult:
    """Find the mapping of a message, run its script to the end, and make the callback.

    A `str` is the body from the queue and is passed on unchanged. Blocks until the script and all processes that hold
    its output have ended. Does not raise for errors of a message, a script or the system: they are in the result.
    """
    body = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    try:
        envelope = read_envelope(message)
    except UnreadableMessageError as error:
        return ScriptResult(str(error))
    mapping = config.mappings.get(envelope.action)
    reason = _why_refused(envelope, mapping)
    if mapping is None or reason:
        # JEC reports it; OEC only writes a line to its log.
        callback = callback_body(JEC, envelope, failure=reason) if config.dialect == JEC else None
        return ScriptResult(reason, callback=callback)
    return _run_script(config, mapping, envelope, body, host or ScriptHost())


def prepare_scripts(config: EdgeConfig) -> list[str]:
    """Set the mode of each mapped script to 0700, as the connectors do; return a line for each failure."""
    local = (mapping.filepath for mapping in config.mappings.values() if mapping.source_type == "local")
    return [warning for path in dict.fromkeys(local) if (warning := _make_executable(path))]


def _make_executable(path: str) -> str:
    try:
        Path(path).chmod(0o700)
    except OSError as error:
        return f"chmod {path}: {error.strerror}"
    return ""


def _why_refused(envelope: Envelope, mapping: ActionMapping | None) -> str:
    """Return why no script may run for a message; empty if one may."""
    if mapping is None:
        return f"no mapped action is configured for the action {envelope.action[:100]!r}"
    if mapping.type != envelope.action_type:
        return f"the action {mapping.name!r} is mapped as type {mapping.type!r}, and was sent as another"
    if mapping.type != "custom" or mapping.source_type != "local":
        kind = f"type {mapping.type!r} and the source {mapping.source_type!r}"
        return f"the action {mapping.name!r} is mapped with the {kind}, and cannot be run here"
    return ""


def _run_script(
    config: EdgeConfig, mapping: ActionMapping, envelope: Envelope, body: str, host: ScriptHost
) -> ScriptResult:
    base = os.environ if host.environment is None else host.environment
    environment = {**base, **mapping_arguments(config, mapping)[1]}
    has_pipe = config.dialect == JEC
    with callback_pipe(host.pipe_directory) if has_pipe else contextlib.nullcontext(("", None)) as (path, pipe):
        argv = script_argv(config, mapping, body, pipe_path=path if has_pipe else None)
        context = _Output(LARGEST_CONTEXT_BYTES)
        pipes = {} if pipe is None else {pipe: context}
        # The interpreter is found by the connector's PATH, even if the script's environment has another.
        result = _run_process(argv, mapping, environment, base.get("PATH", ""), host, pipes)
    # JEC loses the context of a script that failed.
    failure = f"Err: {result.failure}, Stderr: {result.stderr}" if result.failure else ""
    text = (context.text or DEFAULT_CONTEXT) if pipes and not failure else ""
    return replace(result, callback=callback_body(config.dialect, envelope, failure=failure, context=text))


# -- The process


def _run_process(
    argv: tuple[str, ...], mapping: ActionMapping, environment: Mapping[str, str], search_path: str, host: ScriptHost,
    pipes: Mapping[int, _Output],
) -> ScriptResult:  # fmt: skip
    """Run a program to its end. Does not raise for errors of the program or the system."""
    program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=search_path)
    if program is None:
        return ScriptResult(None, argv, failure=f"{argv[0]} is not found in the connector's PATH")
    try:
        process = subprocess.Popen(
            [_bytes(argument) for argument in argv],
            executable=program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if mapping.stdout else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=host.working_directory,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return ScriptResult(None, argv, failure=f"{program} cannot be started: {why}")
    stdout, stderr = _Output(MOST_KEPT_BYTES, mapping.stdout), _Output(MOST_KEPT_BYTES, mapping.stderr)
    with selectors.DefaultSelector() as selector:
        for source, output in [(process.stdout, stdout), (process.stderr, stderr), *pipes.items()]:
            if source is not None:
                selector.register(source, selectors.EVENT_READ, output)
        too_late = _follow(process, selector, len(pipes), host.time_limit_seconds)
    for stream in filter(None, (process.stdout, process.stderr)):
        stream.close()
    for output in (stdout, stderr):
        output.close()
    code = process.poll()
    failure = too_late or (f"exit status {code}" if code else "")
    return ScriptResult(None, argv, code, failure, stdout.text, stderr.text, timed_out=bool(too_late))


def _bytes(text: str) -> bytes:
    """Encode for the system; a lone surrogate of a message becomes a question mark."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class _Output:
    """A script's output: in memory up to a limit, and all of it in the log file."""

    def __init__(self, most_bytes: int, path: str = "") -> None:
        self._most_bytes = most_bytes
        self._kept = bytearray()
        self._file = _log_file(path) if path else None

    def add(self, chunk: bytes) -> None:
        self._kept += chunk[: self._most_bytes - len(self._kept)]
        if self._file is not None and chunk:
            # latin-1 can decode any byte.
            self._file.handle(logging.LogRecord("", logging.INFO, "", 0, chunk.decode("latin-1"), None, None))

    def close(self) -> None:
        """Close the file, because another program may rotate it; the next script opens it again."""
        if self._file is not None:
            self._file.close()

    @property
    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", "replace")


def _follow(
    process: subprocess.Popen[bytes], selector: selectors.BaseSelector, endless: int, limit_seconds: float | None
) -> str:
    """Read until all has ended. At the time limit send SIGTERM to the process group, and later SIGKILL.

    `endless` is the number of sources without an end (the named pipe). Return the failure, or an empty text.
    """
    seconds, too_late = limit_seconds, ""
    for number in (signal.SIGTERM, signal.SIGKILL, None):
        if _has_ended(process, selector, endless, seconds):
            break
        too_late = f"the script did not end within {limit_seconds or 0:g} s and was stopped"
        if number is not None:
            seconds = GRACE_SECONDS
            # The script may have ended, or changed its user.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
    return too_late


def _has_ended(
    process: subprocess.Popen[bytes], selector: selectors.BaseSelector, endless: int, seconds: float | None
) -> bool:
    """Read to the end of all sources, then wait for the process. False: the time is over.

    The process is waited for last: until then no other process can get its number, which names the group to stop.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while len(selector.get_map()) > endless:
        left = _left(deadline)
        ready = selector.select(left)
        if not ready or left == 0.0:
            return False
        for key, _ in ready:
            chunk = os.read(key.fd, _CHUNK_BYTES)
            key.data.add(chunk)
            if not chunk:
                selector.unregister(key.fileobj)
    try:
        process.wait(_left(deadline))
    except subprocess.TimeoutExpired:
        return False
    for key, _ in selector.select(0):
        key.data.add(os.read(key.fd, _CHUNK_BYTES))
    return True


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


class _LogFile(RotatingFileHandler):
    """A file for scripts' output: mode 0600, rotated at 3 MiB; opening it never blocks."""

    terminator = ""
    _reported = ""

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_open_private)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the base class's
        """Log once that the file cannot be written, and why. The script has not failed because of that."""
        why = str(sys.exc_info()[1])
        if self._reported != why:
            self._reported = why
            _log.warning("the output of a script cannot be written to %s: %s", self.baseFilename, why)


def _open_private(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a FIFO of this name would block.
    return os.open(path, flags | os.O_NONBLOCK, 0o600)


@functools.lru_cache(maxsize=256)
def _log_file(path: str) -> _LogFile:
    """Return the handler of a path. There is one per path, so workers that write the same file wait for each other."""
    return _LogFile(path, maxBytes=LARGEST_LOG_BYTES, backupCount=1, encoding="latin-1", delay=True)
