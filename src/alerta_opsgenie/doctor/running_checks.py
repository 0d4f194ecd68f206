"""Checks of the running connector: its process, its log, its last success; and secrets that others can see."""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple

from alerta_opsgenie import __version__
from alerta_opsgenie.connector.refresher import CHANNEL, SQS
from alerta_opsgenie.connector.settings import DEFAULT_LISTEN
from alerta_opsgenie.core.instants import iso_seconds
from alerta_opsgenie.doctor.finding import CheckEndedError, Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import NO_ANSWER, OK, ask
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.journal.errors import user_name
from alerta_opsgenie.page.markup import age
from alerta_opsgenie.setup.processes import PROGRAMS
from alerta_opsgenie.vendor.config import NATIVE

RECENT_SECONDS = 24 * 3600.0  # a failure that is older is not reported
STILL_SECONDS = 10 * 60.0
"""A connector that cannot reach its queue logs that several times a minute: a younger error is not over yet."""

TRANSPORTS: Mapping[str, str] = {SQS: "SQS queues", CHANNEL: "the channel of JEC's version 2"}

_RESULT = re.compile(r"^(?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<level>[A-Z]+) (?P<kind>[a-z]+) (?P<what>.*)$")
_DONE, _FAILED = {"applied", "already"}, {"rejected", "kept"}
_QUEUE_WORDS = ("receive message", "token", "credential", "could not start", "poller")
_LARGEST_SEARCHED_BYTES = 256 * 1024
_OTHERS_READ = 0o004

_VERSION = re.compile(r"(?:OEC|JEC) version is ([0-9A-Za-z.+-]+)")
_TAIL_BYTES = 256 * 1024
_HEAD_BYTES = 4096
_FAILURE_LEVELS = {"ERRO", "FATA", "PANI"}

# logrus's TextFormatter, with ForceColors (opsgenie/oec, queue/poller.go) and without.
_LINE = re.compile(
    r"""(?:\x1b\[\d+m)?(?:time="?(?P<when>[0-9T:.Z+-]+)"? level=)?(?P<level>[A-Za-z]{4})\w*"""
    r"""(?:(?:\x1b\[0m)?\[(?P<at>[0-9T:.Z+-]+)\]\s*| msg=)(?P<text>.*)"""
)


def check_process(inst: Installation) -> Iterator[Finding]:
    """Check that the connector runs, and its user."""
    process = inst.process
    if process is None:
        advice = f"systemctl start {inst.service}; journalctl -u {inst.service}"
        raise CheckEndedError(fail(f"no {PROGRAMS[inst.edge]} runs on this host", advice))
    yield ok(f"{PROGRAMS[inst.edge]} runs as {user_name(process.uid)} (process {process.pid})")
    if process.uid == 0 and inst.edge != NATIVE:
        advice = f"systemctl edit {inst.service} (add [Service] and User= with its own user)"
        yield warn("it runs as root, and so does every script", advice)


def check_log(inst: Installation) -> Iterator[Finding]:
    """Check the connector's own log for its last error; report its version."""
    log = connector_log(inst)
    if log is None:
        if inst.process is not None:
            yield warn(f"it has no log in {inst.log_directory}", f"ls -ld {inst.log_directory}")
        return
    lines = read_tail(log)
    if not lines:
        raise CheckEndedError(skip(f"what the connector logs: {log} is empty or may not be read", "run doctor as root"))
    at, error = last_error(lines)
    if time.time() - at >= RECENT_SECONDS:
        raise CheckEndedError(ok(f"its log {log} has no error of the last 24 hours; version {_read_version(log)}"))
    is_of_queue = any(word in error.lower() for word in _QUEUE_WORDS)
    text = f"it logged {age(time.time() - at)} ago: {inst.redact(error)[:300]}"
    yield (fail if is_of_queue and time.time() - at < STILL_SECONDS else warn)(text, f"tail {log}")


def check_ready(inst: Installation) -> Iterator[Finding]:
    """Check that our own connector is ready."""
    if inst.process is None:
        raise CheckEndedError
    listen = listen_of(inst)
    if listen == "off":
        raise CheckEndedError(skip("whether it is ready: it serves no page (listen is off)"))
    state = ask_ready(inst)
    if state.ready:
        by = f", and takes messages by {TRANSPORTS[state.transport]}" if state.transport in TRANSPORTS else ""
        yield ok(f"it is ready ({listen}/readyz){by}; this is version {__version__}")
    else:
        yield fail(f"it is not ready: {state.why}", f"journalctl -u {inst.service}")


class Ready(NamedTuple):
    """The response of our connector's `/readyz`; `why` is the reason if it is not ready."""

    ready: bool
    transport: str = ""
    why: str = ""


def listen_of(inst: Installation) -> str:
    """Return the address of our connector's pages: HOST:PORT, or `off`."""
    own = inst.config.own.get("listen")
    given = inst.process.option("--listen") if inst.process else ""
    return given or (own if isinstance(own, str) else "") or DEFAULT_LISTEN


def ask_ready(inst: Installation) -> Ready:
    """Request `/readyz`."""
    try:
        response = ask(inst, f"http://{listen_of(inst)}", "/readyz", {})
    except NO_ANSWER as error:
        return Ready(ready=False, why=f"/readyz does not answer: {error}")
    body = response.json if isinstance(response.json, dict) else {}
    problems, stuck = (value if isinstance(value, list) else [] for value in map(body.get, ("problems", "stuck")))
    found = "; ".join([*map(str, problems), *(f"{part} makes no progress" for part in stuck)])
    why = " ".join(found.split())[:300] or f"HTTP {response.status}"
    return Ready(response.status == OK, str(body.get("transport") or ""), why)


