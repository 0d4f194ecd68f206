"""What one action costs in the executor's process, and how many actions a second the journal takes."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.agents import end_agent

from alerta_opsgenie.executor.build import write_to
from alerta_opsgenie.journal import Journal, New
from bench.measure import Cost, costs_of_programs, print_table, rate_per_second

ROUNDS = 40

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
        _one_action(write_to(directory)[0], directory)
        _appends(directory)


def _one_action(executor: str, directory: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Alerta)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    costs: dict[str, list[Cost]] = {}
    try:
        for number in range(ROUNDS + 1):  # each an action of its own: the journal knows what has been done
            programs = {
                "python -c pass": [sys.executable, "-c", "pass"],
                "executor, one acknowledge": [sys.executable, executor, *_arguments(directory, url, number)],
                "python -c 'import requests'": [sys.executable, "-c", "import requests"],
            }
            for name, cost in costs_of_programs(programs, 1).items():
                costs.setdefault(name, []).append(cost)
    finally:
        server.shutdown()
        end_agent(f"{directory}/state")
    # The first round started the agent.
    medians = {name: sorted(found[1:], key=lambda cost: cost.seconds)[ROUNDS // 2] for name, found in costs.items()}
    _print_costs(f"One action with an agent that runs already (median of {ROUNDS} in turn)", medians)


def _arguments(directory: str, url: str, number: int) -> list[str]:
    alert = {
        "alias": "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e",
        "source": "Alerta",
        "username": "alice@example.com",
        "updatedAt": time.time_ns(),
    }
    payload = json.dumps({"action": "Acknowledge", "requestId": f"bench-{number}", "alert": alert})
    connector = ["-payload", payload, "-apiKey", "K", "-opsgenieUrl", "https://api.opsgenie.com", "-logLevel", "WARN"]
    return [*connector, "--alertaApiUrl", url, "--alertaApiKey", "k", "--spoolDir", f"{directory}/state"]


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
    rows = []
    for name, cost in costs.items():
        ratio = f"{cost.seconds / first.seconds:.2f}"
        rows.append((name, f"{cost.seconds * 1000:.1f} ms", ratio, f"{cost.kibibytes / 1024:.1f} MiB"))
    print_table(title, ("what", "time", "ratio", "memory"), rows)


if __name__ == "__main__":
    main()
