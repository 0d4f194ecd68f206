"""The progress of the move from Opsgenie to JSM: one check for each step that can fail.

Opsgenie's connector and JSM's belong to different users, so each is checked in a child process with its user's rights.
What no public page documents is reported as not known.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import Any, Callable, Iterator, NamedTuple

from alerta_opsgenie.agent.state import journal_of, targets
from alerta_opsgenie.clients.alert_list import list_open
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.clients.opsgenie import OpsgenieClient
from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.core.message import is_uuid
from alerta_opsgenie.core.publish import Dialect, Policy, is_wanted
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.core.snapshot import own_alias
from alerta_opsgenie.doctor.alerta_checks import try_call
from alerta_opsgenie.doctor.checks import run_checks
from alerta_opsgenie.doctor.finding import SKIP, CheckEndedError, Finding, fail, findings_of, ok, skip, warn
from alerta_opsgenie.doctor.http import IncompleteError, read_alerts, wait
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.vendor_checks import check_end_date
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.page.markup import age
from alerta_opsgenie.page.view import days_left
from alerta_opsgenie.setup.processes import PROGRAMS
from alerta_opsgenie.vendor.as_user import RunAsError, run_as

_LIMIT_SECONDS = 300.0
_QUIET_SECONDS = 24 * 3600.0
"""This long after its last message, Opsgenie's connector may be removed; an on-call shift is shorter."""

_CONFIGURATION = ("config", "config-access", "config-content", "mappings", "key-file")
_CONNECTOR = ("script", "python", "executor", "vendor", "queue", "alerta", "alerta-key", "service", "process")
_WHICH = "which open alerts are in JSM"
_MOST_LOOKS, _MOST_NAMED = 200, 20


class Move(NamedTuple):
    """This host's connectors for Opsgenie and JSM, if there are any, and the key with which JSM accepts alerts."""

    old: Installation | None
    new: Installation | None
    jsm_url: str
    jsm_key: Secret


def _check_days(move: Move) -> Iterator[Finding]:
    if move.old is None and days_left() <= 0:
        yield ok(f"Opsgenie was switched off on {END_OF_OPSGENIE}, and nothing of it is left here")
    else:
        advice = "your own turn-off may come earlier: 120 days after the migration of the account"
        yield check_end_date(days_left(), advice)


def _check_new(move: Move, names: tuple[str, ...]) -> Iterator[Finding]:
    new = move.new
    if new is None:
        old = move.old.path if move.old else "FILE"
        advice = f"alerta-opsgenie install --edge jec --from {old} --api-key-file integration.key"
        raise CheckEndedError(fail("there is no configuration for JSM on this host", advice))
    for finding in _as_its_user(new, lambda: run_checks(new, names)):
        yield finding._replace(what=f"{finding.check}: {finding.what}", check="")


def _check_alerts(move: Move) -> Iterator[Finding]:
    inst = move.new or move.old
    if inst is None or not move.jsm_key:
        raise CheckEndedError(skip(f"{_WHICH}: it needs the plugin's key", "--jsm-key-file FILE"))
    yield from _as_its_user(inst, lambda: _compare(inst, move))


def _compare(inst: Installation, move: Move) -> Iterator[Finding]:
    mine = _open_in_alerta(inst)
    try:
        client = OpsgenieClient(move.jsm_url, Dialect.JSM, environment=inst.request.environment)
    except AddressError as error:
        raise CheckEndedError(fail(str(error), "correct --jsm-url")) from None
    with closing(client):
        missing, unknown, problem = _find_missing(inst, client, move.jsm_key.reveal(), mine)
    if unknown:
        advice = "see that it is the key of an API integration of JSM's; docs/how-to/drift.md has another list"
        yield fail(f"of {len(unknown)} open alerts it is not known whether they are in JSM: {problem}", advice)
    if missing:
        named = ", ".join(missing[:_MOST_NAMED]) + (", ..." if missing[_MOST_NAMED:] else "")
        advice = "they come to JSM with their next severity, or when they come again; end those of Opsgenie by hand"
        yield fail(f"{len(missing)} of {len(mine)} open alerts of Alerta are not open in JSM: {named}", advice)
    if not (unknown or missing):
        yield ok(f"JSM accepts the key, and has all {len(mine)} open alerts of Alerta")


def _find_missing(
    inst: Installation, client: OpsgenieClient, key: str, mine: set[str]
) -> tuple[list[str], list[str], str]:
    """Return the open alerts that JSM lacks, those that could not be checked, and why."""
    source = next((name for name in inst.access.sources if name != "*"), Policy().source)
    theirs = list_open(lambda path: client.get(path, key, _deadline(inst)), source, wait)
    asked = sorted(mine - {own_alias(one, source) for one in theirs.alerts})
    looks: dict[str, bool] = {}
    for alert in asked[:_MOST_LOOKS]:
        data = client.find(alert, key, _deadline(inst))
        if data is None:
            break
        looks[alert] = data.get("status") == "open"
    unknown = [alert for alert in asked if alert not in looks] if theirs.problem else []
    return [alert for alert in asked if alert not in unknown and not looks.get(alert)], unknown, theirs.problem


