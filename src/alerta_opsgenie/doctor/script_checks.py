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
from alerta_opsgenie.doctor.config_checks import need_user
from alerta_opsgenie.doctor.finding import CheckEndedError, Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.person import user_name
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.setup.access import our_mappings
from alerta_opsgenie.setup.interpreter import LEAST_VERSION, Interpreter, find_interpreter
from alerta_opsgenie.vendor.arguments import INTERPRETERS
from alerta_opsgenie.vendor.config import NATIVE

OLD_SECONDS = 15 * 60.0
"""From this age on a waiting action is a failure: the agent tries at least every 15 seconds."""

_SECONDS = 20.0
_OTHERS_WRITE = 0o022


def _script(inst: Installation) -> str:
    """Give what the actions are mapped to; where nothing of ours is, the check ends."""
    if inst.mapping is None:
        raise CheckEndedError
    return inst.mapping.filepath


def check_script(inst: Installation) -> Iterator[Finding]:
    """Look whether each file that the mappings name is there, can be started, and is changed by nobody else."""
    for path in dict.fromkeys(mapping.filepath for mapping in our_mappings(inst.needed_config)):
        yield _check_script(inst, path)


def _check_script(inst: Installation, path: str) -> Finding:
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return fail(f"{path}, which the actions are mapped to, is not there", inst.install_command)
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
    name = "python" if path.endswith(".py") else _named_python(path)
    search, how = inst.search_path
    where = f"on the service's PATH ({search}; {how})"
    advice = f"install Python 3.9 or later, or correct the PATH: systemctl edit {inst.service}"
    if name == "python":
        advice = f"apt install python-is-python3, or map the actions to {path.removesuffix('.py')} in {inst.path}"
    elif "/" in name:
        where, advice = f"in the first line of {path}", inst.install_command
    found = find_interpreter(name, search)
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
    if not Path(path).exists():
        return
    command = [*INTERPRETERS.get(".py" if path.endswith(".py") else "", ()), path, "--version"]
    output, error = _run_program(inst, command)
    if error:
        yield fail(f"{' '.join(command)} fails: {error}", inst.install_command)
    elif not output.startswith("alerta-opsgenie "):
        yield fail(f"{path} is not our executor, or an older script of that name", inst.install_command)
    elif output != f"alerta-opsgenie {__version__}":
        yield warn(f"{path} is {output}, this is {__version__}", inst.install_command)
    else:
        yield ok(f"{path} starts and is {output}")


def check_service(inst: Installation) -> Iterator[Finding]:
    """Look whether the program of our own service, the connector or the agent, starts as its user."""
    unit = inst.own_unit
    if not unit.command:
        return
    program = unit.command[0]
    name = need_user(inst, f"whether {unit.name} can start {program} as its user").name
    command = [program, "run" if inst.edge == NATIVE else "agent", "--help"]
    _, error = _run_program(inst, command)
    if error:
        # Without the agent's service the executors start one; only what waits is not delivered after a reboot.
        judge = fail if inst.edge == NATIVE else warn
        advice = f"install it where {name} may read it, or correct ExecStart in {unit.path}"
        yield judge(f"{' '.join(command)} fails as {name}: {error}", advice)
    else:
        yield ok(f"{program} of {unit.name} starts as {name}")


def _run_program(inst: Installation, command: list[str]) -> tuple[str, str]:
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
    files = [path for path in (inst.mapping.stdout, inst.mapping.stderr) if path] if inst.mapping else []
    if not files:
        return
    user = need_user(inst, f"whether it can write {files[0]}").name
    refused = [path for path in files if not _may_write(path)]
    for path in refused:
        advice = f"chown {user}: {path}" if Path(path).exists() else f"install -o {user} -m 640 /dev/null {path}"
        if str(Path(path).parent) == inst.log_directory:  # no other directory is changed: others may use it
            advice = f"chown -R {user}: {inst.log_directory}"
        yield fail(f"{user} cannot write {path}", advice)
    if not refused:
        yield ok(f"{user} can write {' and '.join(files)}")


def _may_write(path: str) -> bool:
    if os.path.exists(path):  # noqa: PTH110 - Path.exists() raises where it may not look
        return os.access(path, os.W_OK)
    return os.access(os.path.dirname(path), os.W_OK | os.X_OK)  # noqa: PTH120


# -- The state directory


def check_state(inst: Installation) -> Iterator[Finding]:
    """Look at what waits and what is dead, and whether the state directory can be used."""
    directory = inst.state_directory
    me = need_user(inst, f"what waits in {directory}").name
    if os.path.isdir(directory):  # noqa: PTH112
        yield from _check_directory(inst, directory, me)
    elif os.access(_nearest(directory), os.W_OK | os.X_OK):
        yield ok(f"nothing has been kept in {directory} yet")
    else:
        yield fail(f"the state directory {directory} cannot be made", f"install -d -o {me} -m 700 {directory}")


def _nearest(directory: str) -> str:
    """Give what is there of a path."""
    return next(str(path) for path in Path(directory).parents if os.path.isdir(path))  # noqa: PTH112


def _check_directory(inst: Installation, directory: str, me: str) -> Iterator[Finding]:
    status = Path(directory).stat()
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
