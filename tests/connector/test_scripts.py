"""Other scripts: one start for each message, which is deleted when the script has ended."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.connector import scripts as module
from alerta_opsgenie.connector.handler import read_action
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.scripts import Scripts
from alerta_opsgenie.connector.transport import Receipt, Received
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.runner import ScriptResult
from tests.connector.rig import wait_until

BODY = json.dumps({"action": "Close", "actionType": "custom", "requestId": "r"})


class Run:
    """Scripts that wait for `go`."""

    name = "q"

    def __init__(self, script: str, action: str = "Close") -> None:
        mapping = ActionMapping(action, script)
        pool = {"maxNumberOfWorker": 12}
        self.config = EdgeConfig("oec", Secret("k"), "https://api.opsgenie.com", {action: mapping}, pool=pool)
        self.events: list[tuple[str, Any]] = []
        self.scripts = Scripts(self.config, 300, self, Metrics())  # type: ignore[arg-type]

    def finish(self, receipt: Receipt) -> None:
        self.events.append(("finish", receipt.handle))

    def extend(self, _receipt: Receipt, seconds: int) -> None:
        self.events.append(("extend", seconds))

    def put(self, body: dict[str, Any]) -> None:
        self.events.append(("result", body.get("isSuccessful", False)))

    def take(self, handle: str = "h", body: str = BODY, message_id: str = "m") -> bool:
        received = Received(Receipt(message_id, handle), body, {"ownerId": "me"}, 1, 0.0, 0.0)
        action = read_action(received, "me", self.config)
        return self.scripts.put(self, received, action.about, lambda: self.events.append(("ended", None)))

    def waits_for(self, event: str) -> None:
        wait_until(lambda: event in [name for name, _ in self.events])


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let scripts wait until this is set."""
    event = threading.Event()

    def run_message(*_args: object, **_kwargs: object) -> ScriptResult:
        assert event.wait(20)
        return ScriptResult(None, callback={"requestId": "r", "isSuccessful": True})

    monkeypatch.setattr(module, "run_message", run_message)
    return event


def test_a_script_runs_and_its_message_is_deleted_then(tmp_path: Path) -> None:
    script = tmp_path / "close.sh"
    script.write_text("exit 0\n")
    run = Run(str(script))
    assert run.take()
    run.waits_for("ended")
    assert [name for name, _ in run.events][-3:] == ["result", "finish", "ended"]
    assert ("result", True) in run.events


def test_a_script_gets_a_message_about_no_alert_as_it_came(tmp_path: Path) -> None:
    body = (Path(__file__).parents[1] / "payloads/JiraAutomation.jec.json").read_text()
    script = tmp_path / "sync.sh"
    script.write_text(f'while [ "$1" != -payload ]; do shift; done; printf %s "$2" > {tmp_path}/got\n')
    run = Run(str(script), "alerta-sync")
    assert run.take(body=body)
    run.waits_for("ended")
    assert ("result", True) in run.events
    assert json.loads((tmp_path / "got").read_text()) == json.loads(body)


def test_the_message_is_hidden_for_as_long_as_the_script_may_take(go: threading.Event) -> None:
    run = Run("/x.sh")
    run.take()
    run.waits_for("extend")
    go.set()
    assert min(seconds for name, seconds in run.events if name == "extend") > 300


def test_a_message_that_comes_again_while_its_script_runs_starts_no_second_one(go: threading.Event) -> None:
    run = Run("/x.sh")
    assert run.take("old")
    assert not run.take("new")
    go.set()
    run.waits_for("ended")
    assert ("finish", "new") in run.events, "only the newest receipt is good"
    assert [name for name, _ in run.events].count("result") == 1


def test_a_message_that_comes_again_after_its_script_is_deleted_again(go: threading.Event) -> None:
    go.set()
    run = Run("/x.sh")
    run.take("old")
    run.waits_for("ended")
    assert not run.take("new")
    assert [name for name, _ in run.events].count("result") == 1
    assert ("finish", "new") in run.events


def test_the_message_of_a_script_that_outlives_the_connector_is_deleted(go: threading.Event) -> None:
    run = Run("/x.sh")
    run.take()
    wait_until(lambda: bool(run.scripts.running))
    run.scripts.stop(0.05)
    assert ("finish", "h") in run.events
    go.set()


def test_after_a_fault_of_this_program_the_message_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> ScriptResult:
        raise RuntimeError("a fault")

    monkeypatch.setattr(module, "run_message", fail)
    run = Run("/x.sh")
    run.take()
    run.waits_for("ended")
    assert "finish" not in [name for name, _ in run.events]


def test_no_more_threads_than_workers(go: threading.Event) -> None:
    before, run = threading.active_count(), Run("/x.sh")
    for number in range(40):
        run.take(f"h{number}", message_id=f"m{number}")
    assert threading.active_count() <= before + run.config.pool["maxNumberOfWorker"]
    go.set()
    wait_until(lambda: [name for name, _ in run.events].count("ended") == 40)
    assert run.scripts.unfinished == 0


def test_where_no_thread_can_be_started_the_message_stays_and_may_come_again(
    go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    go.set()
    run = Run("/x.sh")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert not run.take("old")
    assert run.take("new")
    run.waits_for("ended")
    assert ("finish", "new") in run.events
