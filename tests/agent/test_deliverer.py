"""The deliverer in one process: races, lock, retries, and faults."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.agent.attempts import Attempts
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.executor_output import result_fields
from alerta_opsgenie.agent.intake import Report, Request
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.resident import Log
from alerta_opsgenie.agent.state import journal_of, target_name
from alerta_opsgenie.agent.target import Target, access_of
from alerta_opsgenie.agent.ticket import BEHIND, UNTRIED, Result, Ticket, WaitingTickets
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.task import Call
from alerta_opsgenie.journal import Action, Journal, JournalError, New
from tests.support.answers import NOTED, line, seen
from tests.support.bad_server import BadServer
from tests.support.executor import await_true
from tests.support.proxy import Proxy
from tests.support.scenarios import action

KEY = "a-key-of-forty-characters-or-there-abou"
DAY_SECONDS = 86_400.0


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that answers ok to every request."""
    with BadServer("ok") as server, Proxy(server.url) as made:
        yield made


@pytest.fixture
def options(tmp_path: Path, proxy: Proxy) -> Options:
    return Options(proxy.url, KEY, spool_directory=str(tmp_path / "state"))


@pytest.fixture
def make(options: Options) -> Iterator[Callable[..., Deliverer]]:
    """Make deliverers that end with the test."""
    made: list[Deliverer] = []

    def make_one(**more: Any) -> Deliverer:
        made.append(Deliverer(options.spool_directory, **more))
        return made[-1]

    yield make_one
    for one in made:
        one.stop(0.2)


@pytest.fixture
def deliverer(make: Callable[..., Deliverer]) -> Deliverer:
    made = make()
    assert made.start()
    return made


def request(options: Options, name: str = "Close", alert: str = "", **more: Any) -> Request:
    return Request(json.dumps(action(name, alert or str(uuid.uuid4()), **more)), options)


def deliver(deliverer: Deliverer, one: Request) -> Outcome:
    return deliverer.submit([one])[0].wait(20.0).outcome


def append_elsewhere(deliverer: Deliverer, options: Options, seconds_ago: float = 0.0) -> None:
    """Append an action to the journal as another process does."""
    new = deliverer.read(request(options))[1]
    assert new is not None
    with contextlib.closing(journal_of(options.spool_directory, target_name(options.alerta_url))) as journal:
        journal.append([new], time.time() - seconds_ago)


def rows(options: Options) -> list[Action]:
    with contextlib.closing(journal_of(options.spool_directory, target_name(options.alerta_url))) as journal:
        return list(journal.actions())


def is_done(options: Options) -> bool:
    return all(row.state == "done" for row in rows(options))


