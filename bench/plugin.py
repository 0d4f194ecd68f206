"""What the plugin costs Alerta: `POST /alert` with it, while Opsgenie hangs, against the same Alerta without it.

Each alert goes to the one Alerta and then to the other, spread over the minute that Opsgenie hangs, so that whatever
else the machine does disturbs both alike.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from lab.alerta_server import AlertaServer

from bench.measure import print_table
from tests.support.plugin import plugged

ALERTS = 500
HANG_SECONDS = 60.0
WARM = 40
PARTS = (0.5, 0.9, 0.99)
QUIET: dict[str, object] = {"LOG_LEVEL": "WARNING", "AUDIT_TRAIL": [], "AUDIT_LOG": None}


def main() -> None:
    """Print the times side by side, and see that all alerts arrive afterwards, each once."""
    with (
        tempfile.TemporaryDirectory() as directory,
        AlertaServer(settings={"PLUGINS": []}) as plain,
        plugged(plain.postgres, Path(directory), settings=QUIET) as run,
    ):
        sources = [Source(plain), Source(run.alerta)]
        for _ in range(WARM):
            for source in sources:
                source.post()
        run.settle()
        times: list[tuple[float, ...]] = []
        with run.cloud.faults.hang():
            began = time.monotonic()
            for number in range(ALERTS):
                time.sleep(max(0.0, began + number * HANG_SECONDS / ALERTS - time.monotonic()))
                times.append(tuple(source.post() for source in sources))
            waiting = run.waiting()
        without, hanging = (list(part) for part in zip(*times))
        began = time.monotonic()
        run.settle()
        took = time.monotonic() - began
        arrived = Counter(alert.count for alert in run.cloud.alerts())
    rows = [
        ["without the plugin", *(f"{quantile(without, part) * 1000:.1f}" for part in PARTS)],
        ["with it, Opsgenie hangs", *(f"{quantile(hanging, part) * 1000:.1f}" for part in PARTS)],
        ["ratio", *(f"{quantile(hanging, part) / quantile(without, part):.2f}" for part in PARTS)],
    ]
    title = f"POST /alert, {ALERTS} alerts each, in turn, in {HANG_SECONDS:.0f} s"
    print_table(title, ["ms", "median", "90 %", "99 %"], rows)
    print(f"\n  {waiting} waited; all had arrived {took:.1f} s after Opsgenie came back; occurrences: {dict(arrived)}")


class Source:
    """Sends alerts to an Alerta over one connection."""

    def __init__(self, server: AlertaServer) -> None:
        address = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port)
        self._headers = {"Authorization": f"Key {server.admin_key}", "Content-Type": "application/json"}

    def post(self) -> float:
        """Send a new alert; the seconds that it took."""
        name = uuid.uuid4().hex
        alert = {"resource": name, "event": name, "environment": "Production", "service": ["Web"], "severity": "major"}
        began = time.perf_counter()
        self._connection.request("POST", "/alert", json.dumps(alert), self._headers)
        answer = self._connection.getresponse()
        answer.read()
        took = time.perf_counter() - began
        if answer.status != http.HTTPStatus.CREATED:
            raise RuntimeError(f"Alerta answered {answer.status}")
        return took


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
