"""Checks of the executor on the connector's host: its file, its Python, its logs, its state directory."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Iterator

from alerta_opsgenie import __version__
from alerta_opsgenie.agent.handover import UnsafeError, open_directory
from alerta_opsgenie.agent.state import journal_of, target_name, target_url, targets
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.doctor.config_checks import require_user
from alerta_opsgenie.doctor.finding import CheckEndedError, Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.journal.errors import user_name
from alerta_opsgenie.page.markup import age
from alerta_opsgenie.setup.access import our_mappings
from alerta_opsgenie.setup.interpreter import LEAST_VERSION, find_interpreter
from alerta_opsgenie.vendor.arguments import INTERPRETERS
from alerta_opsgenie.vendor.config import NATIVE

OLD_SECONDS = 15 * 60.0  # from this age on a waiting action is a failure: the agent tries at least every 15 seconds
_SECONDS = 20.0
_OTHERS_WRITE = 0o022


def _script(inst: Installation) -> str:
    if inst.mapping is None:
        raise CheckEndedError
    return inst.mapping.filepath


def check_script(inst: Installation) -> Iterator[Finding]:
    """Check that the connector's user can read and start each mapped script, and that no other user can change it."""
    for path in dict.fromkeys(mapping.filepath for mapping in our_mappings(inst.config)):
        yield _check_script(inst, path)


def _check_script(inst: Installation, path: str) -> Finding:
    try:
        status = Path(path).stat()
    except OSError as error:
        return fail(f"{path}, which the actions are mapped to: {error.strerror}", inst.install_command)
    user, what = inst.user, f"{path} is {user_name(status.st_uid)}'s with mode {status.st_mode & 0o777:04o}"
    if status.st_mode & _OTHERS_WRITE:
        return fail(f"{what}: it can be changed by others", f"chmod 755 {path}")
    if user and status.st_uid not in (0, user.uid):
        return fail(f"{what}: it belongs to neither root nor {user.name}", f"chown {user.name}: {path}")
    if user is None or not user.is_current_user:
        return skip(f"whether the connector's user can start {path}", "run doctor as root")
    if not os.access(path, os.R_OK if path.endswith(".py") else os.X_OK | os.R_OK):
        return fail(f"{what}: {user.name} cannot start it", f"chmod 755 {path}")
    return ok(what)


def check_python(inst: Installation) -> Iterator[Finding]:
    """Check the `python` with which the connector starts a `.py`; other scripts name their own, see `executor`."""
    path, search = _script(inst), inst.search_path
    if not path.endswith(".py"):
        return
    found = find_interpreter("python", search)
    advice = f"apt install python-is-python3, or map the actions to {path.removesuffix('.py')} in {inst.path}"
    if found is None:
        yield fail(f"there is no `python` on the service's PATH ({search})", advice)
    elif not found.is_usable:
        version, least = (".".join(map(str, one)) for one in (found.version, LEAST_VERSION))
        yield fail(f"{found.path} {found.failure or f'is {version}; the executor needs {least} or later'}", advice)
    else:
        yield ok(f"`python` is {found.path} on the service's PATH, {'.'.join(map(str, found.version))}")


def check_starts(inst: Installation) -> Iterator[Finding]:
    """Start the executor with `--version` and the service's PATH."""
    path = _script(inst)
    output, error = _run_program(inst, [*INTERPRETERS.get(Path(path).suffix, ()), path, "--version"])
    if error:
        yield fail(f"{path} --version fails: {error}", inst.install_command)
    elif not output.startswith("alerta-opsgenie "):
        yield fail(f"{path} is not our executor, or an older script of that name", inst.install_command)
    elif output != f"alerta-opsgenie {__version__}":
        yield warn(f"{path} is {output}, this is {__version__}", inst.install_command)
    else:
        yield ok(f"{path} starts and is {output}")


