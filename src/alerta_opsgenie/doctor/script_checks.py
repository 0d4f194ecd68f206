"""The executor on the connector's host: the file, the Python that starts it, its logs, its spool."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

from alerta_opsgenie import __version__
from alerta_opsgenie.doctor.finding import Finding, fail, ok, warn
from alerta_opsgenie.doctor.subject import Person, Subject, user_name
from alerta_opsgenie.journal import Spool, SpoolUnavailable
from alerta_opsgenie.lanes import Desk
from alerta_opsgenie.setup.as_user import CannotBecomeError, run_as
from alerta_opsgenie.setup.interpreter import LEAST_VERSION, Identity, Interpreter, find_interpreter
from alerta_opsgenie.vendor.config import NATIVE
from alerta_opsgenie.vendor.runner import INTERPRETERS

OLD_SECONDS = 15 * 60.0
"""From this age on what waits is worth a word: a drainer tries at least every 15 seconds."""

_SECONDS = 20.0
_OTHERS_WRITE = 0o022


def _script(subject: Subject) -> str:
    return subject.mapping.filepath if subject.mapping and subject.edge != NATIVE else ""


def check_script(subject: Subject) -> Iterator[Finding]:
    """Look whether each file that the mappings name is there, can be started, and is changed by nobody else."""
    if subject.edge == NATIVE or subject.config is None:
        return
    paths = dict.fromkeys(
        mapping.filepath for mapping in subject.config.mappings.values() if mapping.is_alerta_executor
    )
    for path in paths:
        yield _check_script(subject, path)


def _check_script(subject: Subject, path: str) -> Finding:
    install = f"alerta-opsgenie install --edge {subject.edge}"
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return fail(f"{path}, which the actions are mapped to, is not there", install)
    except OSError as error:
        return fail(f"{path} cannot be looked at: {error.strerror}", "run doctor as root")
    person, mode = subject.person, status.st_mode & 0o777
    owner = user_name(status.st_uid)
    if mode & _OTHERS_WRITE:
        return fail(f"{path} can be changed by others (mode {mode:04o})", f"chmod 755 {path}")
    if person and status.st_uid not in (0, person.uid):
        return fail(f"{path} belongs to {owner}, not to {person.name}", f"chown {person.name}: {path}")
    starts_directly = not path.endswith(".py")
    usable = os.X_OK | os.R_OK if starts_directly else os.R_OK
    try:
        allowed = person is None or run_as(person.uid, person.gid, lambda: os.access(path, usable))
    except CannotBecomeError as why:
        return warn(
            f"whether {person.name if person else '?'} can start {path} is not known: {why}", "run doctor as root"
        )
    if not allowed:
        return fail(
            f"{person.name if person else ''} cannot start {path} ({owner}, mode {mode:04o})", f"chmod 755 {path}"
        )
    return ok(f"{path} is {owner}'s with mode {mode:04o}")


def check_python(subject: Subject) -> Iterator[Finding]:
    """Look which Python the connector would start: it takes `python` for a `.py`, whatever the first line says."""
    path = _script(subject)
    if not path:
        return
    name = "python" if path.endswith(".py") else "python3"
    search, how = subject.search_path
    found = find_interpreter(name, search, _identity(subject.person))
    place = f"the service's PATH ({search}; {how})"
    mend = "apt install python-is-python3, or map the actions to oecAlertaExecutor, which needs python3 alone"
    if name == "python3":
        mend = "install Python 3.9 or later, or correct the service's PATH"
    if found is None:
        yield fail(f"there is no `{name}` on {place}", mend)
    elif not found.version:
        yield fail(f"{found.path} does not start: {found.trouble}", mend)
    elif not found.is_usable:
        least = ".".join(str(part) for part in LEAST_VERSION)
        yield fail(f"`{name}` on {place} is {_told(found)}; the executor needs {least} or later", mend)
    else:
        yield ok(f"`{name}` is {_told(found)}, by {place}")


def _told(found: Interpreter) -> str:
    return f"{found.path}, Python {'.'.join(str(part) for part in found.version)}"


def _identity(person: Person | None) -> Identity | None:
    return Identity(person.uid, person.gid) if person else None


def check_starts(subject: Subject) -> Iterator[Finding]:
    """Start the executor for its version, as the connector's user and with its PATH."""
    path = _script(subject)
    if not path or not Path(path).exists():
        return
    command = [*INTERPRETERS.get(".py" if path.endswith(".py") else "", ()), path, "--version"]
    said, trouble = _run(command, subject)
    install = f"alerta-opsgenie install --edge {subject.edge} puts this version there"
    if trouble:
        yield fail(f"{' '.join(command)} fails: {trouble}", install)
    elif not said.startswith("alerta-opsgenie "):
        yield fail(f"{path} is not our executor, or an older script of that name", install)
    elif said != f"alerta-opsgenie {__version__}":
        yield warn(f"{path} is {said}, this is {__version__}", install)
    else:
        yield ok(f"{path} starts and is {said}")


