"""Checks of the configuration: it exists, is complete and private, and sets what the executor needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

from alerta_opsgenie.doctor.finding import FAIL, SKIP, WARN, CheckEndedError, Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.installation import Installation, SystemUser
from alerta_opsgenie.journal.errors import user_name
from alerta_opsgenie.setup.layout import layout_for
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS, NATIVE
from alerta_opsgenie.vendor.problems import ERROR, NOTE, WARNING

_OTHERS_OR_GROUP_WRITES = 0o027
_LEVELS = {ERROR: FAIL, WARNING: WARN, NOTE: SKIP}


def check_readable(inst: Installation) -> Iterator[Finding]:
    """Check that the configuration exists and can be parsed."""
    if inst.error is not None:
        yield fail(f"{inst.error.where} {inst.error.what}", inst.error.advice)
    else:
        yield ok(f"{inst.path} can be read; it is {inst.edge.upper()}'s")


def check_access(inst: Installation) -> Iterator[Finding]:
    """Check who can read and change the configuration: only the connector's user may."""
    if Path(inst.path).exists() or inst.error is None:
        yield _check_private(inst, inst.path)


def require_user(inst: Installation, what: str) -> SystemUser:
    """Return the connector's user if this process runs as that user; else end the check. `what` was to be checked."""
    user = inst.user
    if user is None:
        advice = f"alerta-opsgenie doctor --config {inst.path} --user NAME"
        raise CheckEndedError(fail(f"the connector's user is not known, so it is not known {what}", advice))
    if not user.is_current_user:
        raise CheckEndedError(skip(what, "run doctor as root"))
    return user


def _check_private(inst: Installation, path: str) -> Finding:
    try:
        status = Path(path).stat()
    except OSError as error:
        return fail(f"{path} cannot be examined: {error.strerror}", f"see what is there: ls -la {Path(path).parent}")
    mode, owner = status.st_mode & 0o777, user_name(status.st_uid)
    if mode & _OTHERS_OR_GROUP_WRITES:
        right = 0o640 if inst.edge == NATIVE else 0o600
        return fail(f"{path} holds a key and has mode {mode:04o}: others may use it", f"chmod {right:o} {path}")
    user = require_user(inst, f"whether it can read {path} ({owner})")
    if not os.access(path, os.R_OK):
        right_owner = f"root:{user.name}" if inst.edge == NATIVE else f"{user.name}:"
        return fail(f"{user.name} ({user.how}) cannot read {path} ({owner})", f"chown {right_owner} {path}")
    return ok(f"{path} belongs to {owner} and is private, and {user.name} can read it")


def check_content(inst: Installation) -> Iterator[Finding]:
    """Report the problems of `config check`, except those that other checks report."""
    assert inst.document is not None  # noqa: S101 - see `doctor.checks`
    unmapped = {f"$.actionMappings.{action}" for action in DOCUMENTED_ACTIONS}
    problems = check_config(inst.document, dialect=inst.dialect, target=inst.edge, environment=inst.environment)
    found = [
        Finding(_LEVELS[problem.level], f"{inst.path}: {problem.path}: {problem.what}", problem.advice)
        for problem in problems
        if not ("is not mapped" in problem.what and problem.path in unmapped) and "shows a secret" not in problem.what
    ]
    yield from found or [ok("its keys and values are what the connector knows")]


def check_mappings(inst: Installation) -> Iterator[Finding]:
    """Check that each documented action starts our executor; the connector drops one that is not mapped."""
    mappings = inst.config.mappings
    missing = [name for name in DOCUMENTED_ACTIONS if name not in mappings]
    foreign = [name for name in DOCUMENTED_ACTIONS if name in mappings and not mappings[name].is_alerta_executor]
    if missing:
        what = f"{inst.path} does not map {', '.join(missing)}, so it never reaches Alerta"
        yield fail(what, inst.install_command)
    if foreign:
        yield warn(f"{inst.path} maps {', '.join(foreign)} to a script that is not ours", inst.install_command)
    if not missing and not foreign:
        yield ok(f"all {len(DOCUMENTED_ACTIONS)} documented actions start the executor")


def check_key_file(inst: Installation) -> Iterator[Finding]:
    """Check how the configuration provides Alerta's key, and the key file if there is one."""
    access, key_file = inst.access, layout_for(inst.edge).key_file
    if access.key_in_arguments:
        advice = f'in {inst.path}, write "--alertaApiKeyFile", "{key_file}" in its place, and the key into that file'
        yield warn("Alerta's key is among the arguments, where every user of the host can see it (ps)", advice)
    elif access.key_file:
        yield _check_private(inst, access.key_file)
        key, why = inst.alerta_key
        if not key and Path(access.key_file).is_file() and os.access(access.key_file, os.R_OK):
            yield fail(why, f"write Alerta's API key into {access.key_file}, alone on one line")
    elif access.read_key()[0]:
        yield ok("Alerta's key is in the script's environment")
    else:
        advice = f'in {inst.path}, add "--alertaApiKeyFile", "{key_file}" to globalArgs; write the key into that file'
        yield fail("the executor is not given a key of Alerta's", advice)