def check_service(inst: Installation) -> Iterator[Finding]:
    """Check that the program of our own service, the connector or the agent, starts as its user."""
    unit = inst.own_unit
    if not unit.command:
        return
    # Without its service, executors start the agent; only waiting actions are not delivered after a reboot.
    name, judge = ("run", fail) if inst.edge == NATIVE else ("agent", warn)
    user = require_user(inst, f"whether {unit.name} can start {unit.command[0]} as its user").name
    _, error = _run_program(inst, [unit.command[0], name, "--help"])
    what = f"{unit.command[0]} {name} of {unit.name}, as {user}"
    if error:
        yield judge(
            f"{what}, fails: {error}", f"install it where {user} may read it, or correct ExecStart in {unit.path}"
        )
    else:
        yield ok(f"{what}, starts")


def _run_program(inst: Installation, command: list[str]) -> tuple[str, str]:
    """Run a program, found by the PATH of the service's environment; return its output and its error."""
    try:
        ended = subprocess.run(
            command, capture_output=True, timeout=_SECONDS, check=False, env=dict(inst.service_environment), cwd="/",
            stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    errors = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
    return ended.stdout.strip(), errors[-1][:200] if ended.returncode else ""


def check_logs(inst: Installation) -> Iterator[Finding]:
    """Check that the connector's user can write the files for the executor's output; otherwise each action fails."""
    files = [path for path in (inst.mapping.stdout, inst.mapping.stderr) if path] if inst.mapping else []
    if not files:
        return
    user = require_user(inst, f"whether it can write {files[0]}").name
    refused = [path for path in files if not _may_write(path)]
    for path in refused:
        advice = f"chown {user}: {path}" if Path(path).exists() else f"install -o {user} -m 640 /dev/null {path}"
        if str(Path(path).parent) == inst.log_directory:  # other programs may use any other directory
            advice = f"chown -R {user}: {inst.log_directory}"
        yield fail(f"{user} cannot write {path}", advice)
    if not refused:
        yield ok(f"{user} can write {' and '.join(files)}")


def _may_write(path: str) -> bool:
    if os.path.exists(path):  # noqa: PTH110 - Path.exists() raises without the right to search the directory
        return os.access(path, os.W_OK)
    return os.access(os.path.dirname(path), os.W_OK | os.X_OK)  # noqa: PTH120


# -- The state directory


def check_state(inst: Installation) -> Iterator[Finding]:
    """Check waiting actions and dead letters, and that the state directory can be used."""
    directory = inst.state_directory
    me = require_user(inst, f"what waits in {directory}").name
    try:
        os.close(open_directory(directory))
    except FileNotFoundError:
        there = next(str(path) for path in Path(directory).parents if os.path.isdir(path))  # noqa: PTH112
        if not os.access(there, os.W_OK | os.X_OK):
            advice = f"install -d -o {me} -m 700 {directory}"
            raise CheckEndedError(fail(f"the state directory {directory} cannot be made", advice)) from None
    except (UnsafeError, OSError) as error:
        advice = f"name another one with --spoolDir in {inst.path}"  # do not change another program's directory
        if os.path.isdir(f"{directory}/targets"):  # noqa: PTH112
            advice = f"chown {me}: {directory}; chmod 700 {directory}"
        raise CheckEndedError(fail(str(error), advice)) from None
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
    what = f"{counts.waiting} actions wait for {url}"
    if not counts.waiting:
        yield ok(f"nothing waits for {url} in {directory}")
    elif name not in _own_targets(inst):
        advice = f"alerta-opsgenie spool retarget {url} {inst.access.url} --spool-dir {directory}"
        yield fail(f"{what}, which {inst.path} does not name", advice)
    else:
        yield (fail if oldest > OLD_SECONDS else warn)(f"{what}, the oldest for {age(oldest)}", listing)
    if counts.dead:
        yield warn(f"{counts.dead} actions for {url} were refused permanently", listing)


def _own_targets(inst: Installation) -> set[str]:
    names = set()
    for access in inst.accesses:
        with suppress(AddressError):
            names.add(target_name(access.url))
    return names
