"""The outbox on the disk and the sender, without Alerta."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alerta_opsgenie.clients.opsgenie import OpsgenieClient, Reason, RequestOutcome, Verdict
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.publish import AlertEvent, Dispatch, Policy, Request, publish
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry
from alerta_opsgenie.journal import Journal, New
from alerta_opsgenie.plugin import outbox
from alerta_opsgenie.plugin.directories import own_directory
from alerta_opsgenie.plugin.keys import Key
from alerta_opsgenie.plugin.outbox import Outbox, OutgoingRequest, read_row
from alerta_opsgenie.plugin.sender import Sender
from alerta_opsgenie.plugin.settings import Settings
from tests.support.cloud import Running, running_cloud
from tests.support.plugin import wait_until


@pytest.fixture
def run() -> Iterator[Running]:
    with running_cloud() as run:
        yield run


class Plugin:
    """An outbox and a sender with the stand-in."""

    def __init__(self, run: Running, directory: Path, *, confirm: bool = True, timeout_seconds: float = 1.0) -> None:
        self.reports: list[tuple[str, str]] = []
        self.settings = Settings(
            policy=Policy(), url=run.server.base_url, key=Key(run.key.key), spool_directory=str(directory),
            timeout_seconds=timeout_seconds, confirm=confirm, proxies={},
        )  # fmt: skip
        self.outbox = Outbox(own_directory(str(directory)))
        self.sender = Sender(self.outbox, self.settings, lambda alert, text: self.reports.append((alert, text)))

    def happen(self, alert_id: str, *events: Event, text: str = "") -> None:
        history = (HistoryEntry("new", "open", "major", alert_id),)
        alert = AlertValues(alert_id, resource="r", event="e", severity="major", history=history)
        acts = [AlertEvent(event, "alice", text, time.time() + 60) for event in events]
        self.outbox.put(publish(alert, acts, Policy()),
                        alert_id)  # fmt: skip


@contextmanager
def sending(plugin: Plugin) -> Iterator[Plugin]:
    plugin.sender.start()
    try:
        yield plugin
    finally:
        plugin.sender.stop()


def emptied(directory: Path) -> Callable[[], bool]:
    def look() -> bool:
        with Journal(directory) as journal:
            counts = journal.counts(time.time())
            return counts.waiting + counts.in_flight == 0

    return look


def test_a_request_is_read_from_its_row_unchanged_and_without_a_key(tmp_path: Path) -> None:
    request = Request("note", "POST", "/v2/alerts/a/notes?identifierType=alias", {"note": "\N{PILE OF POO} \u00e4"})
    outgoing = OutgoingRequest("k", "a", 7, "default", request)
    with Journal(tmp_path) as journal:
        (action,) = journal.append([outgoing.to_row()], 1.0)
    assert read_row(action) == outgoing
    assert set(json.loads(action.body)) == {"v", "route", "operation", "method", "path", "body"}


# -- The directory


def test_in_a_shared_volume_the_plugin_makes_its_own_directory(run: Running, tmp_path: Path) -> None:
    shared = tmp_path / "volume"
    shared.mkdir()
    shared.chmod(0o1777)
    plugin = Plugin(run, shared)
    plugin.happen("a", Event.RAISED)
    own = shared / f"alerta-opsgenie-{os.geteuid()}"
    assert plugin.outbox.directory == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    assert not plugin.outbox.memory


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_another_users_directory_is_refused_and_requests_are_sent_from_memory(
    run: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    theirs.chmod(mode)
    plugin = Plugin(run, theirs)
    with sending(plugin):
        plugin.happen("a", Event.RAISED)
        assert wait_until(lambda: run.cloud.alert("a"))
    assert list(theirs.iterdir()) == []
    assert "requests wait in memory" in caplog.text
    assert "belongs to nobody" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_in_a_shared_volume_is_refused(run: Running, tmp_path: Path) -> None:
    shared = tmp_path / "volume"
    theirs = shared / f"alerta-opsgenie-{os.geteuid()}"
    theirs.mkdir(parents=True)
    shared.chmod(0o1777)
    os.chown(theirs, 65534, 65534)
    plugin = Plugin(run, shared)
    plugin.happen("a", Event.RAISED)
    assert len(plugin.outbox.memory) == 1


def test_requests_in_memory_move_to_the_disk_in_order(
    run: Running, tmp_path: Path
) -> None:
    (tmp_path / "spool").write_text("in the way")
    plugin = Plugin(run, tmp_path / "spool")
    plugin.happen("a", Event.RAISED, Event.ACKED)
    (tmp_path / "spool").unlink()
    plugin.happen("a", Event.CLOSED)
    assert plugin.outbox.save_memory()
    with Journal(tmp_path / "spool") as journal:
        assert [action.kind for action in journal.actions()] == ["create", "acknowledge", "close"]
    assert not plugin.outbox.memory


def test_full_memory_loses_the_oldest_request_and_logs_it(
    run: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_IN_MEMORY", 2)
    (tmp_path / "spool").write_text("in the way")
    plugin = Plugin(run, tmp_path / "spool")
    for alert_id in ("a", "b", "c"):
        plugin.happen(alert_id, Event.RAISED)
    assert [outgoing.alert for outgoing in plugin.outbox.memory] == ["b", "c"]
    assert "a request for alert a is lost" in caplog.text


def test_a_row_that_cannot_be_read_is_a_dead_letter(run: Running, tmp_path: Path) -> None:
    plugin, bodies = Plugin(run, tmp_path), ["nonsense", "{}", "[]", '{"route": "r"}']
    with Journal(tmp_path) as journal:
        journal.append([New(f"k{number}", "a", number, "?", body) for number, body in enumerate(bodies)], time.time())
        with sending(plugin):
            plugin.happen("a", Event.RAISED)
            assert wait_until(lambda: run.cloud.alert("a"))
        assert [action.reason for action in journal.actions("dead")] == ["unreadable"] * len(bodies)


def test_a_create_in_flight_at_a_kill_is_sent_again_unless_it_had_its_effect(run: Running, tmp_path: Path) -> None:
    plugin = Plugin(run, tmp_path)
    plugin.happen("a", Event.RAISED)
    plugin.happen("b", Event.RAISED)
    for action in plugin.outbox.journal.claim(time.time(), 2, 1e4):
        if action.alert == "a":
            plugin.sender._send(plugin.sender.settings.client(), read_row(action))
    assert wait_until(lambda: run.cloud.alert("a"))
    with sending(plugin):
        assert wait_until(emptied(tmp_path))
    posts = [seen.body["alias"] for seen in run.cloud.records.requests if seen.method == "POST"]
    assert posts == ["a", "b"]


def test_a_note_with_an_unknown_result_is_not_sent_again_until_it_was_looked_up(run: Running, tmp_path: Path) -> None:
    run.cloud.person("alice@example.com").create("m", "a", source="Alerta")
    plugin = Plugin(run, tmp_path)
    plugin.happen("a", Event.NOTED, text="once")
    (action,) = plugin.outbox.journal.claim(time.time(), 1, 1e4)
    plugin.sender._send(plugin.sender.settings.client(), read_row(action))  # then the process is killed

    def asked() -> int:
        return sum(seen.method == "GET" and "/notes" in seen.path for seen in run.cloud.records.requests)

    fault = run.cloud.faults.status(503, "/notes")
    with sending(plugin):
        assert wait_until(lambda: asked() >= 2)
        fault.clear()
        assert wait_until(emptied(tmp_path))
    posts = [seen for seen in run.cloud.records.requests if seen.method == "POST" and "/notes" in seen.path]
    assert len(posts) == 1


@pytest.mark.parametrize(("closed_by", "posts"), [("alice@example.com", []), ("alice via Alerta", ["a"])])
def test_a_create_from_a_restored_backup_does_not_reopen_what_people_closed(
    run: Running, tmp_path: Path, closed_by: str, posts: list[str]
) -> None:
    """If the bridge closed the alert, the waiting create is of a later outage."""
    plugin = Plugin(run, tmp_path)
    create = Request("create", "POST", "/v2/alerts", {"message": "m", "alias": "a", "source": "Alerta"})
    row = OutgoingRequest("k", "a", 1, "default", create).to_row()
    plugin.outbox.journal.append([row], time.time() - 3600)
    run.cloud.person("alice@example.com").create("m", "a", source="Alerta")
    run.cloud.person(closed_by).close("a")
    with sending(plugin):
        assert wait_until(emptied(tmp_path))
    assert [seen.body["alias"] for seen in run.cloud.records.requests if seen.method == "POST"] == posts


def test_an_error_of_the_program_delays_one_alert_and_leaves_nothing_in_flight(
    run: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Plugin(run, tmp_path)
    send = plugin.sender._send

    def failing(client: OpsgenieClient, outgoing: OutgoingRequest) -> RequestOutcome:
        if outgoing.alert == "a":
            raise ZeroDivisionError
        return send(client, outgoing)

    monkeypatch.setattr(plugin.sender, "_send", failing)
    with sending(plugin), Journal(tmp_path) as journal:
        plugin.happen("a", Event.RAISED)
        plugin.happen("b", Event.RAISED)
        assert wait_until(lambda: run.cloud.alert("b"))
        assert wait_until(lambda: any(one.attempts for one in journal.actions("waiting") if one.alert == "a"))
        assert wait_until(lambda: journal.counts(time.time()).in_flight == 0)


def test_a_close_of_an_unknown_alert_is_not_reported(run: Running, tmp_path: Path) -> None:
    plugin = Plugin(run, tmp_path)
    with sending(plugin):
        plugin.happen("unknown", Event.CLOSED)
        assert wait_until(lambda: sum(seen.method == "GET" for seen in run.cloud.records.requests) >= 3)
    assert plugin.reports == []


def test_a_paused_key_does_not_delay_another(run: Running, tmp_path: Path) -> None:
    other = run.cloud.add_api("other")
    plugin = Plugin(run, tmp_path)
    bad = Settings(**{**plugin.settings.__dict__, "keys": {"good": Key(other.key)}, "key": Key("0" * 36)})
    plugin.sender = Sender(plugin.outbox, bad, lambda *_: None)
    request = Request("create", "POST", "/v2/alerts", {"message": "m", "alias": "stuck"})
    with sending(plugin):
        for number in range(6):
            plugin.outbox.put(Dispatch("default", (request,)), f"stuck-{number}")
        good = request._replace(body={"message": "m", "alias": "good"})
        plugin.outbox.put(Dispatch("good", (good,)), "good")
        assert wait_until(lambda: run.cloud.alert("good"))
    assert run.cloud.alert("stuck") is None
    with Journal(tmp_path) as journal:
        assert journal.counts(time.time()).waiting == 6


def test_the_user_s_own_directory_is_used_unchanged(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o750)
    assert own_directory(str(tmp_path / "own")) == str(tmp_path / "own")
    assert own_directory(str(tmp_path / "missing")) == str(tmp_path / "missing")


def test_requests_are_on_the_disk_before_they_are_sent(run: Running, tmp_path: Path) -> None:
    Plugin(run, tmp_path).happen("a", Event.RAISED, Event.ACKED)
    with Journal(tmp_path) as journal:
        assert [action.kind for action in journal.actions()] == ["create", "acknowledge"]


def test_a_stop_waits_for_requests_in_flight(run: Running, tmp_path: Path) -> None:
    plugin = Plugin(run, tmp_path, timeout_seconds=5)
    with run.cloud.faults.delay(0.5):
        plugin.sender.start()
        plugin.happen("a", Event.RAISED)
        assert wait_until(lambda: run.cloud.faults.take("/_") is not None or threading.active_count() > 4)
        time.sleep(0.2)
        plugin.sender.stop()
    assert emptied(tmp_path)()
    assert run.cloud.alert("a") is not None


def test_a_failed_action_is_reported_after_it_was_repeated(run: Running, tmp_path: Path) -> None:
    plugin = Plugin(run, tmp_path)
    with sending(plugin):
        plugin.happen("unknown", Event.ACKED)
        assert wait_until(lambda: plugin.reports)
    assert plugin.reports == [("unknown", "Opsgenie did not do this (acknowledge): Alert does not exist")]
    posts = [seen for seen in run.cloud.records.requests if seen.method == "POST"]
    assert len(posts) == 3


def test_without_confirmation_no_request_is_looked_up(run: Running, tmp_path: Path) -> None:
    plugin = Plugin(run, tmp_path, confirm=False)
    with sending(plugin):
        plugin.happen("a", Event.RAISED, Event.ACKED, Event.CLOSED)
        assert wait_until(emptied(tmp_path))
        time.sleep(1.3)
    assert [seen.method for seen in run.cloud.records.requests] == ["POST"] * 3


def delivery(reason: Reason, verdict: Verdict = Verdict.LATER, **more: object) -> RequestOutcome:
    return RequestOutcome(verdict, reason, **more)  # type: ignore[arg-type]
