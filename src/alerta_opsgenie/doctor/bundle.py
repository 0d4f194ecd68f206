"""An archive for a bug report: the findings, the configuration, the logs, and captures, without secrets."""

from __future__ import annotations

import io
import json
import os
import platform
import sqlite3
import sys
import tarfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, Iterable, Iterator, Mapping

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.state import journal_of, targets
from alerta_opsgenie.connector.channel import AUTHENTICATE_PATH
from alerta_opsgenie.connector.credentials import PATHS
from alerta_opsgenie.core.relay import PLANS
from alerta_opsgenie.doctor.http import NO_ANSWER, ask_vendor
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.logs import connector_log, logs_named, read_tail
from alerta_opsgenie.doctor.vendor_checks import ALERTS
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.vendor.config import JEC
from alerta_opsgenie.vendor.placeholders import Placeholders
from alerta_opsgenie.vendor.redaction import redact_document, shown_config

LOG_LINES = 200
_MARK = "Message body: "
_MOST_FILES, _TAIL_BYTES = 5, 3 * 1024 * 1024
_KNOWN = {*PLANS, "Create"}
_LIBRARIES = ("click", "botocore", "PyYAML", "alerta-server")


def open_bundle(path: str) -> BinaryIO:
    """Make the archive's file, with mode 0600, where none is. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def write_bundle(
    file: BinaryIO, inst: Installation, report: Any, captures: Mapping[str, str] | None = None
) -> list[str]:
    """Write the archive (gzipped tar) and give the names in it. `captures` are texts by name."""
    parts = {
        "doctor.json": _json(report),
        "versions.json": _json(_versions()),
        "config.json": _json(_config(inst)),
        "spool.json": _json(_actions(inst)),
        **{f"logs/{name}": text for name, text in _logs(inst)},
        **{f"captures/{name}": text for name, text in (captures or {}).items()},
    }
    # Whatever is missed elsewhere: no known secret leaves this host.
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
    found["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    return found | {name: _version_of(name) for name in _LIBRARIES}


def _version_of(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"


def _config(inst: Installation) -> Any:
    if inst.document is None or inst.config is None:
        return {"error": str(inst.error)}
    return {"file": redact_document(inst.document.value), "effective": shown_config(inst.config)}


def _actions(inst: Installation) -> Any:
    """List what waits and what is dead without the messages, which name people and their alerts."""
    directory = inst.state_directory
    found: dict[str, Any] = {}
    for name in targets(directory):
        try:
            journal = journal_of(directory, name)
            entries = [action for state in ("in-flight", "waiting", "dead") for action in journal.actions(state)]
        except JournalError as error:
            found[name] = {"error": str(error)}
            continue
        shown = ("kind", "state", "alert", "reason", "attempts", "accepted_at")
        found[name] = {"actions": [{field: getattr(entry, field) for field in shown} for entry in entries]}
    return found


def _logs(inst: Installation) -> Iterable[tuple[str, str]]:
    own = [inst.mapping.stdout, inst.mapping.stderr] if inst.mapping else []
    paths = [connector_log(inst), *own, f"{inst.state_directory}/agent.log"]
    for path in dict.fromkeys(path for path in paths if path):
        lines = read_tail(path)[-LOG_LINES:]
        if lines:
            yield Path(path).name, "\n".join(lines) + "\n"


# -- Captures: real messages and answers for the project's tests
#
# Whole messages are in the log that OEC and JEC keep of them (`oecQueueMessages-REGION-PID.log`, queue/poller.go of
# opsgenie/oec and atlassian/jec); our own journal holds only what is needed of them. Answers are asked for here. The
# channel of JEC's version 2 is not polled: what is taken there would be missed.


def capture(inst: Installation) -> dict[str, str]:
    """Give the newest message of each action, and answers, with placeholders, by their names in `tests/payloads/`."""
    placeholders, found = Placeholders(), {}
    for message in _messages(inst):
        action = message.get("action")
        name = f"{action if action in _KNOWN else 'CustomAction'}.{inst.dialect}-captured.json"
        if name not in found:
            found[name] = _json(placeholders.replace(message))
    paths = {"credentials": PATHS[inst.dialect], "list": f"{ALERTS[inst.dialect]}?limit=1"}
    paths.update({"authenticate": AUTHENTICATE_PATH} if inst.dialect == JEC else {})
    for what, path in paths.items():
        answer = _answer(inst, path)
        if answer is not None:
            found[f"api.{what}.{inst.dialect}-captured.json"] = _json(placeholders.replace(answer))
    return found


def _messages(inst: Installation) -> Iterator[dict[str, Any]]:
    """Give the messages of the connector's logs, the newest first."""
    for log in logs_named(inst, rf"{inst.edge}QueueMessages-.*")[:_MOST_FILES]:
        for line in reversed(read_tail(str(log), most_bytes=_TAIL_BYTES)):
            _before, mark, text = line.partition(_MARK)
            message = _read(text) if mark else None
            if message is not None:
                yield message


def _read(text: str) -> dict[str, Any] | None:
    """Read the JSON that a text begins with. Behind it are logrus's fields, which may have put it into quotes."""
    decoder = json.JSONDecoder()
    try:
        if text.startswith('{\\"'):
            text, _end = decoder.raw_decode(f'"{text}')
        value, _end = decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _answer(inst: Installation, path: str) -> dict[str, Any] | None:
    try:
        response = ask_vendor(inst, path)
    except NO_ANSWER:
        return None
    token, body = _read(response.headers.get("token", "")), _read(response.body.decode("utf-8", "replace"))
    return {"status": response.status, **({"Token": token} if token else {}), "body": body}
