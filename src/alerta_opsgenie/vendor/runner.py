"""Starts a script for a message exactly as OEC and JEC do, and says what they would tell Opsgenie or JSM of it.

The facts are those of the connectors' public sources (opsgenie/oec and atlassian/jec: queue/message.go,
runbook/executor.go, conf/reader.go). Two things are left to the caller: the queue, and sending the callback. One thing
is added: a time limit for those who want it. Flags keep the file's order here; Go shuffles them.
"""

from __future__ import annotations

import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterable, Mapping

from alerta_opsgenie.vendor.arguments import environment_pairs
from alerta_opsgenie.vendor.callback import (
    CUSTOM,
    HTTP,
    Envelope,
    NotUnderstood,
    callback_body,
    http_response,
    read_envelope,
)
from alerta_opsgenie.vendor.callback_pipe import PIPE_DIRECTORY, CallbackPipe
from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.errno_text import go_error
from alerta_opsgenie.vendor.process import Output, Start, run_process
from alerta_opsgenie.vendor.scriptlog import ScriptLogs

INTERPRETERS: Mapping[str, tuple[str, ...]] = {
    ".bat": ("cmd", "/C"),
    ".cmd": ("cmd", "/C"),
    ".ps1": ("powershell", "-File"),
    ".sh": ("sh",),
    ".py": ("python",),
    ".groovy": ("groovy",),
    ".go": ("go", "run"),
}
"""What a script is started with, by the ending of its name; any other is started directly (runbook/executor.go)."""

DEFAULT_WORKERS = 12
"""The connectors' largest number of workers where the file does not say (worker_pool/worker_pool.go)."""

_SCRIPT_MODE = 0o700

_SHARED_LOGS = ScriptLogs()  # one for the process, as in a connector: writers of one file wait for each other

Message = Mapping[str, Any]


@dataclass(frozen=True)
class ScriptResult:
    """What became of a message.

    `dropped_reason` says why no script was started for it, and is None where one was. `argv` holds the connector's API
    key and is kept out of the repr. `exit_code` is Python's (negative for a signal), None where the program could not
    be started. `failure` is Go's text for what went wrong, empty for a success. `stdout` is empty where the connector
    sends it to /dev/null. `callback` is the body to send, None where the connector would send none.
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
    """What a connector stands on: its environment, where JEC's pipes are made, and the scripts' output files.

    `environment` of None is this process's. `time_limit_seconds` of None is no limit, as with the Go connectors.
    """

    environment: Mapping[str, str] | None = None
    pipe_directory: str = PIPE_DIRECTORY
    logs: ScriptLogs = _SHARED_LOGS
    time_limit_seconds: float | None = None
    working_directory: str | None = None


def run_message(
    config: EdgeConfig,
    message: Message | str,
    *,
    dialect: str | None = None,
    message_id: str | None = None,
    host: Host | None = None,
) -> ScriptResult:
    """Do for one message what a connector does: find its mapping, run the script to its end, make up the callback.

    A `str` is the body as it came from the queue and is passed on to the letter; anything else is written as the vendor
    writes it. Blocks until the script and all that holds its output has ended. Never raises for what a message, a
    script or the system does: that is in the result. `dialect` overrides the configuration's; `message_id` names JEC's
    pipe (default: a new one).
    """
    config = replace(config, dialect=dialect) if dialect else config
    body = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    try:
        envelope = read_envelope(message)
    except NotUnderstood as error:
        return ScriptResult(str(error))
    mapping = config.mappings.get(envelope.action)
    reason = _why_refused(config, envelope, mapping)
    if mapping is None or reason:
        # JEC reports it; OEC leaves it at a line in its own log.
        callback = callback_body(JEC, envelope, failure=reason) if config.dialect == JEC else None
        return ScriptResult(reason, callback=callback)
    if mapping.source_type != "local":
        return ScriptResult(f"scripts from the source {mapping.source_type!r} cannot be run here")
    return _run_script(config, mapping, envelope, body, message_id or str(uuid.uuid4()), host or Host())


def run_messages(
    config: EdgeConfig,
    messages: Iterable[Message | str],
    workers: int = DEFAULT_WORKERS,
    *,
    dialect: str | None = None,
    host: Host | None = None,
) -> list[ScriptResult]:
    """Run messages as a connector's pool does: up to `workers` at once, with no order among them.

    Gives the results in the order of the messages.
    """
    shared = host or Host()
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="edge-worker") as pool:
        return list(pool.map(lambda message: run_message(config, message, dialect=dialect, host=shared), messages))


def prepare_scripts(config: EdgeConfig) -> list[str]:
    """Set the mode of each mapped script to 0700, as the connectors do when they start.

    Gives a line for each that could not be changed; the connectors warn and go on.
    """
    local = (mapping.filepath for mapping in config.mappings.values() if mapping.source_type == "local")
    return [warning for path in dict.fromkeys(local) if (warning := _make_executable(path))]


def _make_executable(path: str) -> str:
    try:
        Path(path).chmod(_SCRIPT_MODE)
    except OSError as error:
        return f"chmod {path}: {go_error(error)}"
    return ""


def script_argv(
    config: EdgeConfig, mapping: ActionMapping, body: str, *, pipe_path: str | None = None
) -> tuple[str, ...]:
    """Give the command line for a message, the interpreter first. It holds the connector's API key."""
    flags = [part for name, value in (*config.global_flags, *mapping.flags) for part in (f"-{name}", value)]
    arguments = (*flags, "-payload", body, *config.connector_args(), *config.global_args, *mapping.args)
    pipe = ("--jecNamedPipe", pipe_path) if pipe_path is not None else ()
    _, dot, ending = mapping.filepath.rpartition("/")[2].lower().rpartition(".")
    return (*INTERPRETERS.get(dot + ending, ()), mapping.filepath, *arguments, *pipe)


