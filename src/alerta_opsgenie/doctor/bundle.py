"""An archive for a bug report: what the doctor found, the configuration and the logs, without secrets."""

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
from typing import Any, Iterable

from alerta_opsgenie import __version__
from alerta_opsgenie.doctor.processes import connector_log, read_tail
from alerta_opsgenie.doctor.running_checks import redact_line
from alerta_opsgenie.doctor.script_checks import look_into_spool
from alerta_opsgenie.doctor.subject import Subject
from alerta_opsgenie.setup.as_user import CannotBecomeError, run_as
from alerta_opsgenie.vendor.effective import effective_config
from alerta_opsgenie.vendor.redaction import redact_document

LOG_LINES = 200
_LIBRARIES = ("click", "botocore", "PyYAML", "alerta-server")


def write_bundle(path: str, subject: Subject, report: Any) -> list[str]:
    """Write the archive (gzipped tar, mode 0600) and give the names in it. Raises `OSError`."""
    parts = {
        "doctor.json": _json(report),
        "versions.json": _json(_versions()),
        "config.json": _json(_config(subject)),
        "spool.json": _json(_spool(subject)),
        **{f"logs/{name}": text for name, text in _logs(subject)},
    }
    # Whatever slipped through elsewhere: no known secret leaves this host.
    clean = {
        name: redact_line(text, subject) if name.startswith("logs/") else _hide(text, subject)
        for name, text in parts.items()
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in clean.items():
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"alerta-opsgenie-doctor/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return list(clean)


def _hide(text: str, subject: Subject) -> str:
    for secret in subject.secrets():
        text = text.replace(secret, "***")
    return text


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


def _config(subject: Subject) -> Any:
    if subject.document is None or subject.config is None:
        return {"trouble": str(subject.trouble)}
    return {"file": redact_document(subject.document.value), "effective": effective_config(subject.config)}


def _spool(subject: Subject) -> Any:
    """List the spool's entries without the messages, which tell of people and their alerts."""
    if subject.person is None:
        return {"trouble": "the connector's user is not known"}
    try:
        return run_as(subject.person.uid, subject.person.gid, lambda: look_into_spool(subject.spool_directory))
    except CannotBecomeError as error:
        return {"trouble": str(error)}


def _logs(subject: Subject) -> Iterable[tuple[str, str]]:
    log = connector_log(subject.log_directory, subject.edge, subject.process.pid if subject.process else None)
    own = [subject.mapping.stdout, subject.mapping.stderr] if subject.mapping else []
    paths = [log, *own, f"{subject.spool_directory}/drainer.log"]
    for path in dict.fromkeys(path for path in paths if path):
        lines = [redact_line(line, subject) for line in read_tail(path)[-LOG_LINES:]]
        if lines:
            yield Path(path).name, "\n".join(lines) + "\n"
