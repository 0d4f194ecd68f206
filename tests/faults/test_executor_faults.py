"""Alerta fails in six ways while many actions arrive, twelve at a time: none is lost, none is done twice.

The built executor is started as the connectors start it, with a real Alerta behind a proxy. Afterwards each alert must
be as in a model that is independent of the code under test. In `make test-long` each failure lasts 20 seconds and the
executor has its default time limit, as for the figures in the documentation.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.vendor.runner import ScriptResult
from tests.support.console import Console
from tests.support.executor import Edge, await_true
from tests.support.proxy import Proxy
from tests.support.scenarios import JSON, Scenarios, expected_after, found_in
from tests.support.tiers import LONG, amount, grows

FAULT_SECONDS = amount(3, 20)
ARGUMENTS = ("--logLevel", "DEBUG", *(() if LONG else ("--timeLimit", "2")))
DRAIN_SECONDS = 120.0

ACTIONS = amount(60, 100)
ALERTS = amount(20, 30)
CALLS_BEFORE_THE_FAULT = 15

pytestmark = [pytest.mark.faults, grows]

Fault = Callable[[AlertaServer, Proxy], AbstractContextManager[object]]


@contextmanager
def stopped(alerta: AlertaServer, _proxy: Proxy) -> Iterator[None]:
    alerta.stop()
    try:
        yield
    finally:
        alerta.start()


@contextmanager
def hung(alerta: AlertaServer, _proxy: Proxy) -> Iterator[None]:
    alerta.freeze()
    try:
        yield
    finally:
        alerta.thaw()


@contextmanager
def restarted(alerta: AlertaServer, _proxy: Proxy) -> Iterator[None]:
    alerta.restart()
    yield
    alerta.kill()
    alerta.start()


FAULTS: dict[str, Fault] = {
    "stopped": stopped,
    "hung": hung,
    "restarted": restarted,
    "reset in mid-answer": lambda _alerta, proxy: proxy.dropping_answers(after_bytes=100),
    "429 with Retry-After": lambda _alerta, proxy: proxy.answering(429, {"Retry-After": "2"}),
    "503": lambda _alerta, proxy: proxy.answering(503),
}


@dataclass
class Burst:
    """The actions, the executors' results, and the alerts."""

    messages: list[JSON]
    results: list[ScriptResult]
    alert_ids: list[str]
    kept: int = 0
    seconds: float = 0.0
    drain_seconds: float = 0.0


def run_burst(edge: Edge, console: Console, disturb: Callable[[], None]) -> Burst:
    """Send the actions while `disturb` runs, and wait until no action waits."""
    alert_ids = [str(console.create_alert()["id"]) for _ in range(ALERTS)]
    messages = Scenarios(2027).tell(alert_ids, ACTIONS)
    disturbance = threading.Thread(target=disturb)
    disturbance.start()
    began = time.monotonic()
    results = edge.run_all(messages)
    seconds = time.monotonic() - began
    disturbance.join()
    over = time.monotonic()
    edge.await_drained(DRAIN_SECONDS)
    kept = sum("WARN kept" in result.stdout for result in results)
    return Burst(messages, results, alert_ids, kept, seconds, time.monotonic() - over)


def assert_all_arrived(burst: Burst, edge: Edge, console: Console) -> None:
    """Compare each alert with the model. Nothing may be doubled, or be a dead letter."""
    failed = [result for result in burst.results if result.exit_code != 0 or result.stderr]
    assert not failed, [(result.exit_code, result.stdout, result.stderr) for result in failed]
    assert edge.entries() == []
    for alert_id in burst.alert_ids:
        story = [message for message in burst.messages if message["alert"]["alias"] == alert_id]
        notes = console.notes(alert_id)
        actions = [(message["action"], message["alert"]["username"]) for message in story]
        assert found_in(console.get(alert_id), notes) == expected_after(story), (actions, console.history(alert_id))
        # Changes of the owner are notes too: at most one for each.
        ownership = Counter(note["text"] for note in notes if " in Opsgenie" in note["text"])
        assert sum(ownership.values()) <= sum("Ownership" in name for name, _ in actions), ownership


@pytest.fixture
def edge(tmp_path: Path, proxy: Proxy, alerta_key: str) -> Iterator[Edge]:
    with Edge(tmp_path, proxy.url, alerta_key, arguments=ARGUMENTS) as made:
        yield made


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost_and_nothing_doubled_when_alerta_is(
    name: str, edge: Edge, alerta: AlertaServer, proxy: Proxy, console: Console, record_property: Callable[..., None]
) -> None:
    def disturb() -> None:
        await_true(lambda: len(proxy.exchanges) >= CALLS_BEFORE_THE_FAULT, 60)
        with FAULTS[name](alerta, proxy):
            time.sleep(FAULT_SECONDS)
            # On a slow machine too, the failure lasts until an action has met it.
            await_true(lambda: name == "restarted" or any(row.attempts for row in edge.entries()))

    burst = run_burst(edge, console, disturb)
    figures = {"kept": burst.kept, "run": f"{burst.seconds:.1f} s", "drained after": f"{burst.drain_seconds:.1f} s"}
    record_property("figures", json.dumps(figures))
    print(f"{name}: {figures}")
    assert any("; again in " in result.stdout or "WARN kept" in result.stdout for result in burst.results)
    assert_all_arrived(burst, edge, console)
