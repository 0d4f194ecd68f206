"""Polling one queue: within the limit in flight, with pauses after errors, and deletions in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from alerta_opsgenie.connector import poller as module
from alerta_opsgenie.connector.handler import MOST_BYTES, InFlightMessages
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.poller import Poller
from alerta_opsgenie.connector.threads import Threads
from alerta_opsgenie.connector.transport import Receipt, Received, TransportError
from tests.connector.rig import wait_until


def received(number: int, body: str = "b") -> Received:
    return Received(Receipt(f"m{number}", f"h{number}"), body, {}, 1, 0.0, 0.0)


class FakeQueue:
    """Returns the messages of `to_give`; raises the errors of `failures`."""

    name = "q"

    def __init__(self) -> None:
        self.to_give: list[list[Received]] = []
        self.failures: list[TransportError] = []
        self.refuse: Callable[[Sequence[Receipt]], list[Receipt]] = lambda _receipts: []
        self.deletions: list[list[Receipt]] = []
        self.extended: list[tuple[Receipt, int]] = []
        self.polls: list[tuple[int, int]] = []
        self.more = threading.Event()

    def receive(self, most: int, wait_seconds: int) -> list[Received]:
        self.polls.append((most, wait_seconds))
        if self.failures:
            raise self.failures.pop(0)
        if not self.to_give:
            self.more.wait(0.02)
        return self.to_give.pop(0) if self.to_give else []

    def delete(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        self.deletions.append(list(receipts))
        return self.refuse(receipts)

    def extend(self, receipt: Receipt, seconds: int) -> None:
        self.extended.append((receipt, seconds))


class FakeHandler:
    """Finishes messages at once, or raises an error."""

    def __init__(self) -> None:
        self.in_flight = InFlightMessages(48)
        self.taken: list[Received] = []
        self.fails = False

    def take(self, source: Any, messages: Sequence[Received]) -> None:
        if self.fails:
            raise RuntimeError("a fault")
        self.taken += messages
        for one in messages:
            source.finish(one.receipt)


class Run:
    def __init__(self) -> None:
        self.queue, self.handler, self.stale = FakeQueue(), FakeHandler(), 0
        self.threads = Threads()
        self.poller = Poller(self.queue, self.handler, self._refresh, Metrics(), self.threads)  # type: ignore[arg-type]

    def _refresh(self) -> None:
        self.stale += 1

    @property
    def deleted(self) -> list[Receipt]:
        return [receipt for batch in self.queue.deletions for receipt in batch]

    @contextmanager
    def running(self) -> Iterator[None]:
        self.poller.start()
        yield
        self.poller.stop()
        self.handler.in_flight.close()
        self.poller.flush(10)
        assert not self.threads.failed


@pytest.fixture
def run() -> Run:
    return Run()


def test_what_is_done_is_deleted_in_batches_of_ten(run: Run) -> None:
    run.queue.to_give = [[received(number) for number in range(start, start + 10)] for start in (0, 10)]
    with run.running():
        wait_until(lambda: len(run.deleted) == 20)
    assert max(map(len, run.queue.deletions)) == 10
    assert len(set(run.deleted)) == 20


def test_a_deletion_that_fails_is_tried_again(run: Run) -> None:
    run.queue.refuse = lambda receipts: list(receipts) if len(run.queue.deletions) < 3 else []
    run.queue.to_give = [[received(1)]]
    with run.running():
        wait_until(lambda: len(run.queue.deletions) >= 3)
    assert run.poller.undeleted == 0


def test_of_one_message_the_newest_receipt_is_deleted_and_a_stale_one_is_dropped(run: Run) -> None:
    """A message came again before its deletion worked: only its newest receipt is good."""
    again = Received(Receipt("m1", "newest"), "b", {}, 2, 0.0, 0.0)
    run.poller.finish(received(1).receipt)
    run.poller.finish(again.receipt)
    with run.running():
        wait_until(lambda: bool(run.deleted))
    assert run.deleted == [Receipt("m1", "newest")]


def test_the_number_of_waiting_deletions_is_limited(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_UNDELETED", 5)
    for number in range(8):
        run.poller.finish(received(number).receipt)
    assert run.poller.undeleted == 5


def test_an_error_of_the_queue_is_logged_once_and_the_poll_repeated(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.queue.failures = [TransportError("the queue q refuses: X", stale=True) for _ in range(3)]
    with run.running():
        wait_until(lambda: bool(run.poller.polled_at))
    assert run.stale == 3
    assert [record.getMessage() for record in caplog.records].count("the queue q refuses: X") == 1
    assert run.poller.failure == ""


def test_after_a_fault_of_this_program_messages_stay_and_polling_continues(run: Run) -> None:
    run.handler.fails = True
    run.queue.to_give = [[received(1)]]
    with run.running():
        wait_until(lambda: not run.queue.to_give)
        run.handler.fails = False
        run.queue.to_give = [[received(2)]]
        wait_until(lambda: bool(run.deleted))
    assert run.deleted == [Receipt("m2", "h2")]


def test_messages_of_a_poll_after_the_stop_are_made_visible(run: Run) -> None:
    run.poller._stopping.set()
    run.queue.to_give = [[received(1)]]
    run.poller._poll(10)
    assert run.handler.taken == []
    assert run.queue.extended == [(Receipt("m1", "h1"), 0)]


def test_closing_the_limit_ends_the_polls(run: Run) -> None:
    run.handler.in_flight.close()
    run.poller.start()
    wait_until(lambda: not run.poller.is_polling())
    assert run.queue.polls == []
    run.poller.flush(10)


def test_after_a_large_message_few_are_requested(run: Run) -> None:
    run.handler.in_flight.add(MOST_BYTES * 2 // 5)
    with run.running():
        wait_until(lambda: bool(run.queue.polls))
    assert run.queue.polls[0][0] == 1


def test_a_long_poll_is_made_only_after_a_response(run: Run) -> None:
    run.poller._poll(10)
    run.poller._poll(10)
    assert [seconds for _, seconds in run.queue.polls] == [1, 20]


def test_a_thread_that_fails_is_named_and_on_failure_is_called() -> None:
    ended = threading.Event()
    threads = Threads(ended.set)
    threads.start("broken", lambda: print(1 / 0))
    assert ended.wait(20)
    assert threads.stuck() == ["broken"]


def test_an_overdue_thread_is_named_until_it_is_not_watched() -> None:
    threads = Threads()
    threads.report_alive("slow", -1.0)
    assert threads.stuck() == ["slow"]
    threads.stop_watching("slow")
    assert threads.stuck() == []
