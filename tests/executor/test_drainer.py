"""The drainer: one for each spool, by itself, out of everybody's way, until nothing waits any more."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.core.message import essence, parse
from alerta_opsgenie.core.outcome import Outcome, Reason
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.executor.delivery import Courier
from alerta_opsgenie.executor.drainer import Drainer
from alerta_opsgenie.journal import Entry, Spool, try_lock
from alerta_opsgenie.keeping import EXPIRE_AFTER_SECONDS, LONGEST_PAUSE_SECONDS
from alerta_opsgenie.lanes import Desk, Job
from tests.support.bad_server import BadServer
from tests.support.executor import Edge, await_true
from tests.support.proxy import Proxy
from tests.support.stories import JSON, action

NOWHERE = "http://127.0.0.1:9"
SHORT = ("--timeLimit", "0.3")


def new_id() -> str:
    return str(uuid.uuid4())


def job_of(message: JSON) -> Job:
    read = parse(json.dumps(message))
    return Job(read.key, message["alert"]["alias"], read.updated_ns, read.action, essence(read), time.time())


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with Edge(tmp_path, NOWHERE, "key", arguments=SHORT) as made:
        yield made


def leave_one(edge: Edge) -> str:
    """Leave an action behind, and return the id of its alert."""
    alert_id = new_id()
    assert "it is kept" in edge.run(action("Acknowledge", alert_id)).stdout
    return alert_id


def files_of(pid: int) -> dict[str, str]:
    """Name the open files of a process by their numbers."""
    found = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[path.name] = str(path.readlink())
    return found


class TestProcess:
    def test_many_executors_at_once_leave_one_behind(self, edge: Edge) -> None:
        results = edge.run_all([action("Acknowledge", new_id()) for _ in range(6)], 6)
        assert all("it is kept" in result.stdout for result in results)
        await_true(lambda: edge.is_drained_by_someone() and len(edge.drainers()) == 1)

    def test_it_holds_nothing_that_the_connector_waits_for(self, edge: Edge) -> None:
        # The runner waits, as Go does, until all that an executor started has closed its output.
        began = time.monotonic()
        leave_one(edge)
        assert time.monotonic() - began < 5
        await_true(edge.is_drained_by_someone)
        [pid] = edge.drainers()
        open_files = files_of(pid)
        assert [open_files[number] for number in ("1", "2")] == [os.devnull, os.devnull]
        assert [name for number, name in open_files.items() if name.startswith("pipe:") and number != "0"] == []

    def test_it_has_a_session_and_a_directory_of_its_own(self, edge: Edge) -> None:
        leave_one(edge)
        await_true(edge.is_drained_by_someone)
        [pid] = edge.drainers()
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")

    def test_it_ends_when_nothing_waits_any_more(self, edge: Edge) -> None:
        leave_one(edge)
        leave_one(edge)
        with BadServer("ok") as server:
            assert "applied" in edge.at(server.url).run(action("Close", new_id())).stdout
            edge.await_drained()
            await_true(lambda: edge.drainers() == [])
        assert edge.entries() == []
        assert not edge.desk.something_waits
        assert (edge.spool_directory / "drainer.log").read_text().count(" applied Acknowledge ") == 2

    def test_the_next_executor_starts_another_in_the_place_of_a_killed_one(self, edge: Edge) -> None:
        leave_one(edge)
        await_true(edge.is_drained_by_someone)
        [first] = edge.drainers()
        os.kill(first, signal.SIGKILL)
        await_true(lambda: not edge.is_drained_by_someone())
        leave_one(edge)
        await_true(edge.is_drained_by_someone)
        [second] = edge.drainers()
        assert second != first

    def test_while_nothing_waits_none_is_started(self, edge: Edge) -> None:
        with BadServer("ok") as server:
            assert "applied" in edge.at(server.url).run(action("Close", new_id())).stdout
        assert edge.drainers() == []
        assert not (edge.spool_directory / "spool.db").exists(), "SQLite costs the usual action nothing"

    def test_an_executor_with_a_mended_configuration_has_it_replaced(self, edge: Edge) -> None:
        """One that was started with a wrong URL would try that for days, and hold the role against a right one."""
        leave_one(edge)
        await_true(edge.is_drained_by_someone)
        [wrong] = edge.drainers()
        with BadServer("ok") as server:
            edge.at(server.url).run(action("Close", new_id()))
            edge.await_drained()
        await_true(lambda: wrong not in edge.drainers())

    def test_one_that_cannot_go_on_says_why(self, edge: Edge) -> None:
        edge.spool_directory.mkdir(parents=True, mode=0o700)
        (edge.spool_directory / "taken").mkdir(mode=0o700)
        (edge.spool_directory / "lanes").write_text("")
        edge.run(action("Acknowledge", new_id()))
        log = edge.spool_directory / "drainer.log"
        await_true(log.exists)
        assert "the drainer ended: " in log.read_text()
        assert "Not a directory" in log.read_text()


class Shop:
    """A spool with a drainer in this process, which talks to a server that may be bad."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "spool"
        self.reports: list[tuple[Entry, Outcome]] = []
        self.drainer: Drainer | None = None

    def keep(self, *messages: JSON, now: float | None = None, body: str | None = None) -> None:
        with Spool(self.directory) as spool:
            for message in messages:
                job = job_of(message)
                spool.keep(
                    job.key, job.lane, job.order_ns, job.body if body is None else body,
                    kind=job.kind, now=time.time() if now is None else now,
                )  # fmt: skip

    def drain(self, url: str, *, watch: bool = False) -> bool:
        def connect() -> Courier:
            return Courier(AlertaClient(url, "key"), Settings(), str(self.directory))

        self.drainer = Drainer(str(self.directory), connect, lambda *report: self.reports.append(report))
        return self.drainer.run(watch=watch)

    def entries(self) -> list[Entry]:
        with Spool(self.directory) as spool:
            return list(spool.entries())

    def drain_beside(self, url: str, *, watch: bool = False) -> threading.Thread:
        thread = threading.Thread(target=lambda: self.drain(url, watch=watch))
        thread.start()
        await_true(lambda: self.drainer is not None)
        return thread

    def stop(self, thread: threading.Thread) -> None:
        assert self.drainer is not None
        self.drainer.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