class TestTickets:
    def test_an_action_that_ends_before_its_append_returns_has_its_outcome(
        self, deliverer: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        append = Journal.append

        def slow(journal: Journal, actions: list[New], now: float, **_: Any) -> list[Action]:
            found = append(journal, actions, now)
            await_true(lambda: all(journal.get(one.id).state == "done" for one in found), 20)  # type: ignore[union-attr]
            return found

        deliver(deliverer, request(options))
        monkeypatch.setattr(Journal, "append", slow)
        assert deliver(deliverer, request(options)).kind is Kind.APPLIED

    def test_no_ticket_reports_an_action_as_kept_before_it_is_committed(self) -> None:
        waiting, ticket = WaitingTickets(), Ticket()
        waiting.add(New("key", "alert", 1, "Close", ""), ticket)
        waiting.resolve_untried(BEHIND, alert="alert")
        assert ticket.wait(0.0).outcome.detail == "other actions are in flight"


class TestLock:
    def test_without_it_actions_in_flight_are_not_touched(
        self, make: Callable[..., Deliverer], deliverer: Deliverer, options: Options, proxy: Proxy
    ) -> None:
        with proxy.hanging() as fault:
            deliverer.submit([request(options)])
            fault.wait_hit()
            make().read(Request("no JSON", options))
            assert sorted(row.state for row in rows(options)) == ["dead", "in-flight"]


    def test_without_it_an_action_is_appended_and_not_waited_for(
        self, make: Callable[..., Deliverer], deliverer: Deliverer, options: Options
    ) -> None:
        other = make()
        result = other.submit([request(options)])[0].wait(20.0)
        assert (result.outcome.kind, result.kept) == (Kind.KEPT, True)
        assert not other._queues[target_name(options.alerta_url)]._tickets._by_key
        deliverer.wake(options)
        await_true(lambda: is_done(options), 20)


class TestFirstAttemptTime:
    """The start of an attempt is committed before its request: it may take effect without a response."""

    def assert_marked(self, options: Options, count: int) -> None:
        found = [row for row in rows(options) if row.state == "in-flight"]
        assert len(found) == count
        assert all(row.first_attempt_at for row in found)

    def test_of_an_action_that_is_tried_at_once(self, deliverer: Deliverer, options: Options, proxy: Proxy) -> None:
        with proxy.hanging() as fault:
            deliverer.submit([request(options)])
            fault.wait_hit()
            self.assert_marked(options, 1)

    def test_of_an_action_that_waited(self, deliverer: Deliverer, options: Options, proxy: Proxy) -> None:
        deliver(deliverer, request(options))
        with proxy.hanging() as fault:
            append_elsewhere(deliverer, options)
            fault.wait_hit()
            self.assert_marked(options, 1)

    def test_of_the_next_action_of_an_alert(self, deliverer: Deliverer, options: Options, proxy: Proxy) -> None:
        alert = str(uuid.uuid4())
        with contextlib.ExitStack() as first, proxy.hanging() as second:
            held = first.enter_context(proxy.delaying(60.0, times=1))
            deliverer.submit([request(options, "AddTags", alert, addedTags="a")])
            held.wait_hit()
            deliverer.submit([request(options, "RemoveTags", alert, removedTags="b")])
            first.close()
            second.wait_hit()
            self.assert_marked(options, 1)

    def test_the_next_deliverer_looks_before_it_does_it_again(
        self, make: Callable[..., Deliverer], deliverer: Deliverer, options: Options, proxy: Proxy
    ) -> None:
        with proxy.hanging() as fault:
            deliverer.submit([request(options)])
            fault.wait_hit()
            deliverer.stop(0.0)
        after = make()
        assert after.start()
        after.wake(options)
        await_true(lambda: is_done(options), 20)
        assert next(entry.method for entry in proxy.exchanges if entry.passed) == "GET"


class LateAlerta:
    """An Alerta that accepts the first note without a response, and writes it during `LANDING_SECONDS`."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.pending: list[str] = []

    def send(self, call: Call, _deadline: float) -> Answer:
        if call.method == "GET":
            return seen("open", *(line(text, time.time(), kind="note") for text in self.notes))
        text = json.loads(json.dumps(call.body))["text"]
        if not self.notes and not self.pending:
            self.pending.append(text)
            raise UnreachableError("no answer in time", timed_out=True)
        self.notes.append(text)
        return NOTED

    def close(self) -> None:
        """Nothing to close."""


class Landing(threading.Event):
    """The deliverer's `stopping` event, whose `wait` is its pauses. Writes the note in that of `LANDING_SECONDS`."""

    def __init__(self, alerta: LateAlerta) -> None:
        super().__init__()
        self._alerta = alerta

    def wait(self, timeout: float | None = None) -> bool:
        if timeout == delivery.LANDING_SECONDS:
            self._alerta.notes += self._alerta.pending
            self._alerta.pending = []
        return self.is_set()


def test_an_earlier_attempt_may_take_effect_before_a_note_is_repeated(
    make: Callable[..., Deliverer], options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerta, deliverer = LateAlerta(), make()
    monkeypatch.setattr("alerta_opsgenie.agent.target.AlertaClient", lambda *_, **__: alerta)
    deliverer._context = deliverer._context._replace(stopping=Landing(alerta))
    assert deliverer.start()
    deliverer.submit([request(options, "AddNote", note="looked at")])
    await_true(lambda: bool(rows(options)) and is_done(options), 20)
    assert len(alerta.notes) + len(alerta.pending) == 1


def test_an_attempt_that_began_in_the_future_was_before_the_clock_was_set_back(
    deliverer: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerta = LateAlerta()
    monkeypatch.setattr("alerta_opsgenie.agent.target.AlertaClient", lambda *_, **__: alerta)
    note = request(options, "AddNote", note="looked at")
    message, new = deliverer.read(note)[0].message, deliverer.read(note)[1]
    assert message is not None
    assert new is not None
    attempts, target = Attempts(Landing(alerta)), Target(options.spool_directory, target_name(options.alerta_url))
    target.add_access(access_of(options))
    target.journal.append([new._replace(first_attempt_at=time.time() + DAY_SECONDS)], time.time())
    [row] = target.journal.actions()
    attempts._try(target, message, note.options.settings, delivery.PriorAttempts())
    alerta.notes, alerta.pending = alerta.pending, []
    _, outcome = attempts.try_row(target, row)
    target.journal.close()
    assert (outcome.reason, len(alerta.notes)) == (Reason.REDELIVERED, 1)


def test_a_pause_that_is_ended_early_is_not_followed_by_a_second_note(
    deliverer: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerta, stopping = LateAlerta(), threading.Event()
    monkeypatch.setattr("alerta_opsgenie.agent.target.AlertaClient", lambda *_, **__: alerta)
    note = request(options, "AddNote", note="looked at")
    message = deliverer.read(note)[0].message
    assert message is not None
    target = Target(options.spool_directory, target_name(options.alerta_url))
    target.add_access(access_of(options))
    stopping.set()
    earlier = delivery.PriorAttempts(first_attempt_at=time.time())
    outcome = Attempts(stopping)._try(target, message, note.options.settings, earlier)
    assert (outcome.kind, outcome.reason, alerta.pending) == (Kind.KEPT, Reason.TIMEOUT, [])


class TestWithoutJournal:
    @pytest.fixture
    def without(self, make: Callable[..., Deliverer]) -> Deliverer:
        made = make(workers=1)
        made.start_without_journal("no directory")
        return made

    def test_before_a_retry_it_looks_for_the_effect_of_an_attempt_without_a_response(
        self, without: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alerta = LateAlerta()
        monkeypatch.setattr("alerta_opsgenie.agent.target.AlertaClient", lambda *_, **__: alerta)
        without._context = without._context._replace(stopping=Landing(alerta))
        [ticket] = without.submit([request(options, "AddNote", note="looked at")])
        assert ticket.wait(20.0, 20.0).outcome.reason is Reason.REDELIVERED
        assert alerta.notes + alerta.pending == alerta.notes[:1]

    def test_it_looks_for_the_effect_of_a_redelivered_message(
        self, without: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alerta, note = LateAlerta(), request(options, "AddNote", note="looked at")
        monkeypatch.setattr("alerta_opsgenie.agent.target.AlertaClient", lambda *_, **__: alerta)
        without._context = without._context._replace(stopping=Landing(alerta))
        began = time.time()
        without.submit([note])[0].wait(20.0, 20.0)
        again = without.submit([note._replace(first_attempt_at=began)])[0].wait(20.0, 20.0)
        assert again.outcome.reason is Reason.REDELIVERED
        assert len(alerta.notes) == 1

    def test_a_temporary_error_is_tried_again(self, without: Deliverer, options: Options, proxy: Proxy) -> None:
        with proxy.answering(503, times=1):
            result = without.submit([request(options)])[0].wait(20.0, 20.0)
        assert (result.outcome.kind, result.kept) == (Kind.APPLIED, False)

    def test_at_the_end_untried_actions_stay_in_their_source(
        self, without: Deliverer, options: Options, proxy: Proxy
    ) -> None:
        with proxy.hanging() as fault:
            without.submit([request(options)])
            fault.wait_hit()
            [waiting] = without.submit([request(options)])
            without.stop(0.0)
            results = [waiting.wait(0.0)]
            [late] = without.submit([request(options)])
            results.append(late.wait(0.0))
        assert [(one.outcome, one.is_safe) for one in results] == [(UNTRIED, False)] * 2


class TestAccesses:
    def test_each_is_tried_in_turn_while_all_are_refused(self, options: Options) -> None:
        target = Target(options.spool_directory, target_name(options.alerta_url))
        for key in (KEY, "another-key"):
            target.add_access(access_of(options._replace(alerta_key=key)))
        tried = set()
        for _ in range(4):
            access = target.access
            assert access is not None
            target.record(access, Outcome(Kind.KEPT, Reason.UNAUTHORIZED))
            tried.add(access.key)
        assert tried == {KEY, "another-key"}

class TestFaults:
    def test_a_journal_that_fails_is_read_once_a_second(
        self, deliverer: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deliver(deliverer, request(options))
        calls = []

        def fail(*_: Any) -> None:
            calls.append(time.monotonic())
            raise JournalError("no space is left", "make room", "io")

        monkeypatch.setattr(Journal, "claim", fail)
        deliverer.wake(options)
        await_true(lambda: len(calls) >= 4, 20)
        assert calls[3] - calls[1] > 1.0

    def test_a_fault_in_report_stops_no_worker(self, make: Callable[..., Deliverer], options: Options) -> None:
        def report(_report: Report) -> None:
            raise ValueError("cannot log")

        deliverer = make(report=report, workers=1)
        assert deliverer.start()
        assert [deliver(deliverer, request(options)).kind for _ in range(2)] == [Kind.APPLIED] * 2
        assert "cannot log" in deliverer.problem

    def test_an_expiry_is_reported(self, make: Callable[..., Deliverer], options: Options, proxy: Proxy) -> None:
        reports: list[Report] = []
        deliverer = make(report=reports.append)
        assert deliverer.start()
        deliver(deliverer, request(options))
        with proxy.answering(503):
            append_elsewhere(deliverer, options, delivery.EXPIRE_AFTER_SECONDS + 1)
            await_true(lambda: any(one.outcome.kind is Kind.REJECTED for one in reports), 20)


def test_each_target_prunes_old_actions(
    deliverer: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned: set[str] = set()
    monkeypatch.setattr(Journal, "prune", lambda journal, *_: pruned.add(journal.directory))
    with BadServer("ok") as other:
        deliver(deliverer, request(options))
        deliver(deliverer, request(options._replace(alerta_url=other.url)))
        await_true(lambda: len(pruned) == 2, 20)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_alerta_is_obeyed(
    deliverer: Deliverer, options: Options, proxy: Proxy, status: int
) -> None:
    with proxy.answering(status, {"Retry-After": "120"}):
        deliver(deliverer, request(options))
        deliver(deliverer, request(options))
        time.sleep(1.5)  # the journal is read each second
        assert len(proxy.exchanges) == 1


def test_a_new_action_tests_whether_an_alerta_responds_again(
    deliverer: Deliverer, options: Options
) -> None:
    deliver(deliverer, request(options))
    target = deliverer._queues[target_name(options.alerta_url)].target
    target.reach = delivery.Reachability(3, time.monotonic() + DAY_SECONDS)
    assert deliver(deliverer, request(options)).kind is Kind.APPLIED


def test_of_the_message_of_a_done_action_only_the_person_is_kept(deliverer: Deliverer, options: Options) -> None:
    deliver(deliverer, request(options, "AddNote", note="a private word", username="carol@example.com"))
    [row] = rows(options)
    assert ("carol@example.com" in row.body, "private" in row.body) == (True, False)


def test_an_action_that_came_too_late_is_a_warning_and_no_failure(tmp_path: Path) -> None:
    stale = Outcome(Kind.IGNORED, Reason.STALE, "something newer has happened")
    exit_code, *_, output, errors, _, _ = result_fields(Options("http://localhost", KEY), Result(None, stale), 0.0)
    Log(str(tmp_path)).report(Report("target", "Close", "alert", None, stale))
    assert (exit_code, errors) == (b"0", b"")
    assert b" WARN ignored " in output
    assert " WARN ignored " in (tmp_path / "agent.log").read_text()
