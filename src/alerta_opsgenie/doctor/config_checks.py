"""The configuration: there, complete, and its owner's alone; and what it gives the executor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

from alerta_opsgenie.doctor.finding import FAIL, SKIP, WARN, Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.person import group_name, user_name
from alerta_opsgenie.setup.layout import layout_for
from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS, NATIVE
from alerta_opsgenie.vendor.problems import ERROR, NOTE, WARNING

_OTHERS_OR_GROUP_WRITES = 0o027
_LEVELS = {ERROR: FAIL, WARNING: WARN, NOTE: SKIP}


def check_readable(inst: Installation) -> Iterator[Finding]:
    """Look whether the configuration is there and can be understood."""
    if inst.error is not None:
        yield fail(f"{inst.error.where} {inst.error.what}", inst.error.advice)
    else:
        yield ok(f"{inst.path} can be read; it is {inst.edge.upper()}'s")


def check_access(inst: Installation) -> Iterator[Finding]:
    """Look at who may read and change the configuration: the connector's user must, nobody else may."""
    if Path(inst.path).exists() or inst.error is None:
        yield check_private(inst, inst.path)


def check_private(inst: Installation, path: str) -> Finding:
    """Look whether a file with a key is its user's alone and can be read by that user."""
    try:
        status = Path(path).stat()
    except OSError as error:
        return fail(f"{path} cannot be looked at: {error.strerror}", f"see what is there: ls -la {Path(path).parent}")
    mode, owner = status.st_mode & 0o777, f"{user_name(status.st_uid)}:{group_name(status.st_gid)}"
    if mode & _OTHERS_OR_GROUP_WRITES:
        right = 0o640 if inst.edge == NATIVE else 0o600
        return fail(f"{path} holds a key and has mode {mode:04o}: others may use it", f"chmod {right:o} {path}")
    person = inst.person
    if person is None:
        return fail(f"the connector's user is not known, so nor whether it can read {path}", name_the_user(inst))
    if not person.is_us:
        return skip(f"whether {person.name} can read {path} ({owner})", "run doctor as root")
    if not os.access(path, os.R_OK):
        advice = f"chown {_right_owner(inst)} {path}"
        return fail(f"{person.name} ({person.how}) cannot read {path} ({owner})", advice)
    return ok(f"{path} is {owner}'s alone, and {person.name} can read it")


def name_the_user(inst: Installation) -> str:
    """Give the command that says as whom the connector runs."""
    return f"alerta-opsgenie doctor --config {inst.path} --user NAME"


def _right_owner(inst: Installation) -> str:
    name = inst.person.name if inst.person else layout_for(inst.edge).user
    return f"root:{name}" if inst.edge == NATIVE else f"{name}:"


def check_content(inst: Installation) -> Iterator[Finding]:
    """Report what `config check` finds, but for what other checks say better."""
    others = [problem for problem in inst.problems if not _is_reported_elsewhere(problem.path, problem.what)]
    for problem in others:
        yield Finding(_LEVELS[problem.level], f"{inst.path}: {problem.path}: {problem.what}", problem.advice)
    if not others:
        yield ok("its keys and values are what the connector knows")


def _is_reported_elsewhere(path: str, what: str) -> bool:
    unmapped = path.removeprefix("$.actionMappings.") in DOCUMENTED_ACTIONS and "is not mapped" in what
    return unmapped or "shows a secret" in what


def check_mappings(inst: Installation) -> Iterator[Finding]:
    """Look whether each documented action starts our executor; the connector drops one that is not mapped."""
    config = inst.config
    if config is None:
        return
    missing = [name for name in DOCUMENTED_ACTIONS if name not in config.mappings]
    foreign = [
        name for name in DOCUMENTED_ACTIONS if name in config.mappings and not config.mappings[name].is_alerta_executor
    ]
    advice = f"alerta-opsgenie install --edge {inst.edge}"
    if missing:
        yield fail(f"{inst.path} does not map {', '.join(missing)}, so Alerta never hears of it", advice)
    if foreign:
        yield warn(f"{inst.path} maps {', '.join(foreign)} to a script that is not ours", advice)
    if not missing and not foreign:
        yield ok(f"all {len(DOCUMENTED_ACTIONS)} documented actions start the executor")


def check_key_file(inst: Installation) -> Iterator[Finding]:
    """Look at where Alerta's key is, and at its file where there is one."""
    access, key_file = inst.access, layout_for(inst.edge).key_file
    if access.key_in_arguments:
        advice = f'in {inst.path}, write "--alertaApiKeyFile", "{key_file}" in its place, and the key into that file'
        yield warn("Alerta's key stands among the arguments, where every user of the host can see it (ps)", advice)
    elif access.key_file:
        yield check_private(inst, access.key_file)
        yield from _check_not_empty(inst)
    elif access.read_key()[0]:
        yield ok("Alerta's key is in the script's environment")
    else:
        advice = f'in {inst.path}, add "--alertaApiKeyFile", "{key_file}" to globalArgs; write the key into that file'
        yield fail("the executor is not given a key of Alerta's", advice)


def _check_not_empty(inst: Installation) -> Iterator[Finding]:
    key, why = inst.alerta_key
    if not key and Path(inst.access.key_file).is_file() and os.access(inst.access.key_file, os.R_OK):
        yield fail(why, f"write Alerta's API key into {inst.access.key_file}, alone on one line")