class TestDelivery:
    def test_each_lane_goes_in_its_order(self, shop: Shop) -> None:
        alert_ids = [new_id() for _ in range(3)]
        now_ns = time.time_ns()
        messages = [
            action("AddNote", alert_id, note=str(number), at_ns=now_ns + number)
            for number in range(4)
            for alert_id in alert_ids
        ]
        shop.keep(*reversed(messages))
        with BadServer("ok") as server:
            assert shop.drain(server.url)
        assert shop.entries() == []
        for alert_id in alert_ids:
            done = [entry.order_ns for entry, _ in shop.reports if entry.lane == alert_id]
            assert done == [now_ns + number for number in range(4)]

    def test_what_is_refused_for_good_becomes_a_dead_letter_and_the_lane_goes_on(self, shop: Shop) -> None:
        alert_id = new_id()
        shop.keep(action("Snooze", alert_id, at_ns=time.time_ns()), action("Acknowledge", alert_id))
        with BadServer("ok") as server:
            assert shop.drain(server.url)
        [dead] = shop.entries()
        assert (dead.kind, dead.state, dead.reason) == ("Snooze", "dead", "bad-message")
        assert "$.alert.snoozedUntil: is missing" in dead.detail

    @pytest.mark.parametrize("body", ["", "no JSON", "[]", "{}", '{"action": 7}'])
    def test_a_body_that_nobody_can_read_poisons_nothing(self, shop: Shop, body: str) -> None:
        alert_id = new_id()
        shop.keep(action("AddNote", alert_id, note="x", at_ns=1), body=body)
        shop.keep(action("Acknowledge", alert_id), action("Acknowledge", new_id()))
        with BadServer("ok") as server:
            assert shop.drain(server.url)
        [dead] = shop.entries()
        assert (dead.kind, dead.state, dead.reason) == ("AddNote", "dead", "bad-message")

    def test_what_is_older_than_the_limit_becomes_a_dead_letter(self, shop: Shop) -> None:
        now = time.time()
        shop.keep(action("Acknowledge", new_id()), now=now - EXPIRE_AFTER_SECONDS - 60)
        shop.keep(action("Close", new_id()), now=now - EXPIRE_AFTER_SECONDS + 60)
        with BadServer("ok") as server:
            assert shop.drain(server.url)
        assert [(entry.kind, entry.state, entry.reason) for entry in shop.entries()] == [
            ("Acknowledge", "dead", "expired"),
        ]

    def test_each_lane_waits_longer_after_each_failure_up_to_its_longest(self, shop: Shop) -> None:
        failing = new_id()
        shop.keep(action("Acknowledge", failing))
        with BadServer("close") as server:
            thread = shop.drain_beside(server.url)
            await_true(lambda: len(shop.reports) >= 4)
            shop.stop(thread)
        [entry] = shop.entries()
        assert entry.attempts >= 4
        assert (entry.state, entry.reason) == ("waiting", "network")
        assert 0 < entry.due_at - time.time() <= LONGEST_PAUSE_SECONDS

    def test_one_lane_that_hangs_holds_up_no_other(self, shop: Shop) -> None:
        held = new_id()
        shop.keep(action("Acknowledge", held), *(action("Acknowledge", new_id()) for _ in range(6)))
        desk = Desk(str(shop.directory))
        desk.prepare()
        with BadServer("ok") as server, desk.lane(held).locked(time.monotonic()):
            thread = shop.drain_beside(server.url)
            await_true(lambda: len(shop.reports) == 6, 5)
            assert held not in {entry.lane for entry, _ in shop.reports}
            assert shop.drainer is not None
            shop.drainer.stop()
        thread.join(30)

    def test_an_action_whose_process_died_while_it_runs_is_picked_up_before_it_ends(self, shop: Shop) -> None:
        desk, held = Desk(str(shop.directory)), new_id()
        desk.prepare()
        shop.keep(action("Acknowledge", held))
        with BadServer("ok") as server:
            with desk.lane(held).locked(time.monotonic()):
                thread = shop.drain_beside(server.url)
                desk.take(job_of(action("Close", new_id()))).leave()
                await_true(lambda: [entry.kind for entry, _ in shop.reports] == ["Close"])
            thread.join(30)
        assert [entry.kind for entry, _ in shop.reports] == ["Close", "Acknowledge"]
        assert not desk.has_orphans()

    def test_what_a_killed_drainer_had_claimed_is_free_at_once(self, shop: Shop) -> None:
        shop.keep(action("Acknowledge", new_id()))
        with Spool(shop.directory) as spool:
            assert spool.claim(time.time(), 20.0, "a drainer that was killed")
        with BadServer("ok") as server:
            began = time.monotonic()
            assert shop.drain(server.url)
        assert time.monotonic() - began < 5
        assert shop.entries() == []


