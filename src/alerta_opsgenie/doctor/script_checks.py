"""The executor on the connector's host: the file, the Python that starts it, its logs, its state directory."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Iterator

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.state import journal_of, target_name, target_url, targets
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.doctor.config_checks import name_the_user
from alerta_opsgenie.doctor.finding import Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.person import user_name
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.setup.interpreter import LEAST_VERSION, Interpreter, find_interpreter
from alerta_opsgenie.vendor.arguments import INTERPRETERS
from alerta_opsgenie.vendor.config import NATIVE

OLD_SECONDS = 15 * 60.0
"""From this age on a waiting action is a failure: the agent tries at least every 15 seconds."""

_SECONDS = 20.0
_OTHERS_WRITE = 0o022


def _script(inst: Installation) -> str:
    return inst.mapping.filepath if inst.mapping else ""


def check_script(inst: Installation) -> Iterator[Finding]:
    """Look whether each file that the mappings name is there, can be started, and is changed by nobody else."""
    paths = (mapping.filepath for mapping in inst.needed_config.mappings.values() if mapping.is_alerta_executor)
    for path in dict.fromkeys(paths):
        yield _check_script(inst, path)


def _check_script(inst: Installation, path: str) -> Finding:
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        install = f"alerta-opsgenie install --edge {inst.edge}"
        return fail(f"{path}, which the actions are mapped to, is not there", install)
    except OSError as error:
        return fail(f"{path} cannot be looked at: {error.strerror}", f"see what is there: ls -la {Path(path).parent}")
    person, mode = inst.person, status.st_mode & 0o777
    owner = user_name(status.st_uid)
    if mode & _OTHERS_WRITE:
        return fail(f"{path} can be changed by others (mode {mode:04o})", f"chmod 755 {path}")
    if person and status.st_uid not in (0, person.uid):
        return fail(f"{path} belongs to {owner}, not to {person.name}", f"chown {person.name}: {path}")
    if person is None or not person.is_us:
        return skip(f"whether the connector's user can start {path}", "run doctor as root")
    if not os.access(path, os.R_OK if path.endswith(".py") else os.X_OK | os.R_OK):
        return fail(f"{person.name} cannot start {path} ({owner}, mode {mode:04o})", f"chmod 755 {path}")
    return ok(f"{path} is {owner}'s with mode {mode:04o}")


def check_python(inst: Installation) -> Iterator[Finding]:
    """Look which Python the connector would start: `python` for a `.py`, else what the first line names."""
    path = _script(inst)
    if not path:
        return
    name = "python" if path.endswith(".py") else _named_python(path)
    search, how = inst.search_path
    found = find_interpreter(name, search)
    where = f"on the service's PATH ({search}; {how})"
    advice = f"install Python 3.9 or later, or correct the PATH: systemctl edit {inst.service}"
    if name == "python":
        advice = f"apt install python-is-python3, or map the actions to {path.removesuffix('.py')} in {inst.path}"
    elif "/" in name:
        where, advice = f"in the first line of {path}", f"alerta-opsgenie install --edge {inst.edge}"
    if found is None:
        yield fail(f"there is no `{name}`, which is looked for {where}", advice)
    elif not found.version:
        yield fail(f"{found.path} does not start: {found.failure}", advice)
    elif not found.is_usable:
        least = ".".join(str(part) for part in LEAST_VERSION)
        yield fail(f"`{name}` {where} is {_version(found)}; the executor needs {least} or later", advice)
    else:
        yield ok(f"`{name}` {where} is {_version(found)}")


def _named_python(path: str) -> str:
    """Give the path of the Python that a script's first line names, or `python3`, which `env` looks for."""
    with suppress(OSError), Path(path).open("rb") as file:
        command = file.readline(200).decode("ascii", "replace").removeprefix("#!").split()
        if command and command[0].startswith("/") and not command[0].endswith("/env"):
            return command[0]
    return "python3"


def _version(found: Interpreter) -> str:
    return f"{found.path}, Python {'.'.join(str(part) for part in found.version)}"


def check_starts(inst: Installation) -> Iterator[Finding]:
    """Start the executor for its version, with the service's PATH."""
    path = _script(inst)
    if not path or not Path(path).exists():
        return
    command = [*INTERPRETERS.get(".py" if path.endswith(".py") else "", ()), path, "--version"]
    output, error = run_program(inst, command)
    install = f"alerta-opsgenie install --edge {inst.edge}"
    if error:
        yield fail(f"{' '.join(command)} fails: {error}", install)
    elif not output.startswith("alerta-opsgenie "):
        yield fail(f"{path} is not our executor, or an older script of that name", install)
    elif output != f"alerta-opsgenie {__version__}":
        yield warn(f"{path} is {output}, this is {__version__}", install)
    else:
        yield ok(f"{path} starts and is {output}")


def check_service(inst: Installation) -> Iterator[Finding]:
    """Look whether the program of our own service, the connector or the agent, starts as its user."""
    unit = inst.own_unit
    program = unit.command[:1]
    if not program:
        return
    if inst.person is None or not inst.person.is_us:
        yield skip(f"whether {unit.name} can start {program[0]} as its user", "run doctor as root")
        return
    command = [*program, "run" if inst.edge == NATIVE else "agent", "--help"]
    _, error = run_program(inst, command)
    if error:
        advice = f"install it where {inst.person.name} may read it, or correct ExecStart in {unit.path}"
        # Without the agent's service the executors start one; only what waits is not delivered after a reboot.
        judge = fail if inst.edge == NATIVE else warn
        yield judge(f"{' '.join(command)} fails as {inst.person.name}: {error}", advice)
    else:
        yield ok(f"{program[0]} of {unit.name} starts as {inst.person.name}")


