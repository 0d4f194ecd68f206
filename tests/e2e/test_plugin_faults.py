"""Opsgenie hangs, throttles, refuses or is down: Alerta continues, and no request is lost, doubled or out of order."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.support.plugin import Plugged, plugged, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module", params=["database", "disk"])
def run(
    request: pytest.FixtureRequest, alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plugged]:
    settings = {"OPSGENIE_TIMEOUT": 1, "OPSGENIE_OUTBOX": request.param}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("faults"), settings=settings) as run:
        yield run


def story(run: Plugged, alert_id: str) -> None:
    """Do three actions as an operator, each with one effect in Opsgenie."""
    run.console.action(alert_id, "ack", "one")
    run.console.note(alert_id, "two")
    run.console.action(alert_id, "close", "three")


def test_an_acknowledge_of_a_deleted_alert_leaves_a_note_in_alerta(run: Plugged) -> None:
    """A 202 is no proof: the request's status is looked up."""
    alert_id = run.console.create_alert()["id"]
    run.settle()
    run.cloud.person("alice@example.com").delete(alert_id)
    run.console.action(alert_id, "ack")
    assert wait_until(lambda: run.console.notes(alert_id))
    note = run.console.notes(alert_id)[0]
    assert note["text"] == "Opsgenie did not do this (acknowledge): Alert does not exist"


def test_alerta_answers_fast_while_opsgenie_hangs_and_all_requests_arrive_later(run: Plugged) -> None:
    with run.cloud.faults.hang():
        took = []
        ids = []
        for _ in range(40):
            start = time.perf_counter()
            ids.append(run.console.create_alert()["id"])
            took.append(time.perf_counter() - start)
        story(run, ids[0])
        assert run.waiting() >= len(ids)
    assert statistics.median(took) < 5  # a request to Opsgenie would have hung for 10 s

    assert [run.upstream(alert_id).count for alert_id in ids] == [1] * len(ids)
    assert run.upstream(ids[0]).notes == ["one", "two", "three"]


def test_a_request_whose_response_was_lost_has_one_effect(run: Plugged) -> None:
    """A create and a note are looked up before they are sent again."""
    alert_id = run.console.create_alert()["id"]
    run.settle()
    with run.cloud.faults.hang(r"/notes", takes_effect=True) as fault:
        run.console.note(alert_id, "logged once")
        assert wait_until(lambda: fault.struck >= 1)
        time.sleep(1.2)
    assert run.upstream(alert_id).notes == ["logged once"]

    with run.cloud.faults.reset(r"/v2/alerts$", 1, takes_effect=True):
        second = run.console.create_alert()["id"]
        assert run.upstream(second).count == 1


def test_throttling_loses_nothing(run: Plugged) -> None:
    run.cloud.limit_rate("alert", per_second=2)
    try:
        ids = [run.console.create_alert()["id"] for _ in range(8)]
        assert [run.upstream(alert_id).count for alert_id in ids] == [1] * len(ids)
    finally:
        run.cloud.limit_rate("alert")
    assert any(seen.status == 429 for seen in run.cloud.records.requests)
    assert wait_until(lambda: "requests by default wait (throttled)" in run.log())


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_retried(run: Plugged, status: int) -> None:
    with run.cloud.faults.status(status, times=2):
        alert_id = run.console.create_alert()["id"]
        story(run, alert_id)
        assert run.upstream(alert_id).closed
    assert run.upstream(alert_id).notes == ["one", "two", "three"]


def test_an_error_for_one_alert_does_not_delay_another(run: Plugged) -> None:
    first = run.console.create_alert()["id"]
    run.settle()
    with run.cloud.faults.status(500, first):
        run.console.action(first, "ack")
        second = run.console.create_alert()["id"]
        assert wait_until(lambda: run.cloud.alert(second) is not None)
        assert not run.cloud.alert(first).acknowledged  # type: ignore[union-attr]
    assert run.upstream(first).acknowledged


def test_a_refused_request_is_a_dead_letter_and_a_note_on_the_alert(run: Plugged) -> None:
    with run.cloud.faults.status(422, "/close"):
        alert_id = run.console.create_alert()["id"]
        run.console.action(alert_id, "close")
        run.console.note(alert_id, "behind it")
        run.settle()
    assert wait_until(lambda: len(run.console.notes(alert_id)) == 2)
    texts = [note["text"] for note in run.console.notes(alert_id)]
    assert "Opsgenie refused this (close): HTTP 422, Something went wrong, please try again." in texts
    assert run.upstream(alert_id).notes == ["behind it"], "the note about the refusal is not sent"
    with run.outbox() as outbox:
        assert [(row.kind, row.alert) for row in outbox.actions("dead")] == [("close", alert_id)]


