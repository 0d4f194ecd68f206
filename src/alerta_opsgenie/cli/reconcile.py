"""`alerta-opsgenie reconcile`: compare both sides from outside, with two keys."""

from __future__ import annotations

import itertools
import json
import re
import sys
import time
from contextlib import closing
from typing import Any, Callable, NamedTuple

import click

from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.cli.failure import Failure, printable
from alerta_opsgenie.cli.keys import read_key_file
from alerta_opsgenie.cli.target import StateDirectory, alerta_options, with_state_directory
from alerta_opsgenie.clients.alert_list import PAGE, list_open
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.clients.opsgenie import BASE_URLS, OpsgenieClient, Verdict, dialect_of
from alerta_opsgenie.core import reconcile as rules
from alerta_opsgenie.core import repairs
from alerta_opsgenie.core.instants import iso_seconds
from alerta_opsgenie.core.last_change import ALERTA
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Answer, Kind
from alerta_opsgenie.core.publish import Dialect, Policy
from alerta_opsgenie.core.reconcile import FIELDS, OFF, REPORT, Known, Repair, Sweep
from alerta_opsgenie.core.relay import relay
from alerta_opsgenie.core.routing import DEFAULT
from alerta_opsgenie.core.snapshot import AlertState, Snapshot, own_open_alerts, read_alerta_alert, with_lookups
from alerta_opsgenie.core.task import AttemptContext, Call, run_relay
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry
from alerta_opsgenie.doctor.http import NOT_FOUND, IncompleteError, read_alerts, wait

DRIFT = 3
_ORDER = re.compile(r"(\w+)=(\d{1,19})(?= |$)", re.ASCII)
_SECONDS = 20.0
_MOST_LOOKS = 1000


class _Clients(NamedTuple):
    alerta: AlertaClient
    vendor: OpsgenieClient
    vendor_key: str
    options: Options
    policy: Policy

    def call(self, call: Call) -> Answer:
        """Make one call to Alerta. Raises UnreachableError."""
        return self.alerta.send(call, _deadline())


def _deadline() -> float:
    return time.monotonic() + _SECONDS


