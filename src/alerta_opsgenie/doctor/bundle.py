"""The archive for a bug report: findings, configuration, logs and captures, without secrets."""

from __future__ import annotations

import io
import json
import os
import platform
import sqlite3
import sys
import tarfile
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.state import journal_of, targets
from alerta_opsgenie.connector.channel import AUTHENTICATE_PATH
from alerta_opsgenie.connector.credentials import PATHS
from alerta_opsgenie.core.relay import HANDLERS
from alerta_opsgenie.doctor.http import NO_ANSWER, ask_vendor
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.running_checks import connector_log, logs_named, read_tail
from alerta_opsgenie.doctor.vendor_checks import ALERTS
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.vendor.config import JEC
from alerta_opsgenie.vendor.placeholders import Placeholders
from alerta_opsgenie.vendor.redaction import effective_config, redact_document

LOG_LINES = 200
_MARK = "Message body: "
_MOST_FILES, _TAIL_BYTES = 5, 3 * 1024 * 1024
_KNOWN = {*HANDLERS, "Create"}
_LIBRARIES = ("click", "botocore", "PyYAML", "alerta-server")


def open_bundle(path: str) -> BinaryIO:
    """Create the archive's file with mode 0600. Raises `OSError`, also if it exists."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def write_bundle(
    file: BinaryIO, inst: Installation, report: Any, captures: Mapping[str, str] | None = None
) -> list[str]:
    """Write the archive (gzipped tar) and return the names in it. `captures` are texts by name."""
    parts = {
        "doctor.json": _json(report),
        "versions.json": _json(_versions()),
        "config.json": _json(_config(inst)),
        "spool.json": _json(_actions(inst)),
        **{f"logs/{name}": text for name, text in _logs(inst)},
        **{f"captures/{name}": text for name, text in (captures or {}).items()},
    }
    # A last check of all texts: no known secret may leave this host.
    clean = {name: "\n".join(map(inst.redact, text.split("\n"))) for name, text in parts.items()}
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in clean.items():
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"alerta-opsgenie-doctor/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
    file.flush()
    return list(clean)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _versions() -> dict[str, str]:
    found = {"alerta-opsgenie": __version__, "python": sys.version, "sqlite": sqlite3.sqlite_version}
    found["system"] = platform.platform()
    for library in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return found


def _config(inst: Installation) -> Any:
    if inst.document is None:
        return {"error": str(inst.error)}
    return {"file": redact_document(inst.document.value), "effective": effective_config(inst.config)}


def _actions(inst: Installation) -> Any:
    """Return waiting actions and dead letters without the messages, which name people and their alerts."""
    return {name: _actions_for(inst.state_directory, name) for name in targets(inst.state_directory)}


def _actions_for(directory: str, target: str) -> Any:
    journal, shown = journal_of(directory, target), ("kind", "state", "alert", "reason", "attempts", "accepted_at")
    try:
        found = [action for state in ("in-flight", "waiting", "dead") for action in journal.actions(state)]
    except JournalError as error:
        return str(error)
    return [{field: getattr(action, field) for field in shown} for action in found]


def _logs(inst: Installation) -> Iterator[tuple[str, str]]:
    own = [inst.mapping.stdout, inst.mapping.stderr] if inst.mapping else []
    for path in dict.fromkeys([connector_log(inst), *own, f"{inst.state_directory}/agent.log"]):
        lines = read_tail(path)[-LOG_LINES:] if path else []
        if path and lines:
            yield Path(path).name, "\n".join(lines) + "\n"


# -- Captures: real messages and responses for the project's tests
#
# OEC and JEC log whole messages (`oecQueueMessages-REGION-PID.log`, queue/poller.go of opsgenie/oec and atlassian/jec);
# our journal has only parts of them. Responses are requested here. The channel of JEC's version 2 is not polled: a
# message that is received there is lost for the connector.


def capture(inst: Installation) -> dict[str, str]:
    """Return the newest message of each action, and responses, with placeholders, by name as in `tests/payloads/`."""
    placeholders, found = Placeholders(), {}
    for message in _messages(inst):
        action = message.get("action")
        name = f"{action if action in _KNOWN else 'CustomAction'}.{inst.dialect}-captured.json"
        if name not in found:
            found[name] = _json(placeholders.replace(message))
    paths = {"credentials": PATHS[inst.dialect], "list": f"{ALERTS[inst.dialect]}?limit=1"}
    paths.update({"authenticate": AUTHENTICATE_PATH} if inst.dialect == JEC else {})
    for what, path in paths.items():
        with suppress(*NO_ANSWER):
            response = ask_vendor(inst, path)
            answer = {
                "status": response.status,
                "body": response.json,
                "Token": _read(response.headers.get("token", "")),
            }
            found[f"api.{what}.{inst.dialect}-captured.json"] = _json(placeholders.replace(answer))
    return found


def _messages(inst: Installation) -> Iterator[dict[str, Any]]:
    for log in logs_named(inst, rf"{inst.edge}QueueMessages-.*")[:_MOST_FILES]:
        for line in reversed(read_tail(str(log), most_bytes=_TAIL_BYTES)):
            message = _read(line.partition(_MARK)[2])
            if message is not None:
                yield message


def _read(text: str) -> dict[str, Any] | None:
    """Return the JSON object at the start of a text, or None. logrus adds fields after it, and may quote it."""
    decoder = json.JSONDecoder()
    with suppress(ValueError, RecursionError):
        if text.startswith('{\\"'):
            text, _end = decoder.raw_decode(f'"{text}')
        value, _end = decoder.raw_decode(text)
        return value if isinstance(value, dict) else None
    return None
