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
        sweep = _sweeps(on, 2)
        sources = [Source(run.alerta) for run in runs]
        times = [tuple(source.post() for source in sources) for _ in range(POSTS)]
        memory = [_most_megabytes(run) for run in runs]
    without, sweeping = (list(part) for part in zip(*times))
    rows = [
        ["no sweeps", *(f"{quantile(without, part) * 1000:.1f}" for part in PARTS)],
        ["sweep after sweep", *(f"{quantile(sweeping, part) * 1000:.1f}" for part in PARTS)],
        ["ratio", *(f"{quantile(sweeping, part) / quantile(without, part):.2f}" for part in PARTS)],
    ]
    print_table(f"POST /alert, {POSTS} alerts each, in turn", ["ms", "median", "90 %", "99 %"], rows)
    print(
        f"\n  a sweep: {sweep['seconds']:.1f} s, {sweep['lists']} lists, {sweep['alerta']} alerts in Alerta,"
        f" {sweep['opsgenie']} over there, stopped: {sweep['stopped'] or 'no'}"
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


def _sweeps(run: Plugged, many: int) -> dict[str, Any]:
    """Wait for so many sweeps, and give the last one's report, with its seconds and the lists that it asked for."""
    for _ in range(many):
        before = _report(run).get("at")
        asked = _lists(run)
        while (report := _report(run)).get("at") == before or report.get("alerta", 0) < ALERTS - 1:
            time.sleep(0.05)
    return {**report, "seconds": time.time() - report["at"], "lists": _lists(run) - asked}


def _lists(run: Plugged) -> int:
    requests = list(run.cloud.records.requests)
    return sum(seen.method == "GET" and seen.path.startswith("/v2/alerts?") for seen in requests)


def _most_megabytes(run: Plugged) -> float:
    """Give the most memory that a process of Alerta's has had (VmHWM)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        text = path.read_text(errors="replace")
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        if int(fields.get("PPid", "0")) == run.alerta.pid and "VmHWM" in fields:
            found.append(int(fields["VmHWM"].split()[0]) / 1024)
    return max(found)