@click.command()
@click.option("--opsgenie-url", metavar="URL", default=BASE_URLS[Dialect.OPSGENIE], show_default=True)
@click.option("--opsgenie-key-file", metavar="FILE", required=True, help="A file with the key of an API integration.")
@click.option("--only", multiple=True, type=click.Choice(list(FIELDS)), help="Only this field; more than once.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
@click.option("--pause", type=click.FloatRange(0, 3600), default=10.0, show_default=True, metavar="SECONDS",
              help="Between the two looks.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), default=rules.LIMIT, show_default=True, metavar="COUNT",
              help="Stop where more is to be closed.")  # fmt: skip
@click.option("--apply", "applies", is_flag=True, help="Repair; without it nothing is changed.")
@alerta_options
@with_state_directory
def reconcile(
    state_dir: StateDirectory, only: tuple[str, ...], as_json: bool, pause: float, limit: int, applies: bool,
    **vendor: str,
) -> None:  # fmt: skip
    """Compare the open alerts of both sides, and show what differs.

    Compares twice and reports only what differs both times. Never creates an alert at the vendor: from outside nothing
    proves that it was not sent. Exit code 3: the sides differ.
    """
    policies = {field: who if field in (only or FIELDS) else OFF for field, who in FIELDS.items()}
    policies["presence"] = OFF if policies["presence"] == OFF else REPORT
    known = Known(policies=policies, grace_seconds=rules.GRACE_SECONDS, limit=limit)
    clients = _clients(state_dir, **vendor)
    with closing(clients.alerta), closing(clients.vendor):
        found = _compare(clients, known)
        if found.waiting and not found.stopped:
            time.sleep(pause)
            found = _compare(clients, known._replace(suspects=found.suspects))
        if found.stopped:
            advice = "try again in a while; if it is right, raise --limit"
            raise Failure(f"nothing is repaired: {found.stopped}", advice)
        done = [_apply(clients, repair) if applies else "" for repair in found.repairs]
    _show(found, done, as_json=as_json)
    if found.repairs or found.findings:
        raise click.exceptions.Exit(DRIFT)


def _clients(state_dir: StateDirectory, opsgenie_url: str, opsgenie_key_file: str) -> _Clients:
    url, options = opsgenie_url, state_dir.options()[0]
    key = read_key_file("the key", opsgenie_key_file).reveal()
    if not key.isascii():
        raise Failure(f"{opsgenie_key_file} holds a character that no key has", "put the key into it alone", 2)
    source = min(options.settings.sources - {"*"}, default=Policy().source)
    try:
        vendor = OpsgenieClient(url, dialect_of(url), environment=dict(options.proxies))
        alerta = AlertaClient(options.alerta_url, options.alerta_key, ca_file=options.ca_file,
                              environment=dict(options.proxies))  # fmt: skip
    except AddressError as error:
        raise Failure(str(error), "correct the URL", 2) from None
    return _Clients(alerta, vendor, key, options, Policy(dialect=dialect_of(url), source=source))


# -- Looking


def _compare(clients: _Clients, known: Known) -> Sweep:
    try:
        alerta = _read_alerta(clients)
        vendor = _complete_from_vendor(clients, alerta, _read_vendor(clients))
        alerta = _complete_from_alerta(clients, alerta, vendor)
    except IncompleteError as error:
        raise Failure(f"nothing is repaired: {error}", "alerta-opsgenie doctor, or try again in a while") from None
    except UnreachableError as error:
        raise Failure(f"Alerta: {error}", "alerta-opsgenie doctor") from None
    return rules.reconcile(alerta, vendor, known._replace(vendor_takes={DEFAULT: repairs.takes(clients.policy)}))


def _read_alerta(clients: _Clients) -> Snapshot:
    began = time.time()
    found = read_alerts(clients.call, _progress("Alerta"))
    alerts = {str(one.get("id")): _side_of(one, clients.policy) for one in found if one.get("status") != "blackout"}
    return Snapshot(alerts, began)


def _read_vendor(clients: _Clients) -> Snapshot:
    began, advance, read = time.time(), _progress("Opsgenie"), itertools.count()

    def get(path: str) -> Any:
        advance(PAGE * next(read))
        return clients.vendor.get(path, clients.vendor_key, _deadline())

    found = list_open(get, clients.policy.source, wait)
    if found.problem:
        raise IncompleteError(found.problem)
    alerts = own_open_alerts(((DEFAULT, data) for data in found.alerts), clients.policy.source)
    return Snapshot(alerts, began, clock_ahead_seconds=found.clock_ahead_seconds)


def _complete_from_vendor(clients: _Clients, alerta: Snapshot, vendor: Snapshot) -> Snapshot:
    looks: dict[str, tuple[str, Any]] = {}
    for name in rules.to_look_up(alerta, vendor)[:_MOST_LOOKS]:
        data = clients.vendor.find(name, clients.vendor_key, _deadline())
        if data is None:
            break
        looks[name] = (DEFAULT, data)
    return with_lookups(vendor, looks, clients.policy.source)


def _complete_from_alerta(clients: _Clients, alerta: Snapshot, vendor: Snapshot) -> Snapshot:
    alerts, gone = dict(alerta.alerts), set()
    for name in sorted(set(vendor.alerts) - set(alerts)):
        answer = clients.call(Call("GET", f"/alert/{name}", None, ""))
        found = answer.body.get("alert") if answer.ok else None
        if not answer.ok and not (answer.status == NOT_FOUND and answer.from_alerta):
            raise IncompleteError(f"Alerta answered HTTP {answer.status} {answer.message}".rstrip())
        if not isinstance(found, dict) or found.get("id") != name:
            gone.add(name)
        elif found.get("status") != "blackout":
            alerts[name] = _side_of(found, clients.policy)
    return alerta._replace(alerts=alerts, gone=frozenset(gone))


def _side_of(alert: dict[str, Any], policy: Policy) -> AlertState:
    attributes = alert.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    history = [_history_entry(line) for line in alert.get("history") or [] if isinstance(line, dict)]
    values = AlertValues(
        id=str(alert.get("id")),
        severity=str(alert.get("severity")),
        status=str(alert.get("status")),
        attributes={**attributes, "owner": attributes.get("owner-id") or attributes.get("owner")},
        history=tuple(sorted(history, key=lambda entry: -entry.at_seconds)),
    )
    newest = {name: int(at_ns) for name, at_ns in _ORDER.findall(str(attributes.get("opsgenie-order", "")))}
    state = read_alerta_alert(values, iso_seconds(str(alert.get("updateTime"))) or 0.0, newest, policy)
    # The priority of each severity is a setting of the plugin, which is not known here.
    return state if "opsgenie-priority" in attributes else state._replace(priority="")


def _history_entry(line: dict[str, Any]) -> HistoryEntry:
    timeout = line.get("timeout")
    return HistoryEntry(
        change=str(line.get("type")),
        status=str(line.get("status") or ""),
        at_seconds=iso_seconds(str(line.get("updateTime"))) or 0.0,
        timeout_seconds=timeout if isinstance(timeout, int) else None,
        text=str(line.get("text") or ""),
    )


# -- Repairing


def _apply(clients: _Clients, repair: Repair) -> str:
    if repair.side == ALERTA:
        return _apply_in_alerta(clients, repair)
    dispatch = repairs.requests_of(repair, AlertValues(repair.alert, attributes={"owner": repair.right.owner}),
                                   clients.policy, time.time())  # fmt: skip
    for request in dispatch.requests:
        sent = clients.vendor.send(request, clients.vendor_key, _deadline())
        if sent.verdict is not Verdict.DONE:
            return f"failed: {sent.detail}"
    return "done" if dispatch.requests else "failed: nothing to send"


def _apply_in_alerta(clients: _Clients, repair: Repair) -> str:
    settings = clients.options.settings._replace(custom_actions={repairs.REOPEN: "open"})
    for text in repairs.messages_of(repair, clients.policy.source, time.time()):
        try:
            outcome = run_relay(relay(parse(text), settings, AttemptContext(time.time())), clients.call)
        except UnreachableError as error:
            return f"failed: {error}"
        if outcome.kind not in (Kind.APPLIED, Kind.ALREADY):
            return f"failed: {outcome.reason.value}: {outcome.detail}"
    return "done"


# -- Showing


def _show(found: Sweep, done: list[str], *, as_json: bool) -> None:
    if as_json:
        repaired = [
            {"alert": one.alert, "field": one.field, "tell": one.side, "steps": list(one.steps), "reason": one.reason,
             "result": result}
            for one, result in zip(found.repairs, done)
        ]  # fmt: skip
        click.echo(json.dumps({"repairs": repaired, "findings": [one._asdict() for one in found.findings]}, indent=2))
        return
    rows = [("ALERT", "FIELD", "CHANGE", "WHAT", "WHY")]
    for one, result in zip(found.repairs, done):
        why = f"{one.reason} ({result})" if result else one.reason
        rows.append((one.alert, one.field, one.side, ", ".join(one.steps), why))
    rows += [(one.alert, one.field, "-", "", one.text) for one in found.findings]
    for row in rows if rows[1:] else ():
        click.echo(printable("{:36} {:12} {:8} {:24} {}".format(*row)))
    click.echo(f"{len(found.repairs)} to repair, {len(found.findings)} to look at" if rows[1:] else "both sides agree")


def _progress(what: str) -> Callable[[int], None]:
    return lambda many: click.echo(f"\r{what}: {many} alerts", err=True, nl=False) if sys.stderr.isatty() else None