def _why_refused(config: EdgeConfig, envelope: Envelope, mapping: ActionMapping | None) -> str:
    """Say in the connectors' words why a message is not for any script here; nothing where one is mapped."""
    if mapping is None:
        if config.dialect == JEC:
            return (
                f"No mapped action is configured for requested action[{envelope.action}]. The request will be ignored."
            )
        return f"There is no mapped action found for action[{envelope.action}]"
    if mapping.type != envelope.action_type:
        return (
            f"The type[{mapping.type}] of the mapped action[{envelope.action}] is not compatible with requested "
            f"type[{envelope.action_type}]. The request will be ignored."
        )
    return ""


def _run_script(
    config: EdgeConfig, mapping: ActionMapping, envelope: Envelope, body: str, message_id: str, host: Host
) -> ScriptResult:
    pipe = CallbackPipe(host.pipe_directory, message_id) if config.dialect == JEC else None
    argv = script_argv(config, mapping, body, pipe_path=pipe.path if pipe else None)
    base = dict(os.environ) if host.environment is None else dict(host.environment)
    if pipe is not None:
        pipe.make()
    try:
        ended = run_process(
            Start(
                argv,
                environment={**base, **environment_pairs((*config.global_env, *mapping.env))},
                search_path=base.get("PATH", ""),
                working_directory=host.working_directory,
            ),
            stdout=_stdout(mapping, host.logs),
            stderr=_stderr(mapping, host.logs),
            pipe=pipe,
            time_limit_seconds=host.time_limit_seconds,
        )
    finally:
        if pipe is not None:
            pipe.remove()
    stdout, stderr = (stream.decode("utf-8", "replace") for stream in (ended.stdout, ended.stderr))
    callback = _callback(config, envelope, ended.failure, stdout, stderr, pipe)
    return ScriptResult(None, argv, ended.exit_code, ended.failure, stdout, stderr, callback, ended.timed_out)


def _callback(
    config: EdgeConfig, envelope: Envelope, failure: str, stdout: str, stderr: str, pipe: CallbackPipe | None
) -> dict[str, Any]:
    if failure:
        # JEC loses the context of a script that failed.
        return callback_body(config.dialect, envelope, failure=f"Err: {failure}, Stderr: {stderr}")
    context = pipe.context() if pipe is not None else ""
    if envelope.action_type != HTTP or envelope.discard_response:
        return callback_body(config.dialect, envelope, context=context)
    response = http_response(stdout)
    unread = "" if response is not None else f"Could not parse http response fields: {stdout}"
    return callback_body(config.dialect, envelope, failure=unread, context=context, response=response)


def _stdout(mapping: ActionMapping, logs: ScriptLogs) -> Output | None:
    """Say where a script's stdout goes: to its file, for the type http into memory, else to /dev/null."""
    if mapping.type == CUSTOM and not mapping.stdout:
        return None
    output = Output()
    file = (lambda chunk: logs.write(mapping.stdout, chunk),) if mapping.stdout else ()
    output.sinks = (output.keep, *file) if mapping.type == HTTP else (*file, output.keep)
    return output


def _stderr(mapping: ActionMapping, logs: ScriptLogs) -> Output:
    """Say where a script's stderr goes: to its file first, then into memory for the callback."""
    output = Output()
    file = (lambda chunk: logs.write(mapping.stderr, chunk),) if mapping.stderr else ()
    output.sinks = (*file, output.keep)
    return output
