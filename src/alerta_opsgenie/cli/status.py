"""`alerta-opsgenie status`: how it goes, on one screen or in the browser."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import threading
import time
from typing import Any, Iterator

import click

from alerta_opsgenie.agent import client
from alerta_opsgenie.cli.actions import age, summary, total
from alerta_opsgenie.cli.failure import explained
from alerta_opsgenie.cli.target import Place, find_place, label_of, place_options
from alerta_opsgenie.doctor.alerta_checks import client_of
from alerta_opsgenie.doctor.running_checks import TRANSPORTS, ask_ready, listen_of
from alerta_opsgenie.page.plugin import PluginFigures
from alerta_opsgenie.page.server import Server
from alerta_opsgenie.page.site import Page
from alerta_opsgenie.page.view import Part, Source, days_left
from alerta_opsgenie.setup.processes import PROGRAMS
from alerta_opsgenie.vendor.config import NATIVE, OEC

_PAUSE_SECONDS = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every 2 seconds, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object; with --watch, one a line.")
@click.option("--web", is_flag=True, help="Serve a page on loopback, for the browser, until interrupted.")
@place_options
@explained
def status(watch: bool, as_json: bool, web: bool, **place: Any) -> None:
    """Show what is in flight, waits and is dead, and which process delivers it."""
    found, interrupted = find_place(**place), threading.Event()
    if watch or web:  # as an exception an interrupt could be lost in whatever runs at that moment
        signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    if web:
        _serve(found, interrupted)
    while not interrupted.is_set():
        report = _report(found)
        if as_json:
            click.echo(json.dumps(report, indent=None if watch else 2))
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo("\n".join(_lines(report)))
        if not watch:
            return
        interrupted.wait(_PAUSE_SECONDS)


def _serve(place: Place, interrupted: threading.Event) -> None:
    """Serve the page with a token of this process's own, until interrupted."""
    inst, token = place.installation, secrets.token_urlsafe(24)
    hidden = inst.secrets() if inst else []
    source = Source(
        place.directory, lambda: _queue(place), plugins=_plugins(place), secrets=lambda: [*hidden, token],
        token=lambda: token,
    )  # fmt: skip
    server = Server("127.0.0.1", 0, Page(source, "127.0.0.1").answer)
    server.start()
    click.echo(f"the page is at {server.url}/#token={token}")
    click.echo(f"the token, to retry and drop: {token}")
    click.echo("Ctrl-C ends it")
    interrupted.wait()
    server.stop()


def _plugins(place: Place) -> list[PluginFigures]:
    inst = place.installation
    if inst is None or not inst.access.url:
        return []
    return [PluginFigures(inst.access.url, lambda: client_of(inst, inst.access.url))]


def _queue(place: Place) -> Part:
    """Say who takes messages, and how that goes where it can be asked."""
    inst = place.installation
    if inst is None:
        return Part("Queue", "no connector is configured on this host: alerta-opsgenie install", None)
    if inst.edge != NATIVE or listen_of(inst) == "off":
        what = f"{PROGRAMS[inst.edge]} takes messages and tells nobody how that goes: alerta-opsgenie doctor tries it"
        return Part("Queue", what, None)
    ready = ask_ready(inst)
    return Part("Queue", ready.error or ("messages are being taken" if ready.ready else ready.why), ready.ready)


def _report(place: Place) -> dict[str, Any]:
    now = time.time()
    counts = {label_of(name): total([journal.counts(now)]) for name, journal in place.journals()}
    inst, deliverer = place.installation, client.ask_status(place.directory)
    is_run = inst is not None and deliverer is not None and deliverer.get("kind") == "run"
    return {
        "config": inst.path if inst else None,
        "directory": place.directory,
        "targets": counts,
        "deliverer": deliverer,
        "connector": ask_ready(inst)._asdict() if inst is not None and is_run and listen_of(inst) != "off" else None,
        "days_until_opsgenie_ends": days_left() if inst is None or inst.dialect == OEC else None,
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"state directory  {report['directory']}"
    yield f"delivered by     {_deliverer(report['deliverer'])}"
    if report["config"] is None:
        yield "configuration    none is found; to set a connector up: alerta-opsgenie install"
    connector = report["connector"] or {}
    if connector.get("transport") in TRANSPORTS:
        yield f"messages by      {TRANSPORTS[connector['transport']]}"
    trouble = (report["deliverer"] or {}).get("trouble") or (not connector.get("ready") and connector.get("why"))
    if trouble:
        yield click.style(f"attention        {trouble}", fg="red")
    for url, counts in report["targets"].items():
        yield f"{url}\n  {summary(counts)}"
    if not report["targets"]:
        yield "nothing has been kept yet"
    days = report["days_until_opsgenie_ends"]
    if days is not None:
        yield f"Opsgenie ends in {days} days" if days > 0 else "Opsgenie has ended"


def _deliverer(found: dict[str, Any] | None) -> str:
    if found is None:
        return "no process now; the next action starts one"
    since = age(time.time() - float(found["since"]))
    return f"{found['kind']} {found['version']}, process {found['pid']}, for {since}"
