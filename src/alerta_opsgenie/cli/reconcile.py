"""`alerta-opsgenie reconcile`: both sides compared from outside, by two keys."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from contextlib import closing, contextmanager
from typing import Any, Callable, Iterator, NamedTuple

import click

from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.cli.failure import Failure, printable
from alerta_opsgenie.cli.keys import read_key_file
from alerta_opsgenie.cli.target import Place, alerta_options, at_place
from alerta_opsgenie.clients.alert_list import OPS_PATHS, OPSGENIE_PATHS, OpsApi, list_open
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.clients.opsgenie import BASE_URLS, OpsgenieClient, Verdict, dialect_of
from alerta_opsgenie.core import reconcile as rules
from alerta_opsgenie.core import repairs
from alerta_opsgenie.core.instants import iso_seconds
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.newer import ALERTA
from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.core.publish import Dialect, Policy
from alerta_opsgenie.core.reconcile import OFF, REPORT, Known, Repair, Sweep
from alerta_opsgenie.core.relay import Call, Circumstances, relay
from alerta_opsgenie.core.routing import DEFAULT
from alerta_opsgenie.core.sides import Seen, Snapshot, alerta_side, listed, with_looks
from alerta_opsgenie.core.task import drive
from alerta_opsgenie.core.wording import Past, Subject

DRIFT = 3
PAGE = 100
_LIST = "/alerts?status!=closed&status!=expired&sort-by=createTime&show-history=true"
_ORDER = re.compile(r"(\w+)=(\d{1,19})(?= |$)", re.ASCII)
_SECONDS = 20.0
_MOST_LOOKS = 1000
_NOT_FOUND = 404


class _Sides(NamedTuple):
    """The two keys, and what goes with them."""

    alerta: AlertaClient
    vendor: OpsgenieClient
    vendor_key: str
    options: Options
    policy: Policy
    ops: OpsApi | None


@click.command()
@click.option("--opsgenie-url", metavar="URL", default=BASE_URLS[Dialect.OPSGENIE], show_default=True)
@click.option("--opsgenie-key-file", metavar="FILE", required=True, help="A file with the key of an API integration.")
@click.option("--ops-url", metavar="URL", help="JSM's full API, for the list: https://api.atlassian.com/jsm/ops/api/ID.")
@click.option("--ops-login-file", metavar="FILE", help="A file with E-MAIL:TOKEN for it.")
@click.option("--only", multiple=True, type=click.Choice(list(rules.FIELDS)), help="Only this field; more than once.")
@click.option("--policy", multiple=True, metavar="FIELD=WHO", help="Who is right where nothing shows who changed it.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
@click.option("--pause", type=click.FloatRange(0, 3600), default=10.0, show_default=True, metavar="SECONDS",
              help="Between the two looks.")  # fmt: skip
@click.option("--grace", type=click.FloatRange(0, 86400), default=rules.GRACE_SECONDS, show_default=True,
              metavar="SECONDS", help="What was changed later than so long ago is left alone.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), default=rules.LIMIT, show_default=True, metavar="COUNT",
              help="Stop where more is to be closed.")  # fmt: skip
@click.option("--apply", "applies", is_flag=True, help="Repair; without it nothing is changed.")
@alerta_options
@at_place
def reconcile(place: Place, pause: float, applies: bool, as_json: bool, **more: Any) -> None:
    """Compare the open alerts of both sides, and show what differs.

    Looks twice and takes what it saw both times. Never creates an alert over there: from outside nothing proves that
    it was not sent. Exit code 3: the sides differ.
    """
    policies = _policies(more.pop("only"), more.pop("policy"))
    known = Known(policies=policies, grace_seconds=more.pop("grace"), limit=more.pop("limit"))
    sides = _sides(place, **more)
    with closing(sides.alerta), closing(sides.vendor):
        found = _look(sides, known)
        if found.waiting and not found.stopped:
            time.sleep(pause)
            found = _look(sides, known._replace(suspects=found.suspects))
        if found.stopped:
            advice = "try again in a while; if it is right, raise --limit"
            raise Failure(f"nothing is repaired: {found.stopped}", advice)
        done = [_apply(sides, repair) if applies else "" for repair in found.repairs]
    _show(found, done, as_json=as_json)
    if found.repairs or found.findings:
        raise click.exceptions.Exit(DRIFT)


def _policies(only: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    try:
        policies = dict(rules.read_policies({field: who for field, _, who in (text.partition("=") for text in given)}))
    except ValueError as error:
        raise Failure(f"--policy {error}", "alerta-opsgenie reconcile --help", 2) from None
    policies.update(dict.fromkeys(set(policies) - set(only), OFF) if only else {})
    return {**policies, "presence": OFF if policies["presence"] == OFF else REPORT}


def _sides(place: Place, opsgenie_url: str, opsgenie_key_file: str, ops_url: str | None,
           ops_login_file: str | None) -> _Sides:  # fmt: skip
    url, key, options = opsgenie_url, _key(opsgenie_key_file), place.options()[0]
    proxies, source = dict(options.proxies), min(options.settings.sources - {"*"}, default=Policy().source)
    try:
        vendor = OpsgenieClient(url, dialect_of(url), environment=proxies)
        ops = OpsApi(ops_url, _key(ops_login_file or ""), _SECONDS, environment=proxies) if ops_url else None
        alerta = AlertaClient(options.alerta_url, options.alerta_key, ca_file=options.ca_file, environment=proxies)
    except AddressError as error:
        raise Failure(str(error), "correct the URL", 2) from None
    return _Sides(alerta, vendor, key, options, Policy(dialect=dialect_of(url), source=source), ops)


def _key(path: str) -> str:
    """Read a key, or E-MAIL:TOKEN, in a file. Raises `Failure`."""
    text = read_key_file("the key", path).reveal()
    if not text.isascii():
        raise Failure(f"{path} holds a character that no key has", "put the key into it, as it was shown", 2)
    return text


# -- Looking


def _look(sides: _Sides, known: Known) -> Sweep:
    alerta = _read_alerta(sides)
    vendor = _read_vendor(sides)
    if not (alerta.problem or vendor.problem):
        vendor = _look_up_at_vendor(sides, alerta, vendor)
        alerta = _look_up_in_alerta(sides, alerta, vendor)
    return rules.reconcile(alerta, vendor, known._replace(vendor_takes={DEFAULT: repairs.takes(sides.policy)}))


def _read_alerta(sides: _Sides) -> Snapshot:
    alerts: dict[str, Seen] = {}
    began, page, total, blackout = time.time(), 1, None, 0
    with _progress("Alerta") as advance:
        while True:
            body = _ask(sides, f"{_LIST}&page={page}&page-size={PAGE}")
            found = [one for one in body.get("alerts") or [] if isinstance(one, dict)]
            if total is not None and body.get("total") != total:
                return Snapshot({}, began, problem="the number of alerts in Alerta changed while they were read")
            total, page = body.get("total"), page + 1
            for one in found:
                blackout += one.get("status") == "blackout"
                if one.get("status") != "blackout":
                    alerts[str(one.get("id"))] = _side_of(one, sides.policy)
            advance(len(found), total)
            if not body.get("more"):
                break
    lacks = "" if len(alerts) + blackout == total else f"Alerta lists {len(alerts)} alerts and counts {total}"
    return Snapshot(alerts, began, problem=lacks)


def _ask(sides: _Sides, path: str) -> dict[str, Any]:
    try:
        answer = sides.alerta.send(Call("GET", path, None, ""), time.monotonic() + _SECONDS)
    except UnreachableError as error:
        raise Failure(f"Alerta: {error}", "alerta-opsgenie doctor") from None
    if answer.status == _NOT_FOUND and answer.from_alerta:
        return {}
    if not answer.ok:
        raise Failure(f"Alerta answered HTTP {answer.status} {answer.message}".rstrip(), "alerta-opsgenie doctor")
    return dict(answer.body)


def _read_vendor(sides: _Sides) -> Snapshot:
    began = time.time()
    with _progress("Opsgenie") as advance:

        def wait(seconds: float) -> bool:
            time.sleep(seconds)
            return False

        def get(path: str) -> Any:
            advance(PAGE, None)
            return sides.vendor.get(path, sides.vendor_key, time.monotonic() + _SECONDS)

        fetch, paths = (sides.ops.get, OPS_PATHS) if sides.ops else (get, OPSGENIE_PATHS)
        found = list_open(fetch, sides.policy.source, wait, paths)
    alerts = listed(((DEFAULT, data) for data in found.alerts), sides.policy.source)
    return Snapshot(alerts, began, problem=found.problem, clock_ahead_seconds=found.clock_ahead_seconds)


def _look_up_at_vendor(sides: _Sides, alerta: Snapshot, vendor: Snapshot) -> Snapshot:
    looks: dict[str, tuple[str, Any]] = {}
    for name in rules.to_look_up(alerta, vendor)[:_MOST_LOOKS]:
        data = sides.vendor.find(name, sides.vendor_key, time.monotonic() + _SECONDS)
        if data is None:
            break
        looks[name] = (DEFAULT, data)
    return with_looks(vendor, looks, sides.policy.source)


def _look_up_in_alerta(sides: _Sides, alerta: Snapshot, vendor: Snapshot) -> Snapshot:
    alerts, gone = dict(alerta.alerts), set()
    for name in sorted(set(vendor.alerts) - set(alerts)):
        found = _ask(sides, f"/alert/{name}").get("alert")
        if not isinstance(found, dict) or found.get("id") != name:
            gone.add(name)
        elif found.get("status") != "blackout":
            alerts[name] = _side_of(found, sides.policy)
    return alerta._replace(alerts=alerts, gone=frozenset(gone))


def _side_of(alert: dict[str, Any], policy: Policy) -> Seen:
    attributes = alert.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    history = [_past(line) for line in alert.get("history") or [] if isinstance(line, dict)]
    subject = Subject(
        id=str(alert.get("id")),
        severity=str(alert.get("severity")),
        status=str(alert.get("status")),
        attributes={**attributes, "owner": attributes.get("owner-id") or attributes.get("owner")},
        history=tuple(sorted(history, key=lambda past: -past.at_seconds)),
    )
    newest = {name: int(at_ns) for name, at_ns in _ORDER.findall(str(attributes.get("opsgenie-order", "")))}
    seen = alerta_side(subject, _seconds(alert.get("updateTime")), newest, policy)
    # Which priority a severity has is a setting of the plugin's, which is not known here.
    return seen if "opsgenie-priority" in attributes else seen._replace(priority="")


def _past(line: dict[str, Any]) -> Past:
    timeout = line.get("timeout")
    return Past(
        change=str(line.get("type")),
        status=str(line.get("status") or ""),
        at_seconds=_seconds(line.get("updateTime")),
        timeout_seconds=timeout if isinstance(timeout, int) else None,
        text=str(line.get("text") or ""),
    )


def _seconds(value: Any) -> float:
    return (iso_seconds(value) if isinstance(value, str) else None) or 0.0


# -- Repairing


def _apply(sides: _Sides, repair: Repair) -> str:
    """Repair one; gives what came of it."""
    if repair.side == ALERTA:
        return _apply_in_alerta(sides, repair)
    dispatch = repairs.requests_of(repair, Subject(repair.alert, attributes={"owner": repair.seen.owner}),
                                   sides.policy, time.time())  # fmt: skip
    for request in dispatch.requests:
        sent = sides.vendor.send(request, sides.vendor_key, time.monotonic() + _SECONDS)
        if sent.verdict is not Verdict.DONE:
            return f"failed: {sent.detail}"
    return "done" if dispatch.requests else "failed: nothing to send"


def _apply_in_alerta(sides: _Sides, repair: Repair) -> str:
    settings = sides.options.settings._replace(custom_actions={repairs.REOPEN: "open"})
    for text in repairs.messages_of(repair, sides.policy.source, time.time()):
        try:
            outcome = drive(
                relay(parse(text), settings, Circumstances(time.time())),
                lambda call: sides.alerta.send(call, time.monotonic() + _SECONDS),
            )
        except UnreachableError as error:
            return f"failed: {error}"
        if outcome.kind not in (Kind.APPLIED, Kind.ALREADY):
            return f"failed: {outcome.reason.value}: {outcome.detail}"
    return "done"


# -- Showing


def _show(found: Sweep, done: list[str], *, as_json: bool) -> None:
    repairs_ = [
        {"alert": one.alert, "field": one.field, "tell": one.side, "steps": list(one.steps), "reason": one.reason,
         "result": result}
        for one, result in zip(found.repairs, done)
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps({"repairs": repairs_, "findings": [one._asdict() for one in found.findings]}, indent=2))
        return
    rows = [("ALERT", "FIELD", "TELL", "WHAT", "WHY")]
    for one, result in zip(found.repairs, done):
        why = f"{one.reason} ({result})" if result else one.reason
        rows.append((one.alert, one.field, one.side, ", ".join(one.steps), why))
    rows += [(one.alert, one.field, "nobody", "", one.text) for one in found.findings]
    if rows[1:]:
        for row in rows:
            click.echo(printable("{:36} {:12} {:8} {:24} {}".format(*row)))
        click.echo(f"{len(found.repairs)} to repair, {len(found.findings)} to look at")
    else:
        click.echo("both sides agree")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, Any], None]]:
    """Show a bar on a terminal, nothing elsewhere."""
    file = sys.stderr if sys.stderr.isatty() else io.StringIO()
    with click.progressbar(length=1, label=what, file=file) as bar:

        def advance(many: int, total: Any) -> None:
            bar.length = total if isinstance(total, int) and total else bar.pos + 2 * many
            bar.update(many)

        yield advance