def run_program(inst: Installation, command: list[str]) -> tuple[str, str]:
    """Run a program with the service's environment; gives its output, and what went wrong."""
    environment = dict(inst.service_environment)
    try:
        # By the service's PATH, which is not the one that this process would look through.
        program = find_interpreter(command[0], environment["PATH"]) if "/" not in command[0] else None
        ended = subprocess.run(
            [program.path if program else command[0], *command[1:]],
            capture_output=True, timeout=_SECONDS, check=False, env=environment, cwd="/", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"it does not end within {_SECONDS:g} s"
    except OSError as error:
        return "", str(error.strerror)
    if ended.returncode:
        lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        return "", lines[-1][:200] if lines else f"it ends with {ended.returncode}"
    return ended.stdout.decode("utf-8", "replace").strip(), ""


def check_logs(inst: Installation) -> Iterator[Finding]:
    """Look whether the connector's user can write the files for the executor's output: else each action fails."""
    if inst.mapping is None or inst.person is None:
        return
    files = [path for path in (inst.mapping.stdout, inst.mapping.stderr) if path]
    if not files:
        return
    if not inst.person.is_us:
        yield skip(f"whether {inst.person.name} can write {files[0]}", "run doctor as root")
        return
    refused = [path for path in files if not _may_write(path)]
    for path in refused:
        yield fail(f"{inst.person.name} cannot write {path}", _make_writable(inst, path, inst.person.name))
    if not refused:
        yield ok(f"{inst.person.name} can write {' and '.join(files)}")


def _make_writable(inst: Installation, path: str, user: str) -> str:
    """Give a command for the connector's log directory, or else for the file alone: others may use its directory."""
    if str(Path(path).parent) == inst.log_directory:
        return f"chown -R {user}: {inst.log_directory}"
    return f"chown {user}: {path}" if Path(path).exists() else f"install -o {user} -m 640 /dev/null {path}"


def _may_write(path: str) -> bool:
    if os.path.exists(path):  # noqa: PTH110 - Path.exists() raises where it may not look
        return os.access(path, os.W_OK)
    return os.access(os.path.dirname(path), os.W_OK | os.X_OK)  # noqa: PTH120


# -- The state directory


def check_state(inst: Installation) -> Iterator[Finding]:
    """Look at what waits and what is dead, and whether the state directory can be used."""
    directory, person = inst.state_directory, inst.person
    if person is None:
        yield fail("it is not known as whom the connector runs, so nor where its actions wait", name_the_user(inst))
    elif not person.is_us:
        yield skip(f"what waits in {directory}", "run doctor as root")
    elif not os.path.isdir(directory):  # noqa: PTH112
        yield _check_creatable(directory)
    else:
        yield from _check_journals(inst, directory)


def _check_creatable(directory: str) -> Finding:
    nearest = Path(directory)
    while not os.path.isdir(nearest) and nearest != nearest.parent:  # noqa: PTH112
        nearest = nearest.parent
    if os.access(nearest, os.W_OK | os.X_OK):
        return ok(f"nothing has been kept in {directory} yet")
    me = user_name(os.geteuid())
    return fail(f"the state directory {directory} cannot be made", f"install -d -o {me} -m 700 {directory}")


def _check_journals(inst: Installation, directory: str) -> Iterator[Finding]:
    status = Path(directory).stat()
    me = user_name(os.geteuid())
    is_wrong = status.st_uid != os.geteuid() or bool(status.st_mode & _OTHERS_WRITE)
    if is_wrong and not os.path.isdir(f"{directory}/targets"):  # noqa: PTH112
        # Somebody else's directory is not to be changed.
        yield fail(f"{directory} is no state directory of {me}", f"name another one with --spoolDir in {inst.path}")
    elif status.st_uid != os.geteuid():
        yield fail(f"the state directory {directory} belongs to {user_name(status.st_uid)}", f"chown {me}: {directory}")
    elif status.st_mode & _OTHERS_WRITE:
        yield fail(f"the state directory {directory} is open to other users", f"chmod 700 {directory}")
    else:
        names = targets(directory)
        for name in names:
            yield from _check_journal(inst, directory, name)
        if not names:
            yield ok(f"nothing has been kept in {directory} yet")


def _check_journal(inst: Installation, directory: str, name: str) -> Iterator[Finding]:
    listing, url = f"alerta-opsgenie spool list --spool-dir {directory}", target_url(name)
    try:
        counts = journal_of(directory, name).counts(time.time())
    except JournalError as error:
        yield fail(error.reason, error.advice)
        return
    oldest = counts.oldest_waiting_seconds
    if counts.waiting and name not in _own_targets(inst):
        advice = f"alerta-opsgenie spool retarget {url} {inst.access.url} --spool-dir {directory}"
        yield fail(f"{counts.waiting} actions wait for {url}, which {inst.path} does not name", advice)
    elif counts.waiting and oldest > OLD_SECONDS:
        yield fail(f"{counts.waiting} actions wait for {url}, the oldest for {oldest / 60:.0f} minutes", listing)
    elif counts.waiting:
        yield warn(f"{counts.waiting} actions wait for {url}, the oldest for {oldest:.0f} s", listing)
    else:
        yield ok(f"nothing waits for {url} in {directory}")
    if counts.dead:
        yield warn(f"{counts.dead} actions for {url} were refused for good", listing)


def _own_targets(inst: Installation) -> set[str]:
    names = set()
    for access in inst.accesses:
        with suppress(AddressError):
            names.add(target_name(access.url))
    return names