def check_last_success(inst: Installation) -> Iterator[Finding]:
    """Find in the executor's log when an action last reached Alerta, and whether the last action failed."""
    path = inst.mapping.stdout if inst.mapping else ""
    if not path:
        return
    results = [match for match in map(_RESULT.match, read_tail(path)) if match]
    if not results:
        yield skip(f"{path} shows no action yet", "alerta-opsgenie doctor --send-test")
        return
    last, done = results[-1], [match["when"] for match in results if match["kind"] in _DONE]
    is_recent = time.time() - (iso_seconds(last["when"]) or 0.0) < RECENT_SECONDS
    if last["kind"] in _FAILED and last["level"] == "ERROR" and is_recent:
        text = inst.redact(f"{last['kind']} {last['what']}")[:300]
        yield warn(f"the last action failed at {last['when']}: {text}", f"tail {path}")
    if done:
        yield ok(f"the last action reached Alerta at {done[-1]}")


def check_secrets(inst: Installation) -> Iterator[Finding]:
    """Search the keys in the command lines of running processes, and in files in the configuration's directory."""
    secrets = inst.secrets()
    exposed = sorted({process.pid for process in inst.processes if _has_key(process.arguments, secrets)})
    for pid in exposed[:3]:
        advice = "give keys in files or in the environment; ps shows arguments to every user of the host"
        yield warn(f"process {pid} has a key among its arguments", advice)
    readable, unread = _readable_copies(inst, secrets) if secrets else ([], [])
    for path in readable:
        yield fail(f"{path} holds a key and can be read by others", f"chmod 600 {path}")
    for error in unread[:3]:
        what = f"whether another file has a key: {error.filename} cannot be read: {error.strerror}"
        yield skip(what, f"ls -ld {error.filename}")
    if secrets and not exposed and not readable and not unread:
        yield ok("no command line, and no file that others can read in the configuration's directory, has a key")


def _has_key(arguments: tuple[str, ...], secrets: list[str]) -> bool:
    """Return whether a key is among arguments. The vendor's own `-apiKey` cannot be avoided and does not count."""
    shown = [
        argument for before, argument in zip(("", *arguments), arguments) if before not in {"-apiKey", "--apiKey"}
    ]  # fmt: skip
    return any(secret in argument for argument in shown for secret in secrets)


def _readable_copies(inst: Installation, secrets: list[str]) -> tuple[list[str], list[OSError]]:
    """Return the files with a key that others can read, and the errors of a directory or file that cannot be read."""
    known = {inst.path, inst.access.key_file}  # other checks cover these
    try:
        paths = [path for path in sorted(Path(inst.path).parent.iterdir()) if str(path) not in known]
    except OSError as error:
        return [], [error]
    found = {str(path): _is_readable_copy(path, secrets) for path in paths}
    unread = [error for error in found.values() if isinstance(error, OSError)]
    return [path for path, is_copy in found.items() if is_copy is True], unread


def _is_readable_copy(path: Path, secrets: list[str]) -> bool | OSError:
    try:
        status = path.lstat()
        is_others = stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS_READ
        if not is_others or status.st_size > _LARGEST_SEARCHED_BYTES:
            return False
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # it was removed meanwhile
        return False
    except OSError as error:
        return error
    return any(secret in text for secret in secrets)


# -- Logs: read from the end


def logs_named(inst: Installation, pattern: str) -> list[Path]:
    """Return the connector's own logs whose names match, newest first; none if they cannot be listed."""
    if inst.edge == NATIVE:
        return []
    try:
        found = [path for path in Path(inst.log_directory).iterdir() if re.fullmatch(pattern, path.name)]
        return sorted(found, key=lambda path: -path.lstat().st_mtime)
    except OSError:
        return []


def connector_log(inst: Installation) -> str | None:
    """Return the log of the connector's process, else the connector's newest log, or None."""
    logs = logs_named(inst, rf"{inst.edge}\d+\.log")
    of_process = [path for path in logs if inst.process and path.name == f"{inst.edge}{inst.process.pid}.log"]
    return str((of_process or logs)[0]) if logs else None


def _read_version(log: str) -> str:
    """Return the connector's version from the start of its log."""
    with suppress(OSError), Path(log).open(encoding="utf-8", errors="replace") as file:
        match = _VERSION.search(file.read(_HEAD_BYTES))
        return match[1] if match else "unknown"
    return "unknown"


def read_tail(path: str, *, most_bytes: int = _TAIL_BYTES) -> list[str]:
    """Return the last lines of a text file; none if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            lines = file.read(most_bytes).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > most_bytes else lines


def last_error(lines: list[str]) -> tuple[float, str]:
    """Return the time (seconds since the epoch) and text of the last error in a log; 0 and an empty text: none."""
    for line in reversed(lines):
        match = _LINE.match(line)
        at = iso_seconds(match["when"] or match["at"] or "") if match else None
        if match and at is not None and match["level"].upper() in _FAILURE_LEVELS:
            return at, match["text"].strip().strip('"')
    return 0.0, ""
