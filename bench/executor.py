"""What the executor costs to start, and what order and memory on disk add to an action that needs no spool."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from alerta_opsgenie.executor.build import write_to
from alerta_opsgenie.journal import Spool
from bench.measure import Cost, costs_of_programs, print_table, rate_per_second

ROUNDS = 40

_WITHOUT_DISK = """
import sys, time
sys.modules["ssl"] = None
import http.client
del sys.modules["ssl"]
sys.path.insert(0, sys.argv[1])
from alerta_opsgenie.clients.alerta import AlertaClient, drive
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.relay import Circumstances, relay
from alerta_opsgenie.executor import delivery, script
from alerta_opsgenie.agent.options import read_options, split
import os
options = read_options(*split(sys.argv[2:]), os.environ)
client = AlertaClient(options.alerta_url, options.alerta_key)
end = time.monotonic() + 20
steps = relay(parse(options.payload), options.settings, Circumstances(time.time()))
print(drive(steps, lambda call: client.send(call, end)).kind.value)
"""


class _Alerta(BaseHTTPRequestHandler):
    """Answers at once, as an Alerta with our plugin would: what is measured is the executor."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"status": "ok"}'
        self.send_response(200)
        self.send_header("X-Alerta-On-Behalf-Of", self.headers["X-Alerta-On-Behalf-Of"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Print the executor's figures."""
    with tempfile.TemporaryDirectory() as directory:
        executor = write_to(directory)[0]
        _start_up(executor, directory)
        _disk(executor, directory)
        _keeps(directory)


def _arguments(directory: str, url: str, source: str = "Alerta") -> list[str]:
    alert = {
        "alias": "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e",
        "source": source,
        "username": "alice@example.com",
        "updatedAt": time.time_ns(),
    }
    # No request id: each start would find its action done. The digest would be the same, so the source differs.
    payload = json.dumps({"action": "Acknowledge", "alert": alert})
    connector = ["-payload", payload, "-apiKey", "K", "-opsgenieUrl", "https://api.opsgenie.com", "-logLevel", "WARN"]
    return [*connector, "--alertaApiUrl", url, "--alertaApiKey", "k", "--spoolDir", f"{directory}/spool"]


def _start_up(executor: str, directory: str) -> None:
    ignored = _arguments(directory, "http://127.0.0.1:9/api", source="somebody else's")
    costs = costs_of_programs(
        {
            "python -c 'import json, http.client'": [sys.executable, "-c", "import json, http.client"],
            "executor, built file": [sys.executable, executor, *ignored],
            "python -c 'import requests'": [sys.executable, "-c", "import requests"],
        },
        ROUNDS,
    )
    _print_costs(f"Start-up (median of {ROUNDS} in turn; the executor reads a message and ignores it)", costs)


def _disk(executor: str, directory: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Alerta)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    without = Path(directory, "without.py")
    without.write_text(_WITHOUT_DISK, encoding="ascii")
    costs: dict[str, list[Cost]] = {}
    for _ in range(ROUNDS):  # a new payload each round: a lane remembers what it has done
        arguments = _arguments(directory, url)
        round_costs = costs_of_programs(
            {
                "one ack, nothing on disk": [sys.executable, str(without), executor, *arguments],
                "one ack, executor": [sys.executable, executor, *arguments],
            },
            1,
        )
        for name, cost in round_costs.items():
            costs.setdefault(name, []).append(cost)
    server.shutdown()
    medians = {name: sorted(found, key=lambda cost: cost.seconds)[ROUNDS // 2] for name, found in costs.items()}
    _print_costs("What order, memory and the written-down action cost one that needs no spool", medians)


def _keeps(directory: str) -> None:
    body = json.dumps({"action": "AddNote", "alert": {"note": "x" * 300}})
    counter = iter(range(10**9))
    with Spool(f"{directory}/keeps") as spool:

        def keep() -> None:
            number = next(counter)
            spool.keep(f"key-{number}", f"lane-{number % 30}", number, body, now=time.time())

        durable = rate_per_second(keep, 2.0)
    print_table("Durable keeps (fsync'ed, one process)", ("keeps per second",), [(f"{durable:.0f}",)])


def _print_costs(title: str, costs: dict[str, Cost]) -> None:
    first = next(iter(costs.values()))
    rows = []
    for name, cost in costs.items():
        ratio = f"{cost.seconds / first.seconds:.2f}"
        rows.append((name, f"{cost.seconds * 1000:.1f} ms", ratio, f"{cost.kibibytes / 1024:.1f} MiB"))
    print_table(title, ("what", "time", "ratio", "memory"), rows)


if __name__ == "__main__":
    main()
