"""The deliverer in one process: what it does when things come between, and when its own parts fail."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.intake import Report, Request
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.state import journal_of
from alerta_opsgenie.agent.target import name_of
from alerta_opsgenie.agent.ticket import Ticket
from alerta_opsgenie.core.outcome import Kind, Outcome
from alerta_opsgenie.journal import Action, Journal, JournalError
from tests.support.bad_server import BadServer
from tests.support.executor import await_true
from tests.support.proxy import Proxy
from tests.support.stories import action

KEY = "a-key-of-forty-characters-or-there-abou"
HOUR_SECONDS = 3600.0


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Stand before a server that says ok to everything."""
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
        one.stop(5.0)


@pytest.fixture
def deliverer(make: Callable[..., Deliverer]) -> Deliverer:
    made = make()
    assert made.start()
    return made


def request(options: Options, alert: str = "", name: str = "Close", **more: Any) -> Request:
    return Request(json.dumps(action(name, alert or str(uuid.uuid4()), **more)), options)


def submit(deliverer: Deliverer, *requests: Request) -> list[Ticket]:
    return deliverer.submit(requests)


def wait(ticket: Ticket, seconds: float = 20.0) -> Outcome:
    return ticket.wait(seconds).outcome


def rows(options: Options) -> list[Action]:
    with contextlib.closing(journal_of(options.spool_directory, name_of(options))) as journal:
        return list(journal.actions())


class TestTickets:
    def test_an_action_that_ends_before_its_submitter_looks_has_its_result(
        self, deliverer: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alert = str(uuid.uuid4())
        append = Journal.append

        def slow(journal: Journal, *arguments: Any, **more: Any) -> list[Action]:
            found = append(journal, *arguments, claim=False)
            await_true(lambda: all(journal.get(one.id).state == "done" for one in found), 20)  # type: ignore[union-attr]
            return found

        submit(deliverer, request(options, alert))[0].wait(20)
        monkeypatch.setattr(Journal, "append", slow)
        [ticket] = submit(deliverer, request(options, alert))
        assert ticket.wait(5.0).outcome.kind is Kind.APPLIED


class TestLock:
    def test_who_has_not_the_lock_changes_nothing_that_is_in_flight(
        self, make: Callable[..., Deliverer], deliverer: Deliverer, options: Options, proxy: Proxy
    ) -> None:
        with proxy.hanging() as fault:
            submit(deliverer, request(options))
            fault.wait_hit()
            make().read(Request("no JSON", options))
            assert sorted(row.state for row in rows(options)) == ["dead", "in-flight"]


class TestAccesses:
    def test_a_good_key_is_used_again_after_all_were_refused(
        self, deliverer: Deliverer, options: Options, proxy: Proxy
    ) -> None:
        bad = options._replace(alerta_key="a-key-that-is-always-refused")
        submit(deliverer, request(options))[0].wait(20)
        target = deliverer._targets[name_of(options)]
        refused = Outcome(Kind.KEPT, __import__("alerta_opsgenie.core.outcome").core.outcome.Reason.UNAUTHORIZED)
        from alerta_opsgenie.agent.target import access_of

        target.use(access_of(bad))
        for _ in range(4):
            target.note(target.access, refused, 0.5)
        seen = set()
        for _ in range(4):
            seen.add(target.access.key)
            target.note(target.access, refused, 0.5)
        assert seen == {KEY, bad.alerta_key}


class TestTrouble:
    def test_a_journal_in_trouble_costs_no_spinning(self, deliverer: Deliverer, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
        submit(deliverer, request(options))[0].wait(20)
        calls = []

        def fails(*_: Any, **__: Any) -> None:
            calls.append(1)
            raise JournalError("no space is left", "make room", "disk-full")

        monkeypatch.setattr(Journal, "claim", fails)
        deliverer._look_now(deliverer._targets[name_of(options)])
        time.sleep(2)
        assert len(calls) < 20

    def test_worker(self, make: Callable[..., Deliverer], options: Options) -> None:
        calls = []

        def report(one: Report) -> None:
            calls.append(one)
            raise ValueError("a fault of whoever logs")

        deliverer = make(report=report, workers=1)
        assert deliverer.start()
        for _ in range(3):
            assert wait(submit(deliverer, request(options))[0], 5).kind is Kind.APPLIED

    def test_scheduler(self, make, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
        deliverer = make()
        assert deliverer.start()
        claim = Journal.claim
        n = []

        def fails(self, *a: Any, **__: Any) -> Any:
            n.append(1)
            if len(n) < 2:
                raise ValueError("a fault")
            return claim(self, *a, **__)

        monkeypatch.setattr(Journal, "claim", fails)
        with contextlib.closing(journal_of(options.spool_directory, name_of(options))) as journal:
            submit(deliverer, request(options))[0].wait(20)
            _, new = deliverer.read(request(options))
            time.sleep(2)
            journal.append([new], time.time())
            await_true(lambda: all(r.state == "done" for r in rows(options)), 5)

    def test_each_target_is_pruned(self, deliverer: Deliverer, options: Options, monkeypatch) -> None:
        pruned = []
        prune = Journal.prune
        monkeypatch.setattr(Journal, "prune", lambda self, *a: pruned.append(self.directory) or prune(self, *a))
        with BadServer("ok") as other:
            submit(deliverer, request(options))[0].wait(20)
            submit(deliverer, request(options._replace(alerta_url=other.url)))[0].wait(20)
            time.sleep(2.5)
        assert len(set(pruned)) == 2

    def test_retry_after(self, deliverer: Deliverer, options: Options, proxy: Proxy) -> None:
        with proxy.answering(503, {"Retry-After": "120"}):
            submit(deliverer, request(options))[0].wait(20)
            time.sleep(3)
        print([e.status for e in proxy.exchanges])
        assert len(proxy.exchanges) == 1
