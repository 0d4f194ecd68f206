"""`alerta-opsgenie status`: how it goes, on one screen."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Iterator

import click

from alerta_opsgenie.agent import client
from alerta_opsgenie.cli.actions import age, summary, total
from alerta_opsgenie.cli.failure import explained
from alerta_opsgenie.cli.target import Place, find_place, label_of, place_options
from alerta_opsgenie.doctor.vendor_checks import days_left
from alerta_opsgenie.vendor.config import OEC

_PAUSE_SECONDS = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every 2 seconds, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object; with --watch, one a line.")
@place_options
@explained
def status(watch: bool, as_json: bool, **place: Any) -> None:
    """Show what is in flight, waits and is dead, and which process delivers it."""
    found = find_place(**place)
    while True:
        report = _report(found)
        if as_json:
            click.echo(json.dumps(report, indent=None if watch else 2))
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo("\n".join(_lines(report)))
        if not watch:
            return
        time.sleep(_PAUSE_SECONDS)


def _report(place: Place) -> dict[str, Any]:
    now = time.time()
    counts = {label_of(name): total([journal.counts(now)]) for name, journal in place.journals()}
    dialect = place.installation.dialect if place.installation else OEC
    return {
        "directory": place.directory,
        "targets": counts,
        "deliverer": client.ask_status(place.directory),
        "days_until_opsgenie_ends": days_left() if dialect == OEC else None,
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"state directory  {report['directory']}"
    yield f"delivered by     {_deliverer(report['deliverer'])}"
    trouble = (report["deliverer"] or {}).get("trouble")
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