def _run(command: list[str], subject: Subject) -> tuple[str, str]:
    """Run a program as the connector's user; gives its output, or what went wrong."""
    person = subject.person
    extra: dict[str, Any] = {}
    if person and os.geteuid() == 0 and person.uid != 0:
        extra = {"user": person.uid, "group": person.gid, "extra_groups": []}
    environment = dict(subject.service_environment)
    try:
        # By the service's PATH, which is not the one that this process would look through.
        program = find_interpreter(command[0], environment["PATH"]) if "/" not in command[0] else None
        real = [program.path if program else command[0], *command[1:]]
        ended = subprocess.run(
            real, capture_output=True, timeout=_SECONDS, check=False, env=environment, cwd="/",
            stdin=subprocess.DEVNULL, **extra,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"it does not end within {_SECONDS:g} s"
    except OSError as error:
        return "", str(error.strerror)
    if ended.returncode:
        lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        return "", lines[-1][:200] if lines else f"it ends with {ended.returncode}"
    return ended.stdout.decode("utf-8", "replace").strip(), ""


def check_logs(subject: Subject) -> Iterator[Finding]:
    """Look whether the connector's user can write the files for the executor's output: else each action fails."""
    if subject.edge == NATIVE or subject.mapping is None:
        return
    files = [path for path in (subject.mapping.stdout, subject.mapping.stderr) if path]
    person = subject.person
    if not files or person is None:
        return
    try:
        refused = run_as(person.uid, person.gid, lambda: [path for path in files if not _may_write(path)])
    except CannotBecomeError as why:
        yield warn(f"whether {person.name} can write {files[0]} is not known: {why}", "run doctor as root")
        return
    for path in refused:
        yield fail(f"{person.name} cannot write {path}", f"chown -R {person.name}: {Path(path).parent}")
    if not refused:
        yield ok(f"{person.name} can write {' and '.join(files)}")


def _may_write(path: str) -> bool:
    if os.path.exists(path):  # noqa: PTH110 - Path.exists() raises where it may not look
        return os.access(path, os.W_OK)
    return os.access(os.path.dirname(path), os.W_OK | os.X_OK)  # noqa: PTH120


def check_spool(subject: Subject) -> Iterator[Finding]:
    """Look into the spool as the connector's user does."""
    directory, person = subject.spool_directory, subject.person
    if person is None:
        yield fail("nobody knows as whom the connector runs, so nor whose spool it uses", "name the user: --user NAME")
        return
    try:
        held = run_as(person.uid, person.gid, lambda: look_into_spool(directory))
    except CannotBecomeError as why:
        yield warn(f"the spool {directory} cannot be looked into: {why}", "run doctor as root")
        return
    yield from _judge_spool(directory, person, held)


def _judge_spool(directory: str, person: Person, held: dict[str, Any]) -> Iterator[Finding]:
    listing = f"alerta-opsgenie spool list --spool-dir {directory}"
    if held.get("trouble"):
        yield fail(f"{held['trouble']}", held["mend"])
        return
    waiting, dead, oldest = held["waiting"], held["dead"], held["oldest_seconds"]
    if not waiting and not dead:
        yield ok(f"nothing waits in the spool {directory} ({person.name}'s)")
    if waiting and oldest > OLD_SECONDS:
        mend = f"mend what {listing} names as the reason, then: alerta-opsgenie spool drain"
        yield fail(f"{waiting} actions wait in {directory}, the oldest for {oldest / 60:.0f} minutes", mend)
    elif waiting:
        yield warn(f"{waiting} actions wait in {directory}, the oldest for {oldest:.0f} s", f"see why: {listing}")
    if dead:
        yield warn(f"{dead} actions were refused for good, in {directory}", f"{listing}, then spool retry or drop")


def look_into_spool(directory: str) -> dict[str, Any]:
    """Say what a spool holds, as the user that this process is; a missing one is made if its place allows that."""
    missing = not os.path.isdir(directory)  # noqa: PTH112
    if missing:
        nearest = _nearest(directory)
        if not os.access(nearest, os.W_OK | os.X_OK):
            mend = f"let {user_name(os.geteuid())} write there, or give it another place with --spoolDir"
            return {"trouble": f"the spool {directory} cannot be made: {nearest} cannot be written", "mend": mend}
        return {"waiting": 0, "dead": 0, "oldest_seconds": 0.0, "entries": []}
    try:
        return _count(directory)
    except SpoolUnavailable as error:
        if error.label == "absent":
            return {"waiting": 0, "dead": 0, "oldest_seconds": 0.0, "entries": []}
        return {"trouble": error.reason, "mend": error.mend}
    except OSError as error:
        return {
            "trouble": f"the spool {directory}: {error.strerror}",
            "mend": f"see its owner and mode: ls -la {directory}",
        }


def _count(directory: str) -> dict[str, Any]:
    now = time.time()
    orphans = 0
    for orphan in Desk(directory).orphans() if os.path.isdir(f"{directory}/taken") else ():  # noqa: PTH112
        orphan.close()
        orphans += 1
    with Spool(directory, create=False) as spool:
        counts = spool.counts(now)
        entries = [
            {"id": entry.id, "state": entry.state, "action": entry.kind, "alert": entry.lane, "reason": entry.reason,
             "attempts": entry.attempts, "kept_at": entry.kept_at}
            for entry in spool.entries(None)
        ]  # fmt: skip
    oldest = counts.oldest_waiting_seconds
    return {"waiting": counts.waiting + orphans, "dead": counts.dead, "oldest_seconds": oldest, "entries": entries}


def _nearest(directory: str) -> str:
    path = Path(directory)
    while not os.path.isdir(path) and path != path.parent:  # noqa: PTH112
        path = path.parent
    return str(path)
