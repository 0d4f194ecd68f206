"""How long the page takes over a journal of 110,000 actions, against one of 110, and what it holds of memory."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
import uuid
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.core.message import journal_body_of_person
from alerta_opsgenie.journal import New
from alerta_opsgenie.page.server import Server
from alerta_opsgenie.page.site import Page
from alerta_opsgenie.page.view import PageInputs, Part
from bench.measure import print_table

URL = "https://alerta.example.com/api"
SMALL, LARGE = (100, 10), (100_000, 10_000)
"""How many are done, and wait."""
LOOKS = 40
MORE_LOOKS = 400
PATHS = {
    "first screen": "/",
    "what waits": "/?state=waiting",
    "search for a person": "/?q=person-77777",
    "search in vain": "/?q=nobody",
}


def fill(directory: str, done: int, waiting: int) -> None:
    """Keep so many actions, half of which are notes."""
    state.prepare(directory)
    with state.journal_of(directory, state.target_name(URL)) as journal:
        for first in range(0, done + waiting, 1000):
            numbers = range(first, min(first + 1000, done + waiting))
            journal.append([_new(number) for number in numbers], time.time() - 3600)
    with sqlite3.connect(Path(journal.directory, "journal.db")) as connection:
        connection.execute("UPDATE actions SET state = 'done', reason = 'done' WHERE id <= ?", (done,))


def _new(number: int) -> New:
    body = journal_body_of_person(f"person-{number}@example.com")
    return New(f"key-{number}", str(uuid.UUID(int=number % 5000)), number, ("Close", "AddNote")[number % 2], body)


def main() -> None:
    """Print the page's figures."""
    client.ask_status = lambda _: {"kind": "run", "version": "0", "pid": 1}  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        servers = []
        for directory, counts in ((small, SMALL), (large, LARGE)):
            fill(directory, *counts)
            source = PageInputs(directory, lambda: Part("Queue", "", is_well=True))
            servers.append(Server("127.0.0.1", 0, Page(source, "127.0.0.1").answer))
            servers[-1].start()
        rows = []
        for name, path in PATHS.items():
            took: list[list[float]] = [[], []]
            for _ in range(LOOKS):
                for server, found in zip(servers, took):
                    found.append(_look(server.url + path))
            few, many = (statistics.median(found) * 1000 for found in took)
            rows.append((name, f"{few:.1f}", f"{many:.1f}", f"{max(took[1]) * 1000:.1f}"))
        title = f"The page over {sum(LARGE)} actions and over {sum(SMALL)}, in turn ({LOOKS} times)"
        print_table(title, ("", "ms, few", "ms, many", "ms, many, the slowest"), rows)
        before = _resident_mib()
        for number in range(MORE_LOOKS):
            _look(servers[1].url + list(PATHS.values())[number % len(PATHS)])
        print_table(f"Memory (MiB) before and after {MORE_LOOKS} more", ("before", "after"), [
            (f"{before:.1f}", f"{_resident_mib():.1f}")
        ])  # fmt: skip
        for server in servers:
            server.stop()


def _look(url: str) -> float:
    parts = urlsplit(url)
    began = time.perf_counter()
    with closing(HTTPConnection(parts.netloc)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}")
        if connection.getresponse().read().find(b"<main") < 0:
            raise RuntimeError(f"{url} is no page")
    return time.perf_counter() - began


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()