class TestEnd:
    def test_a_refused_key_ends_it_and_is_told(self, shop: Shop) -> None:
        shop.keep(*(action("Acknowledge", new_id()) for _ in range(3)))
        with Proxy(NOWHERE) as proxy, proxy.answering(401):
            assert shop.drain(proxy.url)
        assert shop.drainer is not None
        assert shop.drainer.refused is not None
        assert shop.drainer.refused.reason is Reason.UNAUTHORIZED
        assert len(shop.entries()) == 3

    def test_a_second_one_does_nothing(self, shop: Shop) -> None:
        shop.keep(action("Acknowledge", new_id()))
        with try_lock(shop.directory, "drainer") or pytest.fail("the role is free"):
            assert shop.drain(NOWHERE) is False
        assert shop.reports == []

    def test_a_service_waits_for_the_role_and_then_takes_it(self, shop: Shop) -> None:
        shop.keep(action("Acknowledge", new_id()))
        role = try_lock(shop.directory, "drainer")
        assert role is not None
        with BadServer("ok") as server:
            thread = shop.drain_beside(server.url, watch=True)
            assert thread.is_alive()
            role.release()
            await_true(lambda: len(shop.reports) == 1)
            shop.keep(action("Close", new_id()))
            await_true(lambda: len(shop.reports) == 2)
            shop.stop(thread)

    def test_what_ends_a_worker_is_raised(self, shop: Shop) -> None:
        shop.keep(action("Acknowledge", new_id()))

        def connect() -> Courier:
            raise RuntimeError("no courier")

        with pytest.raises(RuntimeError, match="no courier"):
            Drainer(str(shop.directory), connect, lambda *_: None).run()