def test_requests_wait_while_the_key_is_refused(run: Plugged) -> None:
    from dataclasses import replace  # noqa: PLC0415

    run.settle()
    run.cloud.add(replace(run.key, enabled=False))
    alert_id = run.console.create_alert()["id"]
    try:
        assert wait_until(lambda: "no request by default is sent until a person acts" in run.log())
        assert run.waiting() == 1
    finally:
        run.cloud.add(run.key)
    assert run.upstream(alert_id).count == 1
    assert run.log().count("until a person acts") == 1, "logged once"


def test_a_close_before_the_create_is_processed_closes_the_alert(run: Plugged) -> None:
    run.cloud.set_processing_delay(0.3, 0.6)
    try:
        alert_id = run.console.create_alert()["id"]
        story(run, alert_id)
        assert wait_until(lambda: (found := run.cloud.alert(alert_id)) and found.closed)
    finally:
        run.cloud.set_processing_delay(0)


def test_a_snooze_that_ended_while_it_waited_is_not_sent(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    run.settle()
    with run.cloud.faults.refuse():
        run.console.action(alert_id, "shelve", timeout=1)
        time.sleep(1.5)  # refused until the shelve is over, however fast the sender tries again
    assert run.told(alert_id) == ["create"]


def test_a_killed_worker_loses_and_doubles_nothing(run: Plugged) -> None:
    with run.cloud.faults.hang():
        ids = [run.console.create_alert()["id"] for _ in range(6)]
        story(run, ids[0])
        run.alerta.kill()
    run.alerta.start()
    run.console.create_alert()
    assert Counter(run.upstream(alert_id).count for alert_id in ids) == {1: len(ids)}
    assert run.upstream(ids[0]).notes == ["one", "two", "three"]


def test_another_worker_sends_after_the_sender_was_killed(run: Plugged) -> None:
    def senders() -> list[str]:
        return [line for line in run.log().splitlines() if "sends what is in" in line]

    before = len(senders())
    run.alerta.restart()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run.console.create_alert(), range(16)))
    run.settle()
    [sender] = senders()[before:]  # one of the workers sends
    os.kill(int(sender.split("process ")[1].split()[0].rpartition(":")[2]), signal.SIGKILL)
    alert_id = run.console.create_alert()["id"]
    assert run.upstream(alert_id).count == 1
    assert wait_until(lambda: len(senders()) == before + 2)


def test_a_stop_with_requests_in_flight_loses_and_doubles_nothing(run: Plugged) -> None:
    with run.cloud.faults.delay(0.3):
        ids = [run.console.create_alert()["id"] for _ in range(12)]
        run.console.note(ids[0], "once")
        start = time.monotonic()
        run.alerta.stop()
        assert time.monotonic() - start < 25  # gunicorn kills its workers after 30 seconds
    run.alerta.start()
    run.console.create_alert()
    assert [run.upstream(alert_id).count for alert_id in ids] == [1] * len(ids)
    assert run.upstream(ids[0]).notes == ["once"]


def test_requests_are_sent_from_memory_if_the_outbox_cannot_be_used(alerta: AlertaServer, tmp_path: Path) -> None:
    """Neither the configured directory nor the temporary one can be used."""
    (tmp_path / "spool").write_text("not a directory")
    (tmp_path / f"alerta-opsgenie-plugin-{os.getuid()}").write_text("not a directory")
    env, settings = {"TMPDIR": str(tmp_path)}, {"OPSGENIE_OUTBOX": "disk"}
    with plugged(alerta.postgres, tmp_path, workers=1, settings=settings, env=env) as run:
        alert_id = run.console.create_alert()["id"]
        run.console.action(alert_id, "ack")
        assert wait_until(lambda: (found := run.cloud.alert(alert_id)) and found.acknowledged)
        assert "requests wait in memory" in run.log()
        (tmp_path / "spool").unlink()
        second = run.console.create_alert()["id"]
        assert run.upstream(second).count == 1
        assert "can be used again" in run.log()
        shutil.rmtree(tmp_path / "spool", ignore_errors=True)
