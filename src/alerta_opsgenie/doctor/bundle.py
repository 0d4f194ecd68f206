"""An archive for a bug report: the findings, the configuration and the logs, without secrets."""

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
from typing import Any, BinaryIO, Iterable, Mapping

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.state import journal_of, targets
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.logs import connector_log, read_tail
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.vendor.redaction import redact_document, shown_config

LOG_LINES = 200
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
