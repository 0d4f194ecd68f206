"""Starts the script of a mapping for a message as OEC and JEC do, and says what they would tell Opsgenie or JSM of it.

What a script sees is the connectors' (opsgenie/oec and atlassian/jec: queue/message.go, runbook/executor.go,
conf/reader.go): the order of its arguments, its environment, its named pipe. It has ended when it *and* all that hold
its output have ended: a program that it leaves in the background without an output of its own keeps the worker. A time
limit is added for those who want one. The caller takes messages from the queue and sends the callback.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, Mapping, Sequence

from alerta_opsgenie.vendor.arguments import mapping_arguments, script_argv
from alerta_opsgenie.vendor.callback import (
    PIPE_DIRECTORY,
    CallbackPipe,
    Envelope,
    NotUnderstood,
    callback_body,
    http_response,
    read_envelope,
)
from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig

MOST_KEPT_BYTES = 1024 * 1024
"""How much of each output is kept in memory; the files get all of it."""

LARGEST_LOG_BYTES = 3 * 1024 * 1024
"""MaxSize of the Go connectors' loggers (queue/processor.go)."""

GRACE_SECONDS = 2.0
"""How long a script that is over its time has between SIGTERM and SIGKILL."""

_LONGEST_LINE_BYTES = 64 * 1024
_log = logging.getLogger(__name__)

Message = Mapping[str, Any]


@dataclass(frozen=True)
class ScriptResult:
    """What became of a message.

    `dropped_reason` says why no script was started, and is None where one was. `argv` holds the connector's API key.
    `exit_code` is Python's (negative for a signal), None where the program could not be started. `failure` is empty for
    a success. `stdout` is empty where the connector sends it to /dev/null. `callback` is the body to send, if any.
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
        """Whether the connector would report a success."""
        return self.dropped_reason is None and bool(self.callback and self.callback.get("isSuccessful"))


@dataclass(frozen=True)
class Host:
    """What a connector stands on: its environment, the directory of JEC's pipes, and where scripts are started.

    `environment` of None is this process's. `time_limit_seconds` of None is no limit, as with the Go connectors.
    """

    environment: Mapping[str, str] | None = None
    pipe_directory: str = PIPE_DIRECTORY
    time_limit_seconds: float | None = None
    working_directory: str | None = None


def run_message(config: EdgeConfig, message: Message | str, *, host: Host | None = None) -> ScriptResult:
    """Do for one message what a connector does: find its mapping, run the script to its end, make up the callback.

    A `str` is the body as it came from the queue and is passed on to the letter. Blocks until the script and all that
    holds its output has ended. Never raises for what a message, a script or the system does: that is in the result.
    """
    body = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    try:
        envelope = read_envelope(message)
    except NotUnderstood as error:
        return ScriptResult(str(error))
    mapping = config.mappings.get(envelope.action)
    reason = _why_refused(envelope, mapping)
    if mapping is None or reason:
        # JEC reports it; OEC leaves it at a line in its own log.
        callback = callback_body(JEC, envelope, failure=reason) if config.dialect == JEC else None
        return ScriptResult(reason, callback=callback)
    return _run_script(config, mapping, envelope, body, host or Host())


def prepare_scripts(config: EdgeConfig) -> list[str]:
    """Set the mode of each mapped script to 0700, as the connectors do when they start.

    Gives a line for each that could not be changed; the connectors warn and go on.
    """
    local = (mapping.filepath for mapping in config.mappings.values() if mapping.source_type == "local")
    return [warning for path in dict.fromkeys(local) if (warning := _make_executable(path))]


def _make_executable(path: str) -> str:
    try:
        Path(path).chmod(0o700)
    except OSError as error:
        return f"chmod {path}: {error.strerror}"
    return ""


def _why_refused(envelope: Envelope, mapping: ActionMapping | None) -> str:
    """Say why a message is not for any script here; nothing where one is mapped."""
    if mapping is None:
        return f"no mapped action is configured for the action {envelope.action[:100]!r}"
    if mapping.type != envelope.action_type:
        return f"the action {mapping.name!r} is mapped as type {mapping.type!r}, and was sent as another"
    if mapping.source_type != "local":
        return f"scripts from the source {mapping.source_type!r} cannot be run here"
    return ""


def _run_script(config: EdgeConfig, mapping: ActionMapping, envelope: Envelope, body: str, host: Host) -> ScriptResult:
    base = os.environ if host.environment is None else host.environment
    environment = {**base, **mapping_arguments(config, mapping)[1]}
    pipe = CallbackPipe(host.pipe_directory) if config.dialect == JEC else None
    argv = script_argv(config, mapping, body, pipe_path=pipe.path if pipe else None)
    with pipe or contextlib.nullcontext():
        # The connector's own PATH counts, even where the script's environment has another.
        result = _run_process(argv, mapping, environment, base.get("PATH", ""), host)
    return replace(result, callback=_callback(config.dialect, envelope, result, pipe.context if pipe else ""))


def _callback(dialect: str, envelope: Envelope, result: ScriptResult, context: str) -> dict[str, Any]:
    if result.failure:
        # JEC loses the context of a script that failed.
        return callback_body(dialect, envelope, failure=f"Err: {result.failure}, Stderr: {result.stderr}")
    if envelope.action_type != "http" or envelope.discard_response:
        return callback_body(dialect, envelope, context=context)
    response = http_response(result.stdout)
    unread = "" if response is not None else f"Could not parse http response fields: {result.stdout}"
    return callback_body(dialect, envelope, failure=unread, context=context, response=response)


# -- The process


def _run_process(
    argv: tuple[str, ...], mapping: ActionMapping, environment: Mapping[str, str], search_path: str, host: Host
) -> ScriptResult:
    """Run a program to its end. Never raises for what the program or the system does."""
    program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=search_path)
    if program is None:
        return ScriptResult(None, argv, failure=f"{argv[0]} is not found in the connector's PATH")
    try:
        process = subprocess.Popen(
            [_bytes(argument) for argument in argv],
            executable=_bytes(program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if mapping.stdout or mapping.type == "http" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={_bytes(variable): _bytes(value) for variable, value in environment.items()},
            cwd=host.working_directory,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        nul = "a NUL character is among its arguments or variables"
        why = error.strerror if isinstance(error, OSError) else nul
        return ScriptResult(None, argv, failure=f"{program} cannot be started: {why}")
    stdout, stderr = _Output(process.stdout, mapping.stdout), _Output(process.stderr, mapping.stderr)
    too_late = _wait(process, (stdout, stderr), host.time_limit_seconds)
    code = process.poll()
    return ScriptResult(
        None, argv, code, too_late or _exit_text(code), stdout.text, stderr.text, timed_out=bool(too_late)
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


def _wait(process: subprocess.Popen[bytes], outputs: Sequence[_Output], limit_seconds: float | None) -> str:
    """Wait for all to end. At the limit SIGTERM ends the whole group of processes, and SIGKILL after a grace."""
    left, too_late = limit_seconds, ""
    for number in (signal.SIGTERM, signal.SIGKILL, None):
        if _have_ended(process, outputs, left):
            break
        too_late = f"the script did not end within {limit_seconds or 0:g} s and was stopped"
        if number is not None:
            left = GRACE_SECONDS
            # It may be gone, or the script has changed its user.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
    return too_late


def _have_ended(process: subprocess.Popen[bytes], outputs: Sequence[_Output], limit: float | None) -> bool:
    """Wait for the process last: until then its number, by which the group is stopped, is nobody else's."""
    deadline = None if limit is None else time.monotonic() + limit
    for output in outputs:
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
