"""From a message to its end: what is on disk at each step, what is tried again, and what is left to whom."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.core.message import Message, essence, parse
from alerta_opsgenie.core.outcome import Kind, Reason
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.executor.delivery import PATIENCE_SECONDS, Courier, Delivery
from alerta_opsgenie.journal import Entry, Spool
from alerta_opsgenie.lanes import Desk, Job, Lane
from tests.support.bad_server import BadServer
from tests.support.proxy import Proxy
from tests.support.stories import action

LIMIT_SECONDS = 1.0


@dataclass
class Place:
    """A courier with a spool, before a server that says ok to everything, behind a proxy that can be bad."""

    directory: Path
    proxy: Proxy
    said: list[str] = field(default_factory=list)

    @property
    def courier(self) -> Courier:
        """A new one each time, as each action has a process of its own."""
        return Courier(AlertaClient(self.proxy.url, "key"), Settings(), str(self.directory), self.said.append)

    @property
    def desk(self) -> Desk:
        return Desk(str(self.directory))

    def deliver(self, message: Message, limit_seconds: float = LIMIT_SECONDS) -> Delivery:
        return self.courier.deliver(message, time.monotonic() + limit_seconds)

    def entries(self) -> list[Entry]:
        with Spool(self.directory) as spool:
            return list(spool.entries())

    def taken(self) -> list[str]:
        return [path.name for path in (self.directory / "taken").iterdir()]

    def lane(self, alert_id: str) -> Lane:
        lane = self.desk.lane(alert_id)
        lane.read()
        return lane


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with BadServer("ok") as server, Proxy(server.url) as proxy:
        yield Place(tmp_path / "spool", proxy)


@pytest.fixture
def alert_id() -> str:
    return str(uuid.uuid4())


def message(name: str, alert_id: str, **fields: Any) -> Message:
    return parse(json.dumps(action(name, alert_id, **fields)))


def job_of(of: Message, alert_id: str) -> Job:
    return Job(of.key, alert_id, of.updated_ns, of.action, essence(of), time.time() - 1)


class TestSteps:
    def test_what_the_gates_stop_touches_no_disk(self, place: Place) -> None:
        delivery = place.deliver(parse('{"action": "Close", "alert": {"alias": "x", "source": "Elsewhere"}}'))
        assert (delivery.outcome.kind, delivery.outcome.reason) == (Kind.IGNORED, Reason.FOREIGN)
        assert not place.directory.exists()

    def test_an_action_is_written_down_while_it_is_tried_and_no_longer(self, place: Place, alert_id: str) -> None:
        with place.proxy.delaying(30) as fault:
            thread = threading.Thread(target=lambda: place.deliver(message("Close", alert_id), 20))
            thread.start()
            fault.wait_hit()
            [name] = place.taken()
            assert name.startswith(f"{alert_id}.{os.getpid()}.")
            with place.desk.lane(alert_id).locked(0.0) as held:
                assert not held, "its lane is held"
        thread.join()
        assert place.taken() == []
        assert place.lane(alert_id).newest_ns

    def test_a_delivered_one_leaves_its_key_in_the_lane_and_no_spool(self, place: Place, alert_id: str) -> None:
        close = message("Close", alert_id)
        assert place.deliver(close).outcome.kind is Kind.APPLIED
        assert place.lane(alert_id).remembers(close.key)
        again = place.deliver(close)
        assert (again.outcome.reason, again.calls) == (Reason.REDELIVERED, 0)
        assert not (place.directory / "spool.db").exists()

    def test_one_that_is_kept_is_in_the_spool_with_its_reason_and_nowhere_else(
        self, place: Place, alert_id: str
    ) -> None:
        before = time.time()
        with place.proxy.answering(503):
            delivery = place.deliver(message("Close", alert_id))
        assert delivery.kept
        assert (delivery.waiting, delivery.left_in, delivery.trouble) == (1, "", "")
        [entry] = place.entries()
        assert (entry.kind, entry.lane, entry.reason) == ("Close", alert_id, "unavailable")
        assert entry.attempted_at is not None
        assert before <= entry.attempted_at <= time.time()
        assert place.taken() == []
        assert place.desk.something_waits
        assert place.lane(alert_id).waits

    def test_the_essence_alone_is_kept(self, place: Place, alert_id: str) -> None:
        whole = action("AddNote", alert_id, note="n", details={"password": "p"})
        with place.proxy.answering(503):
            place.deliver(parse(json.dumps({**whole, "headers": {"Authorization": "h"}})))
        [entry] = place.entries()
        assert json.loads(entry.body) == json.loads(essence(parse(json.dumps(whole))))
        assert "password" not in entry.body


class TestRetries:
    def test_what_may_pass_is_tried_again_after_a_look_at_what_the_first_try_did(
        self, place: Place, alert_id: str
    ) -> None:
        with place.proxy.answering(503, times=1):
            delivery = place.deliver(message("Close", alert_id))
        # The server says ok and has no alert in its answer: nothing of ours is there yet.
        assert [exchange.method for exchange in place.proxy.exchanges] == ["PUT", "GET", "PUT"]
        assert delivery.outcome.kind is Kind.APPLIED
        assert len(place.said) == 1
        assert "Alerta answered HTTP 503: the proxy says so; again in 0." in place.said[0]

    @pytest.mark.parametrize("status", [401, 403, 302, 404])
    def test_what_a_person_has_to_mend_is_not_tried_again(self, place: Place, alert_id: str, status: int) -> None:
        with place.proxy.answering(status):
            delivery = place.deliver(message("Close", alert_id))
        assert len(place.proxy.exchanges) == 1
        assert delivery.outcome.loud
        assert delivery.kept

    def test_a_retry_after_is_obeyed_or_else_left_to_the_drainer(self, place: Place, alert_id: str) -> None:
        began = time.monotonic()
        with place.proxy.answering(429, {"Retry-After": "30"}):
            delivery = place.deliver(message("Close", alert_id), 20)
        assert time.monotonic() - began < 4
        assert len(place.proxy.exchanges) == 1
        assert (delivery.outcome.reason, delivery.outcome.retry_after_seconds) == (Reason.THROTTLED, 30)

    def test_it_gives_up_in_time_to_keep_the_action(self, place: Place, alert_id: str) -> None:
        began = time.monotonic()
        with place.proxy.hanging():
            delivery = place.deliver(message("Close", alert_id))
        assert time.monotonic() - began < LIMIT_SECONDS + 4
        assert delivery.outcome.reason is Reason.TIMEOUT
        assert delivery.kept

    def test_a_worker_of_the_connector_is_not_held_up_for_the_whole_limit(self, place: Place, alert_id: str) -> None:
        assert PATIENCE_SECONDS < 10
        began = time.monotonic()
        with place.proxy.answering(503):
            assert place.deliver(message("Close", alert_id), 60).kept
        assert time.monotonic() - began < PATIENCE_SECONDS + 20


class TestOrder:
    def test_it_goes_behind_what_waits_without_a_try(self, place: Place, alert_id: str) -> None:
        with place.proxy.answering(503):
            place.deliver(message("Acknowledge", alert_id), 0.3)
        tried = len(place.proxy.exchanges)
        delivery = place.deliver(message("Close", alert_id))
        assert (delivery.outcome.reason, delivery.calls, delivery.waiting) == (Reason.BEHIND, 0, 2)
        assert len(place.proxy.exchanges) == tried
        assert [entry.kind for entry in place.entries()] == ["Acknowledge", "Close"]
        assert place.entries()[1].attempted_at is None

    def test_a_busy_lane_is_waited_for_and_then_left_to_the_drainer(self, place: Place, alert_id: str) -> None:
        place.desk.prepare()
        with place.desk.lane(alert_id).locked(0.0):
            delivery = place.deliver(message("Close", alert_id), 0.3)
        assert (delivery.outcome.reason, delivery.calls, delivery.kept) == (Reason.BEHIND, 0, True)

    def test_what_a_killed_process_had_under_way_goes_first(self, place: Place, alert_id: str) -> None:
        place.desk.prepare()
        killed = message("Acknowledge", alert_id)
        place.desk.take(job_of(killed, alert_id)).leave()
        delivery = place.deliver(message("Close", alert_id))
        assert (delivery.outcome.reason, delivery.calls) == (Reason.BEHIND, 0)
        assert [(entry.kind, entry.attempted_at is None) for entry in place.entries()] == [
            ("Acknowledge", False),
            ("Close", True),
        ]

    def test_the_same_message_again_does_not_go_past_its_killed_twin(self, place: Place, alert_id: str) -> None:
        place.desk.prepare()
        note = message("AddNote", alert_id, note="once")
        place.desk.take(job_of(note, alert_id)).leave()
        assert place.deliver(note).kept
        [entry] = place.entries()
        assert entry.attempted_at is not None, "the next try has to look whether it is there"
        assert place.proxy.exchanges == []

    def test_another_alerts_orphan_is_no_reason_to_wait(self, place: Place, alert_id: str) -> None:
        place.desk.prepare()
        other = str(uuid.uuid4())
        place.desk.take(job_of(message("Acknowledge", other), other)).leave()
        assert place.deliver(message("Close", alert_id)).outcome.kind is Kind.APPLIED

    def test_an_older_one_is_stale_once_a_newer_one_was_tried(self, place: Place, alert_id: str) -> None:
        now_ns = time.time_ns()
        place.desk.prepare()
        lane = place.desk.lane(alert_id)
        with place.proxy.answering(503), lane.locked(0.0):
            newer = message("Close", alert_id, at_ns=now_ns)
            outcome = place.courier.attempt(newer, lane, None, time.monotonic() + 1)
            assert outcome.kind is Kind.KEPT
        delivery = place.deliver(message("Acknowledge", alert_id, at_ns=now_ns - 1))
        assert delivery.outcome.reason is Reason.STALE
        assert place.deliver(newer).outcome.kind is Kind.APPLIED

    def test_a_newer_one_that_was_rejected_makes_nothing_stale(self, place: Place, alert_id: str) -> None:
        now_ns = time.time_ns()
        rejected = place.deliver(message("Snooze", alert_id, at_ns=now_ns))
        assert rejected.outcome.reason is Reason.BAD_MESSAGE
        assert place.deliver(message("Acknowledge", alert_id, at_ns=now_ns - 1)).outcome.kind is Kind.APPLIED


class TestTrouble:
    def test_a_lane_that_cannot_remember_is_told_and_the_action_not_done_again(
        self, place: Place, alert_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Lane, "_append", full)
        delivery = place.deliver(message("AddNote", alert_id, note="once"))
        assert delivery.outcome.kind is Kind.APPLIED
        assert [exchange.method for exchange in place.proxy.exchanges] == ["PUT"]
        assert delivery.trouble == f"{place.directory} (No space left on device): make room on its file system"

    def test_without_a_directory_it_is_delivered_all_the_same(self, place: Place, alert_id: str) -> None:
        place.directory.write_text("")
        delivery = place.deliver(message("Close", alert_id))
        assert delivery.outcome.kind is Kind.APPLIED
        assert "cannot be used (Not a directory)" in delivery.trouble

    def test_without_a_directory_what_cannot_be_delivered_is_not_kept(self, place: Place, alert_id: str) -> None:
        place.directory.write_text("")
        with place.proxy.answering(503):
            delivery = place.deliver(message("Close", alert_id), 0.3)
        assert not delivery.kept
        assert "is not a directory" in delivery.trouble

    def test_without_a_spool_it_stays_where_it_was_written_down(self, place: Place, alert_id: str) -> None:
        place.desk.prepare()
        (place.directory / "spool.db").mkdir()
        with place.proxy.answering(503):
            delivery = place.deliver(message("Close", alert_id), 0.3)
        assert (delivery.kept, delivery.waiting) == (True, 0)
        assert place.desk.has_orphans(alert_id)
        assert [Path(delivery.left_in).name] == place.taken()
