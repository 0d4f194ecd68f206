"""The configuration: there, whole, complete, its owner's alone; and what it tells the executor."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

from alerta_opsgenie.doctor.finding import FAIL, WARN, Finding, fail, ok, warn
from alerta_opsgenie.doctor.subject import Subject, group_name, user_name
from alerta_opsgenie.setup.as_user import CannotBecomeError, run_as
from alerta_opsgenie.setup.layout import layout_for
from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS, NATIVE
from alerta_opsgenie.vendor.problems import ERROR

_OTHERS = 0o007
_GROUP_WRITES = 0o020


def check_readable(subject: Subject) -> Iterator[Finding]:
    """Look whether the configuration is there and can be understood."""
    if subject.trouble is not None:
        yield fail(f"{subject.trouble.where} {subject.trouble.what}", subject.trouble.mend)
    else:
        yield ok(f"{subject.path} can be read; it is {subject.edge.upper()}'s")


def check_access(subject: Subject) -> Iterator[Finding]:
    """Look at who may read and change the configuration: the connector's user must, nobody else may."""
    if subject.trouble is not None:
        return
    yield from _check_private(subject, subject.path)


def _check_private(subject: Subject, path: str) -> Iterator[Finding]:
    try:
        status = Path(path).stat()
    except OSError as error:
        yield fail(f"{path} cannot be looked at: {error.strerror}", "run as root, or correct the path")
        return
    mode = status.st_mode & 0o777
    if mode & _OTHERS or mode & _GROUP_WRITES:
        right = 0o640 if subject.edge == NATIVE else 0o600
        yield fail(f"{path} holds a key and has mode {mode:04o}: others may use it", f"chmod {right:o} {path}")
        return
    person = subject.person
    if person is None:
        yield fail(
            f"nobody knows as whom the connector runs, so nor whether it can read {path}", "name it: --user NAME"
        )
        return
    yield _readable_by_person(subject, path, status.st_uid, status.st_gid)


def _readable_by_person(subject: Subject, path: str, uid: int, gid: int) -> Finding:
    person = subject.person
    assert person is not None  # noqa: S101 - looked at by the caller
    owner = f"{user_name(uid)}:{group_name(gid)}"
    try:
        error = run_as(person.uid, person.gid, lambda: _try_to_read(path))
    except CannotBecomeError as why:
        return warn(f"whether {person.name} can read {path} ({owner}) is not known: {why}", "run doctor as root")
    if error:
        mend = f"chown {_right_owner(subject)} {path}, and see that {person.name} may enter the directories above it"
        return fail(f"{person.name} ({person.how}) cannot read {path} ({owner}): {error}", mend)
    return ok(f"{path} is {owner}'s alone, and {person.name} can read it")


def _right_owner(subject: Subject) -> str:
    name = subject.person.name if subject.person else layout_for(subject.edge).user
    return f"root:{name}" if subject.edge == NATIVE else f"{name}:{name}"


def _try_to_read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        return str(error.strerror)
    return ""


def check_content(subject: Subject) -> Iterator[Finding]:
    """Report what `config check` finds, but for what other checks tell better."""
    if subject.document is None:
        return
    others = [problem for problem in subject.problems if not _is_told_elsewhere(problem.path, problem.what)]
    for problem in others:
        level = FAIL if problem.level == ERROR else WARN
        yield Finding(level, f"{problem.path}: {problem.what}", problem.mend)
    if not others:
        yield ok("its keys and values are what the connector knows")


def _is_told_elsewhere(path: str, what: str) -> bool:
    unmapped = path.removeprefix("$.actionMappings.") in DOCUMENTED_ACTIONS and "is not mapped" in what
    return unmapped or "shows a secret" in what


def check_mappings(subject: Subject) -> Iterator[Finding]:
    """Look whether each documented action starts our executor; one that is not mapped is dropped in silence."""
    config = subject.config
    if config is None:
        return
    missing = [name for name in DOCUMENTED_ACTIONS if name not in config.mappings]
    foreign = [
        name for name in DOCUMENTED_ACTIONS if name in config.mappings and not config.mappings[name].is_alerta_executor
    ]
    mend = f"alerta-opsgenie install --edge {subject.edge} maps them"
    if missing:
        yield fail(f"not mapped, so Alerta never hears of it: {', '.join(missing)}", mend)
    if foreign:
        yield warn(f"mapped to a script that is not ours: {', '.join(foreign)}", mend)
    if not missing and not foreign:
        yield ok(f"all {len(DOCUMENTED_ACTIONS)} documented actions start the executor")


def check_key_file(subject: Subject) -> Iterator[Finding]:
    """Look at the file with Alerta's key, where there is one."""
    if subject.config is None:
        return
    if subject.told.key_in_arguments:
        mend = 'put it into a file (mode 0600), and "--alertaApiKeyFile", "FILE" in its place'
        yield warn("Alerta's key stands among the arguments, where every user of the host can see it (ps)", mend)
    elif subject.told.key_file:
        yield from _check_private(subject, subject.told.key_file)
    elif subject.told.key:
        yield ok("Alerta's key is in the script's environment")
    else:
        mend = f'put "--alertaApiKeyFile" and {layout_for(subject.edge).key_file} into globalArgs'
        yield fail("nothing tells the executor which key of Alerta's to use", mend)
