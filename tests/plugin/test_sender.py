"""The outbox and the sender without Alerta: durable, in order for each alert, one sender for each spool."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alerta_opsgenie.clients.opsgenie import Delivery, Reason, Verdict
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.publish import Deed, Dialect, Dispatch, Policy, Request, publish
from alerta_opsgenie.core.wording import Past, Subject
from alerta_opsgenie.journal import Spool
from alerta_opsgenie.plugin.keys import Key
from alerta_opsgenie.plugin.outbox import Outbox, Parcel, read_parcel
from alerta_opsgenie.plugin.sender import Sender
from alerta_opsgenie.plugin.settings import Settings
from alerta_opsgenie.plugin.traffic import Traffic
from tests.support.cloud import Running, running_cloud
from tests.support.plugin import wait_until


@pytest.fixture
def run() -> Iterator[Running]:
    with running_cloud() as run:
        yield run


class Desk:
    """An outbox and a sender over the stand-in."""

    def __init__(self, run: Running, directory: Path, *, confirm: bool = True, timeout_seconds: float = 1.0) -> None:
        self.reports: list[tuple[str, str]] = []
        self.settings = Settings(
            policy=Policy(), url=run.server.base_url, key=Key(run.key.key), spool_directory=str(directory),
            timeout_seconds=timeout_seconds, confirm=confirm, proxies={},
        )  # fmt: skip
        self.outbox = Outbox(str(directory))
        self.sender = Sender(self.outbox, self.settings, lambda alert, text: self.reports.append((alert, text)))

    def tell(self, alert_id: str, *events: Event, text: str = "") -> None:
        history = (Past("new", "open", "major", alert_id),)
        subject = Subject(alert_id, resource="r", event="e", severity="major", history=history)
        self.outbox.put(publish(subject, [Deed(event, "alice", text, time.time() + 60) for event in events], Policy()),
                        alert_id)  # fmt: skip


@contextmanager
def sending(desk: Desk) -> Iterator[Desk]:
    desk.sender.start()
    try:
        yield desk
    finally:
        desk.sender.stop()


def emptied(directory: Path) -> Callable[[], bool]:
    def look() -> bool:
        with Spool(directory) as spool:
            return spool.counts(time.time()).waiting == 0

    return look


def test_a_parcel_comes_back_as_it_was_and_names_no_key() -> None:
    request = Request("note", "POST", "/v2/alerts/a/notes?identifierType=alias", {"note": "\N{PILE OF POO} \u00e4"})
    parcel = Parcel("k", "a", 7, "default", request)
    assert read_parcel("k", "a", 7, parcel.to_text()) == parcel
    assert set(json.loads(parcel.to_text())) == {"v", "route", "operation", "method", "path", "body"}


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"route": "r"}'])
def test_what_is_no_parcel_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which one it is says json or we
        read_parcel("k", "a", 7, text)


def test_what_is_put_is_on_the_disk_before_anybody_sends(run: Running, tmp_path: Path) -> None:
    Desk(run, tmp_path).tell("a", Event.RAISED, Event.ACKED)
    with Spool(tmp_path) as spool:
        assert [entry.kind for entry in spool.entries()] == ["create", "acknowledge"]


def test_all_of_it_arrives_in_order_for_each_alert(run: Running, tmp_path: Path) -> None:
    desk = Desk(run, tmp_path)
    ids = [f"alert-{number}" for number in range(12)]
    with sending(desk):
        for alert_id in ids:
            desk.tell(alert_id, Event.RAISED)
        for alert_id in ids:
            for number in range(3):
                desk.tell(alert_id, Event.NOTED, text=str(number))
        assert wait_until(emptied(tmp_path))
    for alert_id in ids:
        upstream = run.cloud.alert(alert_id)
        assert upstream is not None
        assert upstream.notes == ["0", "1", "2"]


def test_of_several_processes_one_sends_and_another_takes_over(run: Running, tmp_path: Path) -> None:
    """The role is a lock that ends with its process, however that ends."""
    code = (
        "import sys, time\n"
        "from alerta_opsgenie.plugin.outbox import Outbox\n"
        "from alerta_opsgenie.plugin.sender import Sender\n"
        "from alerta_opsgenie.plugin.settings import read_settings\n"
        "settings = read_settings({'OPSGENIE_SERVICE_KEY': sys.argv[1], 'OPSGENIE_URL': sys.argv[2],"
        " 'OPSGENIE_SPOOL_DIR': sys.argv[3]}, {})\n"
        "Sender(Outbox(sys.argv[3]), settings, print).start()\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, run.key.key, run.server.base_url, str(tmp_path)]
    first = subprocess.Popen(command)
    desk = Desk(run, tmp_path)
    try:
        desk.tell("a", Event.RAISED)
        assert wait_until(lambda: run.cloud.alert("a"))
        with sending(desk):
            os.kill(first.pid, signal.SIGKILL)
            desk.tell("b", Event.RAISED)
            assert wait_until(lambda: run.cloud.alert("b"))
    finally:
        first.kill()
        first.wait()


def test_an_entry_that_cannot_be_read_holds_up_nothing(run: Running, tmp_path: Path) -> None:
    desk = Desk(run, tmp_path)
    with Spool(tmp_path) as spool:
        spool.keep("k", "a", 1, "nonsense", now=time.time(), kind="?")
    with sending(desk):
        desk.tell("a", Event.RAISED)
        assert wait_until(lambda: run.cloud.alert("a"))
    with Spool(tmp_path) as spool:
        assert [entry.reason for entry in spool.entries("dead")] == ["unreadable"]


def test_a_stop_waits_for_what_is_on_its_way(run: Running, tmp_path: Path) -> None:
    desk = Desk(run, tmp_path, timeout_seconds=5)
    with run.cloud.faults.delay(0.5):
        desk.sender.start()
        desk.tell("a", Event.RAISED)
        assert wait_until(lambda: run.cloud.faults.take("/_") is not None or threading.active_count() > 4)
        time.sleep(0.2)
        desk.sender.stop()
    assert emptied(tmp_path)()
    assert run.cloud.alert("a") is not None


def test_a_failed_action_is_reported_after_it_was_repeated(run: Running, tmp_path: Path) -> None:
    desk = Desk(run, tmp_path)
    with sending(desk):
        desk.tell("unknown", Event.ACKED)
        assert wait_until(lambda: desk.reports)
    assert desk.reports == [("unknown", "Opsgenie did not do this (acknowledge): Alert does not exist")]
    posts = [seen for seen in run.cloud.records.requests if seen.method == "POST"]
    assert len(posts) == 3


def test_a_close_of_what_is_not_there_is_no_failure(run: Running, tmp_path: Path) -> None:
    desk = Desk(run, tmp_path)
    with sending(desk):
        desk.tell("unknown", Event.CLOSED)
        assert wait_until(lambda: sum(seen.method == "GET" for seen in run.cloud.records.requests) >= 3)
    assert desk.reports == []


def test_without_confirmation_no_request_is_looked_up(run: Running, tmp_path: Path) -> None:
    desk = Desk(run, tmp_path, confirm=False)
    with sending(desk):
        desk.tell("a", Event.RAISED, Event.ACKED, Event.CLOSED)
        assert wait_until(emptied(tmp_path))
        time.sleep(1.3)
    assert [seen.method for seen in run.cloud.records.requests] == ["POST"] * 3


def test_a_key_that_is_paused_does_not_hold_up_another(run: Running, tmp_path: Path) -> None:
    other = run.cloud.add_api("other")
    desk = Desk(run, tmp_path)
    bad = Settings(**{**desk.settings.__dict__, "keys": {"good": Key(other.key)}, "key": Key("0" * 36)})
    desk.sender = Sender(desk.outbox, bad, lambda *_: None)
    request = Request("create", "POST", "/v2/alerts", {"message": "m", "alias": "stuck"})
    with sending(desk):
        for number in range(6):
            desk.outbox.put(Dispatch("default", (request,)), f"stuck-{number}")
        good = request._replace(body={"message": "m", "alias": "good"})
        desk.outbox.put(Dispatch("good", (good,)), "good")
        assert wait_until(lambda: run.cloud.alert("good"))
    assert run.cloud.alert("stuck") is None
    with Spool(tmp_path) as spool:
        assert spool.counts(time.time()).waiting == 6


# -- Traffic


def delivery(reason: Reason, verdict: Verdict = Verdict.LATER, **more: object) -> Delivery:
    return Delivery(verdict, reason, **more)  # type: ignore[arg-type]


def test_no_answer_pauses_the_address_and_an_answer_ends_the_growth() -> None:
    traffic = Traffic()
    pauses, now = [], 100.0
    for _ in range(12):
        traffic.note("r", delivery(Reason.TIMEOUT), now)
        pauses.append(traffic.wait_seconds("other", now))
        now += pauses[-1]
    assert 0.05 <= pauses[0] <= 0.2
    assert pauses[-1] <= 15.0
    assert pauses[-1] > pauses[0]
    traffic.note("r", delivery(Reason.UNAVAILABLE), now)
    traffic.note("r", delivery(Reason.NETWORK), now)
    assert traffic.wait_seconds("other", now) <= 0.2


def test_answers_that_come_together_pause_the_address_once() -> None:
    traffic = Traffic()
    for _ in range(8):
        traffic.note("r", delivery(Reason.NETWORK), 100.0)
    assert traffic.wait_seconds("r", 100.0) <= 0.2


def test_a_refused_key_pauses_alone() -> None:
    traffic = Traffic()
    traffic.note("bad", delivery(Reason.UNAUTHORIZED, Verdict.STUCK), 0.0)
    assert traffic.wait_seconds("bad", 0.0) > 0
    assert traffic.wait_seconds("good", 0.0) == 0
    assert Dialect.OPSGENIE.value == "opsgenie"
