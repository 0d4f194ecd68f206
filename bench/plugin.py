"""What the plugin costs Alerta: `POST /alert` with it, while Opsgenie hangs, against the same Alerta without it."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from alerta_opsgenie.demo.alerta_server import AlertaServer
from bench.measure import print_table
from tests.support.plugin import plugged

ALERTS = 500
TURNS = 10
PARTS = (0.5, 0.9, 0.99)
QUIET: dict[str, object] = {"LOG_LEVEL": "WARNING", "AUDIT_TRAIL": [], "AUDIT_LOG": None}


def main() -> None:
    """Print the times side by side, and see that all alerts arrive afterwards, each once."""
    with (
        tempfile.TemporaryDirectory() as directory,
        AlertaServer(settings={"PLUGINS": []}) as plain,
        plugged(plain.postgres, Path(directory), settings=QUIET) as run,
    ):
        for server in (plain, run.alerta):
            _post(server, 40)
        run.settle()
        without: list[float] = []
        hanging: list[float] = []
        with run.cloud.faults.hang():
            for _ in range(TURNS):
                without += _post(plain, ALERTS // TURNS)
                hanging += _post(run.alerta, ALERTS // TURNS)
            waiting = run.waiting()
        began = time.monotonic()
        run.settle()
        took = time.monotonic() - began
        arrived = Counter(alert.count for alert in run.cloud.alerts())
    rows = [
        ["without the plugin", *(f"{_quantile(without, part) * 1000:.1f}" for part in PARTS)],
        ["with it, Opsgenie hangs", *(f"{_quantile(hanging, part) * 1000:.1f}" for part in PARTS)],
        ["ratio", *(f"{_quantile(hanging, part) / _quantile(without, part):.2f}" for part in PARTS)],
    ]
    print_table(f"POST /alert, {ALERTS} alerts each, in turn", ["ms", "median", "90 %", "99 %"], rows)
    print(f"\n  {waiting} waited; all had arrived {took:.1f} s after Opsgenie came back; occurrences: {dict(arrived)}")


def _post(server: AlertaServer, count: int) -> list[float]:
    """Send alerts one after the other over one connection; the seconds that each took."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    headers = {"Authorization": f"Key {server.admin_key}", "Content-Type": "application/json"}
    took = []
    for _ in range(count):
        name = uuid.uuid4().hex
        alert = {"resource": name, "event": name, "environment": "Production", "service": ["Web"], "severity": "major"}
        began = time.perf_counter()
        connection.request("POST", "/alert", json.dumps(alert), headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
        if answer.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"Alerta answered {answer.status}")
    connection.close()
    return took


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
