"""Starts the script of a mapping for a message as OEC and JEC do, and says what they would tell Opsgenie or JSM of it.

What a script sees is the connectors' (opsgenie/oec and atlassian/jec: queue/message.go, runbook/executor.go,
conf/reader.go): the order of its arguments, its environment, its named pipe. A time limit is added for those who want
one. The caller takes messages from the queue and sends the callback.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Mapping

from alerta_opsgenie.vendor.arguments import mapping_arguments, script_argv
from alerta_opsgenie.vendor.callback import HTTP, Envelope, NotUnderstood, callback_body, http_response, read_envelope
from alerta_opsgenie.vendor.callback_pipe import PIPE_DIRECTORY, CallbackPipe
from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.process import Ended, run_process

DEFAULT_WORKERS = 12
"""The connectors' largest number of workers where the file does not say (worker_pool/worker_pool.go)."""

_SCRIPT_MODE = 0o700

Message = Mapping[str, Any]


@dataclass(frozen=True)
class ScriptResult:
    """What became of a message.

    `dropped_reason` says why no script was started for it, and is None where one was. `argv` holds the connector's API
    key and is kept out of the repr. `exit_code` is Python's (negative for a signal), None where the program could not
    be started. `failure` is empty for a success. `stdout` is empty where the connector sends it to /dev/null.
    `callback` is the body to send, None where the connector would send none.
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


def run_message(
    config: EdgeConfig,
    message: Message | str,
    *,
    message_id: str | None = None,
    host: Host | None = None,
) -> ScriptResult:
    """Do for one message what a connector does: find its mapping, run the script to its end, make up the callback.

    A `str` is the body as it came from the queue and is passed on to the letter. Blocks until the script and all that
    holds its output has ended. Never raises for what a message, a script or the system does: that is in the result.
    `message_id` names JEC's pipe (default: a new one).
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
    return _run_script(config, mapping, envelope, body, message_id or str(uuid.uuid4()), host or Host())


def run_messages(
    config: EdgeConfig,
    messages: Iterable[Message | str],
    workers: int = DEFAULT_WORKERS,
    *,
    host: Host | None = None,
) -> list[ScriptResult]:
    """Run messages as a connector's pool does, up to `workers` at once; gives the results in the messages' order."""
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="edge-worker") as pool:
        return list(pool.map(lambda message: run_message(config, message, host=host), messages))


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


def _run_script(
    config: EdgeConfig, mapping: ActionMapping, envelope: Envelope, body: str, message_id: str, host: Host
) -> ScriptResult:
    base = os.environ if host.environment is None else host.environment
    environment = {**base, **mapping_arguments(config, mapping)[1]}
    pipe = CallbackPipe(host.pipe_directory, message_id) if config.dialect == JEC else None
    argv = script_argv(config, mapping, body, pipe_path=pipe.path if pipe else None)
    with pipe or contextlib.nullcontext():
        ended = run_process(
            argv,
            mapping,
            environment,
            search_path=base.get("PATH", ""),
            directory=host.working_directory,
            limit_seconds=host.time_limit_seconds,
        )
    callback = _callback(config.dialect, envelope, ended, pipe.context if pipe else "")
    return ScriptResult(
        None, argv, ended.exit_code, ended.failure, ended.stdout, ended.stderr, callback, ended.timed_out
    )


def _callback(dialect: str, envelope: Envelope, ended: Ended, context: str) -> dict[str, Any]:
    if ended.failure:
        # JEC loses the context of a script that failed.
        return callback_body(dialect, envelope, failure=f"Err: {ended.failure}, Stderr: {ended.stderr}")
    if envelope.action_type != HTTP or envelope.discard_response:
        return callback_body(dialect, envelope, context=context)
    response = http_response(ended.stdout)
    unread = "" if response is not None else f"Could not parse http response fields: {ended.stdout}"
    return callback_body(dialect, envelope, failure=unread, context=context, response=response)
