"""What one action costs through the executor: alone, at the first start, and 12 at once; and what the journal takes.

With another Python than the one of this environment, and beside the executor of another version:

    ALERTA_OPSGENIE_BENCH_PYTHON=/usr/bin/python3 ALERTA_OPSGENIE_BENCH_BEFORE=FILE python -m bench executor
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab.agents import end_agent
from lab.alerta_server import AlertaServer

from alerta_opsgenie.executor.build import build
from alerta_opsgenie.journal import Journal, New
from bench.connector import CLIENTS, _alerts, _bare
from bench.measure import Cost, costs_of_programs, median, print_table, rate_per_second
from tests.support.console import Console

ROUNDS = 40
ACKS = 100
TURNS = 5
COLD_STARTS = 15
PYTHON = os.environ.get("ALERTA_OPSGENIE_BENCH_PYTHON", sys.executable)
BEFORE = os.environ.get("ALERTA_OPSGENIE_BENCH_BEFORE", "")

Commands = dict[str, list[str]]
"""How each executor is started, by its name."""


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
        executor = Path(directory) / "oecAlertaExecutor"
        executor.write_bytes(build(PYTHON))  # as `install` does
        executor.chmod(0o755)
        ways = {"executor": [str(executor)], "executor as .py": [PYTHON, str(executor)]}
        if BEFORE:
            ways["executor before"] = [PYTHON, BEFORE]
        _one_action(ways, directory)
        _into_alerta(ways, directory)
        _appends(directory)


def _one_action(ways: Commands, directory: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Alerta)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    costs: dict[str, list[Cost]] = {}
    try:
        for _ in range(ROUNDS + 1):  # each an action of its own: the journal knows what has been done
            programs = {
                "python -c pass": [PYTHON, "-c", "pass"],
                "executor, one acknowledge": [*ways["executor"], *_arguments(f"{directory}/state", url)],
                "executor as .py": [*ways["executor as .py"], *_arguments(f"{directory}/state", url)],
                "python -c 'import requests'": [sys.executable, "-c", "import requests"],
            }
            for name, cost in costs_of_programs(programs, 1).items():
                costs.setdefault(name, []).append(cost)
    finally:
        server.shutdown()
        end_agent(f"{directory}/state")
    # The first round started the agent.
    medians = {name: median(found[1:]) for name, found in costs.items()}
    _print_costs(f"One action with an agent that runs already (median of {ROUNDS} in turn)", medians)


def _arguments(state: str, url: str, key: str = "k", alert_id: str = "", action: str = "Acknowledge") -> list[str]:
    alert = {
        "alias": alert_id or "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e",
        "source": "Alerta",
        "username": "alice@example.com",
        "updatedAt": time.time_ns(),
    }
    payload = json.dumps({"action": action, "requestId": str(uuid.uuid4()), "alert": alert})
    connector = ["-payload", payload, "-apiKey", "K", "-opsgenieUrl", "https://api.opsgenie.com", "-logLevel", "WARN"]
    return [*connector, "--alertaApiUrl", url, "--alertaApiKey", key, "--spoolDir", state]


def _into_alerta(executors: Commands, directory: str) -> None:
    """Let each do its part of the acks in each turn; then one action at a time, and one with an agent to be started."""
    with AlertaServer() as alerta:
        key, console = alerta.create_key("bench@example.com"), Console(alerta.url, alerta.admin_key)

        def run(name: str, alert_id: str, state: str, action: str = "Acknowledge") -> float:
            command = [*executors[name], *_arguments(f"{directory}/{state}", alerta.url, key, alert_id, action)]
            began = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return time.monotonic() - began

        def burst(name: str, ids: list[str]) -> float:
            began = time.monotonic()
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(lambda alert_id: run(name, alert_id, name), ids))
            return time.monotonic() - began

        bare = f"{CLIENTS} bare keep-alive clients"
        took: dict[str, list[float]] = {name: [] for name in (bare, *executors)}
        for turn in range(TURNS + 1):
            for name, found in took.items():
                ids = _alerts(console, ACKS if turn else CLIENTS)
                seconds = _bare(alerta.url, key, ids).seconds if name == bare else burst(name, ids)
                if turn:  # the first turn is to warm up
                    found.append(seconds)
        rates = {name: ACKS * TURNS / sum(found) for name, found in took.items()}
        print_table(
            f"{ACKS * TURNS} acks into one Alerta, {CLIENTS} at once, in turn",
            ("", "acks/s", "of the limit"),
            [(name, f"{rate:.1f}", f"{rate / rates[bare]:.2f}") for name, rate in rates.items()],
        )
        rows = []
        for name in executors:
            warm = [run(name, _alerts(console, 1)[0], name, "Close") for _ in range(ROUNDS)]
            cold = []
            for number in range(COLD_STARTS):
                cold.append(run(name, _alerts(console, 1)[0], f"{name} {number}", "Close"))
                end_agent(f"{directory}/{name} {number}")
            rows.append((name, *(f"{statistics.median(found) * 1000:.1f}" for found in (warm, cold))))
            end_agent(f"{directory}/{name}")
        print_table("One close, nothing else going on (p50)", ("", "ms", "ms, the first one"), rows)


def _appends(directory: str) -> None:
    body = json.dumps({"action": "AddNote", "alert": {"note": "x" * 300}})
    counter = itertools.count()
    with contextlib.closing(Journal(f"{directory}/journal")) as journal:

        def append() -> None:
            number = next(counter)
            new = New(f"key-{number}", f"alert-{number % 30}", number, "AddNote", body)
            journal.append([new], time.time())

        rate = rate_per_second(append, 2.0)
    title = "The journal (each action on the disk before the next, one process)"
    print_table(title, ("actions/s",), [(f"{rate:.0f}",)])


def _print_costs(title: str, costs: dict[str, Cost]) -> None:
    first = next(iter(costs.values()))
    rows = [
        (
            name,
            f"{cost.seconds * 1000:.1f} ms",
            f"{cost.seconds / first.seconds:.2f}",
            f"{cost.cpu_seconds * 1000:.1f} ms",
            f"{cost.cpu_seconds / first.cpu_seconds:.2f}",
            f"{cost.kibibytes / 1024:.1f} MiB",
        )
        for name, cost in costs.items()
    ]
    print_table(title, ("what", "time", "ratio", "CPU", "ratio", "memory"), rows)


if __name__ == "__main__":
    main()
