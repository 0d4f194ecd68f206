"""`alerta-opsgenie status`: the page's overview, on one screen of a terminal or in the browser."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Iterator

import click

from alerta_opsgenie.agent import client
from alerta_opsgenie.cli.failure import explain_errors, printable
from alerta_opsgenie.cli.spool import summary, total
from alerta_opsgenie.cli.target import StateDirectory, find_state_directory, state_options
from alerta_opsgenie.doctor.alerta_checks import client_of
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.doctor.running_checks import TRANSPORTS, ask_ready, listen_of
from alerta_opsgenie.page.markup import age
from alerta_opsgenie.page.plugin import PluginFigures
from alerta_opsgenie.page.server import Server
from alerta_opsgenie.page.site import Page
from alerta_opsgenie.page.view import Overview, PageInputs, Part, View, days_left, label_of
from alerta_opsgenie.setup.processes import PROGRAMS
from alerta_opsgenie.vendor.config import NATIVE, OEC

_PAUSE_SECONDS = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every 2 seconds, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object; with --watch, one a line.")
@click.option("--web", is_flag=True, help="Serve a page on loopback, for the browser, until interrupted.")
@state_options
@explain_errors
def status(watch: bool, as_json: bool, web: bool, **state_dir: Any) -> None:
    """Show actions in flight, waiting and dead, and the process that delivers them."""
    found, interrupted = find_state_directory(**state_dir), threading.Event()
    if watch or web:  # code that runs at that moment could catch a KeyboardInterrupt
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
            sys.exit(0 if report["is_well"] else 1)
        interrupted.wait(_PAUSE_SECONDS)


def _serve(state_dir: StateDirectory, interrupted: threading.Event) -> None:
    inst, token = state_dir.installation, secrets.token_urlsafe(24)
    hidden = [*(inst.secrets() if inst else []), token]
    plugins = (
        [PluginFigures(inst.access.url, lambda: client_of(inst, inst.access.url))] if inst and inst.access.url else []
    )
    source = PageInputs(
        state_dir.path, lambda: _queue(state_dir), plugins=plugins, secrets=lambda: hidden, token=lambda: token
    )  # fmt: skip
    server = Server("127.0.0.1", 0, Page(source, "127.0.0.1").answer)
    server.start()
    click.echo(f"the page is at {server.url}/#token={token}")
    click.echo(f"the token, to retry and drop: {token}")
    click.echo("Ctrl-C ends it")
    interrupted.wait()
    server.stop()


def _queue(state_dir: StateDirectory) -> Part:
    inst = state_dir.installation
    if inst is None:
        return Part("Queue", "no connector is configured on this host: alerta-opsgenie install", None)
    if inst.edge != NATIVE or listen_of(inst) == "off":
        what = f"{PROGRAMS[inst.edge]} takes messages and does not report its state: alerta-opsgenie doctor tests it"
        return Part("Queue", what, None)
    ready = ask_ready(inst)
    transport = f"messages are taken by {TRANSPORTS.get(ready.transport, 'an unknown way')}"
    return Part("Queue", transport if ready.ready else ready.why, ready.ready)


def _unknown(state_dir: StateDirectory, found: Overview) -> Iterator[str]:
    """Yield what is not known. The plugin's outbox has no connector, so none is missing there."""
    inst = state_dir.installation
    if not Path(state_dir.path).is_dir():
        yield f"what waits and is dead: there is no directory {state_dir.path}"
    if "" in found.counts or found.parts[0].is_well is not None:
        return
    if inst is None and (client.ask_status(state_dir.path) or {}).get("kind") != "run":
        yield "whether messages are taken: no connector is known; name its configuration with --config"
    elif inst is not None and Installation(inst.request).process is None:  # as it is now, when it is watched
        yield f"whether messages are taken: no process of {PROGRAMS[inst.edge]} is seen on this host"


def _report(state_dir: StateDirectory) -> dict[str, Any]:
    found, inst = View(PageInputs(state_dir.path, lambda: _queue(state_dir))).overview(), state_dir.installation
    unknown = list(_unknown(state_dir, found))
    return {
        "config": inst.path if inst else None,
        "directory": state_dir.path,
        "is_well": False if not found.is_well else None if unknown else True,
        "unknown": unknown,
        "parts": [{**part._asdict(), "age_seconds": found.at - part.at if part.at else None} for part in found.parts],
        "problems": [problem._asdict() for problem in found.problems],
        "targets": {label_of(name): total([counts]) for name, counts in found.counts.items()},
        "days_until_opsgenie_ends": days_left() if inst is None or inst.dialect == OEC else None,
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    verdict = {True: "All is well", False: "Not well", None: "Whether all is well is not known"}
    yield printable(f"{verdict[report['is_well']]}, by what is in {report['directory']}")
    for what in report["unknown"]:
        yield printable(f"not known  {what}")
    for part in report["parts"]:
        since = part["age_seconds"]
        success = "" if since is None else f"; last success {age(since)} ago"
        yield printable(f"{part['name']:13} {part['what']}{success}")
    for problem in report["problems"]:
        yield click.style(printable(f"attention  {problem['what']}\n      try  {problem['advice']}"), fg="red")
    for url, counts in report["targets"].items():
        yield f"{url}\n  {summary(counts)}"
    days = report["days_until_opsgenie_ends"]
    if days is not None:
        yield f"Opsgenie ends in {days} days" if days > 0 else "Opsgenie has ended"
