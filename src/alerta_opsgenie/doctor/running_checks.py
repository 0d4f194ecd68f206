"""The connector at work: its process, its version, its log, its last success; and secrets that others can see."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator

from alerta_opsgenie import __version__
from alerta_opsgenie.doctor.finding import Finding, fail, ok, warn
from alerta_opsgenie.doctor.processes import PROGRAMS, SERVICES, connector_log, read_tail, read_version
from alerta_opsgenie.doctor.subject import Subject, user_name
from alerta_opsgenie.vendor.config import NATIVE

RECENT_SECONDS = 24 * 3600.0
"""A failure that is older is not worth a word."""

_RESULT = re.compile(r"^(?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<level>[A-Z]+) (?P<kind>[a-z]+) (?P<what>.*)$")
_DONE = {"applied", "already"}
_FAILED = {"rejected", "kept"}
_LARGEST_LOOKED_AT_BYTES = 256 * 1024
_OTHERS_READ = 0o004


def check_process(subject: Subject) -> Iterator[Finding]:
    """Look whether the connector runs, and as whom."""
    process, service = subject.process, SERVICES[subject.edge]
    if process is None:
        yield fail(
            f"no {PROGRAMS[subject.edge]} runs on this host", f"systemctl start {service}; journalctl -u {service}"
        )
        return
    yield ok(f"{PROGRAMS[subject.edge]} runs as {user_name(process.uid)} (process {process.pid})")
    if process.uid == 0 and subject.edge != NATIVE:
        yield warn("it runs as root, and so does every script", f"set User= in {service}.service to its own user")


def check_log(subject: Subject) -> Iterator[Finding]:
    """Read the connector's own log: which version it is, and what its last error was."""
    if subject.edge == NATIVE:
        if subject.process is not None:
            yield ok(f"it logs to the journal (journalctl -u {SERVICES[NATIVE]}); this is version {__version__}")
        return
    log = connector_log(subject.log_directory, subject.edge, subject.process.pid if subject.process else None)
    if log is None:
        if subject.process is not None:
            mend = f"see that its user can write there: ls -ld {subject.log_directory}"
            yield warn(f"it has no log in {subject.log_directory}", mend)
        return
    version = read_version(log)
    yield ok(f"its log is {log}" + (f"; it is version {version}" if version else ""))


def check_last_success(subject: Subject) -> Iterator[Finding]:
    """Find in the executor's log when an action last reached Alerta, and whether the last one did not."""
    path = subject.mapping.stdout if subject.mapping and subject.edge != NATIVE else ""
    if not path:
        return
    results = [match for match in map(_RESULT.match, read_tail(path)) if match]
    done = [match for match in results if match["kind"] in _DONE]
    if not results:
        yield ok(f"no action has come through yet, by {path}")
        return
    last = results[-1]
    if last["kind"] in _FAILED and last["level"] == "ERROR" and _age_seconds(last["when"]) < RECENT_SECONDS:
        text = redact_line(f"{last['kind']} {last['what']}", subject)[:300]
        yield warn(
            f"the last action failed at {last['when']}: {text}", "mend what the line says; the rest is in the log"
        )
    if done:
        yield ok(f"the last action reached Alerta at {done[-1]['when']}")


def _age_seconds(when: str) -> float:
    at = datetime.strptime(when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return time.time() - at.timestamp()


def redact_line(line: str, subject: Subject) -> str:
    """Take the secrets that we know, and what looks like another, out of a line of a log."""
    for secret in subject.secrets():
        line = line.replace(secret, "***")
    return _AUTHORIZATION.sub(r"\1***", line)


_AUTHORIZATION = re.compile(r"((?:GenieKey|Key|Bearer|Basic|-{1,2}\w*[kK]ey)[ =:]+)[^\s\"',]+")


def check_secrets(subject: Subject) -> Iterator[Finding]:
    """Look for the keys on the command lines of running processes, and in files beside the configuration."""
    secrets = subject.secrets()
    if not secrets or subject.config is None:
        return
    exposed = sorted({process.pid for process in subject.processes if _shows(process.arguments, secrets)})
    for pid in exposed[:3]:
        mend = "give keys in files or in the environment; ps shows arguments to every user of the host"
        yield warn(f"process {pid} has a key among its arguments", mend)
    readable = list(_readable_copies(subject, secrets))
    for path in readable:
        yield fail(f"{path} holds a key and can be read by others", f"chmod 600 {path}")
    if not exposed and not readable:
        yield ok("no key is seen on a command line, or in a file beside the configuration that others can read")


def _shows(arguments: tuple[str, ...], secrets: list[str]) -> bool:
    """Whether a key stands among arguments; the one behind `-apiKey` is the vendor's own way and cannot be helped."""
    own = {index + 1 for index, argument in enumerate(arguments) if argument in {"-apiKey", "--apiKey"}}
    kept = [argument for index, argument in enumerate(arguments) if index not in own]
    return any(secret in argument for argument in kept for secret in secrets)


def _readable_copies(subject: Subject, secrets: list[str]) -> Iterator[str]:
    directory = Path(subject.path).parent
    known = {subject.path, subject.told.key_file}  # looked at by checks of their own
    try:
        files = sorted(directory.iterdir())
    except OSError:
        return
    for path in files:
        if str(path) in known or not path.is_file() or path.is_symlink():
            continue
        status = path.stat()
        if status.st_mode & _OTHERS_READ and status.st_size <= _LARGEST_LOOKED_AT_BYTES:
            text = path.read_text(encoding="utf-8", errors="replace")
            if any(secret in text for secret in secrets):
                yield str(path)
