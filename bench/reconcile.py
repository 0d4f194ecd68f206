"""What comparing both sides costs with nearly 20,000 open alerts: time, requests, memory, and what `POST /alert` pays.

Two Alertas hold the same alerts; in one the sweeps follow each other at once, in the other there are none. Each new
alert goes to the one and then to the other, so that whatever else the machine does disturbs both alike.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lab.alerta_server import AlertaServer

from bench.measure import print_table
from bench.plugin import PARTS, QUIET, Source, quantile
from tests.support.plugin import Plugged, plugged

ALERTS = 19_400
"""Leaves room for those that are made meanwhile: the vendor lists 20,000."""
POSTS = 500
SETTINGS: dict[str, object] = {**QUIET, "OPSGENIE_TIMEOUT": 10}
_COPIES = """
INSERT INTO alerts (id, resource, event, environment, severity, correlate, status, service, "group", value, text, tags,
    attributes, origin, type, create_time, timeout, raw_data, customer, duplicate_count, repeat, previous_severity,
    trend_indication, receive_time, last_receive_id, last_receive_time, update_time, history)
SELECT new, 'host-' || new, event, environment, severity, correlate, status, service, "group", value, text, tags,
    attributes, origin, type, create_time, timeout, raw_data, customer, duplicate_count, repeat, previous_severity,
    trend_indication, receive_time, new, last_receive_time, update_time, history
FROM alerts, unnest(%s) AS new WHERE alerts.id = %s
"""
_REPORT = "SELECT value FROM alerta_opsgenie_values WHERE name = 'reconcile-report'"


def main() -> None:
    """Print what a sweep takes, and the times of `POST /alert` side by side."""
    names = [str(uuid.uuid4()) for _ in range(ALERTS - 1)]
    with ExitStack() as parts:
        places = [Path(parts.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        plain = parts.enter_context(AlertaServer(settings={"PLUGINS": []}))
        wanted = ("off", 1)
        runs = [
            parts.enter_context(plugged(plain.postgres, place, settings={**SETTINGS, "OPSGENIE_RECONCILE": seconds}))
            for place, seconds in zip(places, wanted)
        ]
        for run in runs:
            _fill(run, names)
        on = runs[1]
        _wait_for_sweeps(on, 2)
        first = _report(on)
        sources = [Source(run.alerta) for run in runs]
        times = [tuple(source.post() for source in sources) for _ in range(POSTS)]
        report = _report(on)
        memory = [_most_megabytes(run) for run in runs]
    without, sweeping = (list(part) for part in zip(*times))
    rows = [
        ["no sweeps", *(f"{quantile(without, part) * 1000:.1f}" for part in PARTS)],
        ["sweep after sweep", *(f"{quantile(sweeping, part) * 1000:.1f}" for part in PARTS)],
        ["ratio", *(f"{quantile(sweeping, part) / quantile(without, part):.2f}" for part in PARTS)],
    ]
    print_table(f"POST /alert, {POSTS} alerts each, in turn", ["ms", "median", "90 %", "99 %"], rows)
    for title, one in (("alone", first), ("meanwhile", report)):
        print(
            f"\n  a sweep {title}: {one['seconds']:.1f} s, {one['requests']} requests, {one['alerta']} alerts in"
            f" Alerta, {one['opsgenie']} over there, stopped: {one['stopped'] or 'no'}"
        )
    print(f"\n  memory of the largest process: {memory[0]:.0f} MB without sweeps, {memory[1]:.0f} MB with them")


def _fill(run: Plugged, names: list[str]) -> None:
    """Have the alerts on both sides; copies of one, for making each by a request would take minutes."""
    pattern = run.console.create_alert()["id"]
    run.settle()
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute(_COPIES, (names, pattern))
    person = run.cloud.person("alice@example.com")
    for name in names:
        person.create("m", name, source="Alerta", priority="P2")


def _report(run: Plugged) -> dict[str, Any]:
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute(_REPORT)
        rows = cursor.fetchall()
    return dict(json.loads(rows[0][0])) if rows else {}


def _wait_for_sweeps(run: Plugged, many: int) -> None:
    for _ in range(many):
        before = _report(run).get("at")
        while _report(run).get("at") == before or _report(run).get("alerta", 0) < ALERTS - 1:
            time.sleep(0.5)


def _most_megabytes(run: Plugged) -> float:
    """Give the most memory that a process of Alerta's has had (VmHWM)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        text = path.read_text(errors="replace")
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        if int(fields.get("PPid", "0")) == run.alerta.pid and "VmHWM" in fields:
            found.append(int(fields["VmHWM"].split()[0]) / 1024)
    return max(found)
