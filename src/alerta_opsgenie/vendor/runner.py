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
    NotUnderstood,
    callback_body,
    callback_pipe,
    read_envelope,
)
from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig

MOST_KEPT_BYTES = 1024 * 1024
"""How much of each output is kept in memory; the files get all of it."""

LARGEST_LOG_BYTES = 3 * 1024 * 1024
"""MaxSize of the Go connectors' loggers (queue/processor.go)."""

GRACE_SECONDS = 2.0
"""How long a script that is over its time has between SIGTERM and SIGKILL."""

_CHUNK_BYTES = 64 * 1024
_log = logging.getLogger(__name__)

Message = Mapping[str, Any]


@dataclass(frozen=True)
class ScriptResult:
    """What became of a message.

    `dropped_reason` says why no script was started, and is None where one was. `argv` holds the connector's API key.
    `exit_code` is Python's, None where the program could not be started. `callback` is the body to send, if any.
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
    """Set the mode of each mapped script to 0700, as the connectors do; gives a line for each where that fails."""
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
    if mapping.type != "custom" or mapping.source_type != "local":
        kind = f"type {mapping.type!r} and the source {mapping.source_type!r}"
        return f"the action {mapping.name!r} is mapped with the {kind}, and cannot be run here"
    return ""


def _run_script(config: EdgeConfig, mapping: ActionMapping, envelope: Envelope, body: str, host: Host) -> ScriptResult:
    base = os.environ if host.environment is None else host.environment
    environment = {**base, **mapping_arguments(config, mapping)[1]}
    has_pipe = config.dialect == JEC
    with callback_pipe(host.pipe_directory) if has_pipe else contextlib.nullcontext(("", None)) as (path, pipe):
        argv = script_argv(config, mapping, body, pipe_path=path if has_pipe else None)
        context = _Output(LARGEST_CONTEXT_BYTES)
        pipes = {} if pipe is None else {pipe: context}
        # The connector's own PATH counts, even where the script's environment has another.
        result = _run_process(argv, mapping, environment, base.get("PATH", ""), host, pipes)
    # JEC loses the context of a script that failed.
    failure = f"Err: {result.failure}, Stderr: {result.stderr}" if result.failure else ""
    text = (context.text or DEFAULT_CONTEXT) if pipes and not failure else ""
    return replace(result, callback=callback_body(config.dialect, envelope, failure=failure, context=text))


# -- The process


def _run_process(
    argv: tuple[str, ...], mapping: ActionMapping, environment: Mapping[str, str], search_path: str, host: Host,
    pipes: Mapping[int, _Output],
) -> ScriptResult:  # fmt: skip
    """Run a program to its end. Never raises for what the program or the system does."""
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
    """Encode for the system: as it came in, but half a surrogate pair of a message as a question mark."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class _Output:
    """What a script writes: kept in memory up to a limit, and all of it in the file."""

    def __init__(self, most_bytes: int, path: str = "") -> None:
        self._most_bytes = most_bytes
        self._kept = bytearray()
        self._file = _log_file(path) if path else None

    def take(self, chunk: bytes) -> None:
        self._kept += chunk[: self._most_bytes - len(self._kept)]
        if self._file is not None and chunk:
            # latin-1 carries any byte through.
            self._file.handle(logging.LogRecord("", logging.INFO, "", 0, chunk.decode("latin-1"), None, None))

    def close(self) -> None:
        """Close the file, which somebody else may rotate meanwhile; the next script opens it again."""
        if self._file is not None:
            self._file.close()

    @property
    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", "replace")


def _follow(
    process: subprocess.Popen[bytes], selector: selectors.BaseSelector, endless: int, limit_seconds: float | None
) -> str:
    """Read until all has ended. At the limit SIGTERM ends the whole group of processes, and SIGKILL after a grace.

    `endless` of the sources have no end of their own. The text says that it was stopped.
    """
    seconds, too_late = limit_seconds, ""
    for number in (signal.SIGTERM, signal.SIGKILL, None):
        if _has_ended(process, selector, endless, seconds):
            break
        too_late = f"the script did not end within {limit_seconds or 0:g} s and was stopped"
        if number is not None:
            seconds = GRACE_SECONDS
            # It may be gone, or the script has changed its user.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
    return too_late


def _has_ended(
    process: subprocess.Popen[bytes], selector: selectors.BaseSelector, endless: int, seconds: float | None
) -> bool:
    """Wait for the process last: until then its number, by which the group is stopped, is nobody else's."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while len(selector.get_map()) > endless:
        left = _left(deadline)
        ready = selector.select(left)
        if not ready or left == 0.0:
            return False
        for key, _ in ready:
            chunk = os.read(key.fd, _CHUNK_BYTES)
            key.data.take(chunk)
            if not chunk:
                selector.unregister(key.fileobj)
    try:
        process.wait(_left(deadline))
    except subprocess.TimeoutExpired:
        return False
    for key, _ in selector.select(0):
        key.data.take(os.read(key.fd, _CHUNK_BYTES))
    return True


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


class _LogFile(RotatingFileHandler):
    """A file for scripts' output: for its owner alone, rotated at 3 MiB, and never waited for."""

    terminator = ""
    _said = ""

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_open_private)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the base class's
        """Say once that the file cannot be written, and why: a script that succeeded has not failed by that."""
        why = str(sys.exc_info()[1])
        if self._said != why:
            self._said = why
            _log.warning("the output of a script cannot be written to %s: %s", self.baseFilename, why)


def _open_private(path: str, flags: int) -> int:
    # Without O_NONBLOCK a FIFO of this name would hold the script up.
    return os.open(path, flags | os.O_NONBLOCK, 0o600)


@functools.lru_cache(maxsize=256)
def _log_file(path: str) -> _LogFile:
    """Give the one handler for a path: workers that write the same file wait for each other."""
    return _LogFile(path, maxBytes=LARGEST_LOG_BYTES, backupCount=1, encoding="latin-1", delay=True)