def _deadline(inst: Installation) -> float:
    return time.monotonic() + inst.request.limit_seconds


def _open_in_alerta(inst: Installation) -> set[str]:
    """Return the open alerts of the severities that are sent by default. The check ends if the list is not complete."""
    try:
        found = read_alerts(lambda call: try_call(inst, *call), lambda _: None)
    except (IncompleteError, CheckEndedError) as error:
        why, advice = str(error) or "Alerta is not reached", f"alerta-opsgenie doctor --config {inst.path}"
        raise CheckEndedError(skip(f"{_WHICH}: {why}", advice)) from None
    wanted = (one for one in found if is_wanted(str(one.get("severity")), Policy()) and one.get("status") != "blackout")
    return {str(one.get("id")) for one in wanted if is_uuid(str(one.get("id")))}


def _check_old(move: Move) -> Iterator[Finding]:
    old = move.old
    if old is None:
        raise CheckEndedError(ok("no connector of Opsgenie's is set up on this host"))
    yield from _as_its_user(old, lambda: _check_old_connector(old))


def _check_old_connector(inst: Installation) -> Iterator[Finding]:
    directory = inst.state_directory
    try:
        actions = [one for name in targets(directory) for one in journal_of(directory, name).actions()]
    except JournalError as error:
        raise CheckEndedError(fail(error.reason, error.advice)) from None
    left = sum(one.state != "done" for one in actions)
    if left:
        listing = f"alerta-opsgenie spool list --spool-dir {directory}"
        yield fail(f"{left} actions from Opsgenie wait, or were refused permanently", listing)
    since = time.time() - max((one.accepted_at for one in actions), default=0.0)
    came = (
        f"the last action from Opsgenie came {age(since)} ago" if actions else "no action from Opsgenie is recorded"
    )
    what = f"{came}; {PROGRAMS[inst.edge]} {'runs' if inst.process else 'does not run'}"
    if inst.process and since < _QUIET_SECONDS:
        yield warn(what, "let it run until no more actions come")
    else:
        away = f"systemctl disable --now {inst.service}; alerta-opsgenie uninstall --edge {inst.edge}"
        yield ok(what, f"to remove it: {away}")


def _check_way_back(move: Move) -> Iterator[Finding]:
    settings = "take OPSGENIE_ALSO_JSM_PRIMARY out of alertad.conf, and restart Alerta"
    if move.new is None:
        yield ok("nothing was moved on this host yet")
    elif move.old is None:
        yield ok(f"there is no quick way back: install Opsgenie's connector anew while its key is good; {settings}")
    else:
        service, edge = move.new.service, move.new.edge
        yield ok(f"systemctl disable --now {service}; alerta-opsgenie uninstall --edge {edge}; {settings}")


def _check_unknown(_move: Move) -> Iterator[Finding]:
    for what in (
        "what Opsgenie answers to its keys after the turn-off",
        "whether both products get each alert between the migration and the turn-off",
        "whether JSM accepts unacknowledge, snooze and assign with an integration's key",
    ):
        yield Finding(SKIP, f"not known: {what}", "do not wait for it: docs/how-to/move-to-jsm.md")


CHECKS: dict[str, Callable[[Move], Iterator[Finding]]] = {
    "days-left": _check_days,
    "jsm-configuration": lambda move: _check_new(move, _CONFIGURATION),
    "jsm-connector": lambda move: _check_new(move, _CONNECTOR),
    "jsm-alerts": _check_alerts,
    "from-opsgenie": _check_old,
    "way-back": _check_way_back,
    "not-known": _check_unknown,
}


def run_move_checks(move: Move, names: set[str]) -> Iterator[Finding]:
    """Run the named checks, in their order."""
    for name, check in CHECKS.items():
        if name in names:
            yield from findings_of(check(move), name)


def _as_its_user(inst: Installation, work: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Run `work` as the connector's user, as root in a child process: the other connector has another user."""

    def run() -> list[Any]:
        inst.drop_rights()
        return [*findings_of(work())]

    try:
        rows = run() if os.geteuid() != 0 else run_as(0, 0, run, limit_seconds=_LIMIT_SECONDS)
    except OSError as error:
        why = str(error) if isinstance(error, RunAsError) else error.strerror or str(error)
        return [fail(f"{inst.path} cannot be examined: {why}", "name the user: --user NAME")]
    return [Finding(*row) for row in rows]
