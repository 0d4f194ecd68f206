"""The delivery lock with several `run` processes: which one delivers, and how the others use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.intake import Report, Request
from alerta_opsgenie.agent.server import Server
from alerta_opsgenie.agent.target import access_of
from alerta_opsgenie.connector.local_delivery import LocalDelivery
from alerta_opsgenie.connector.settings import Plan, read_plan
from alerta_opsgenie.core.outcome import Kind
from tests.connector.rig import wait_until
from tests.support.bad_server import BadServer
from tests.support.scenarios import action

CLOSE = json.dumps(action("Close", "5d0dcc0e-7a5b-4b6e-9d0c-2f6a53f1c001"))


@pytest.fixture
def alerta() -> Iterator[BadServer]:
    with BadServer("ok") as server:
        yield server


@pytest.fixture
def plan(tmp_path: Path, alerta: BadServer) -> Plan:
    path = tmp_path / "config.json"
    arguments = ["--alertaApiUrl", alerta.url, "--alertaApiKey", "k", "--spoolDir", str(tmp_path / "spool")]
    executor = {"Close": {"filepath": "/opt/oecAlertaExecutor.py", "sourceType": "local"}}
    path.write_text(json.dumps({"apiKey": "k", "globalArgs": arguments, "actionMappings": executor}))
    return read_plan(str(path), environment={})


class RunningDelivery:
    """A `LocalDelivery` and its reports."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.reports: list[Report] = []
        self.delivery = LocalDelivery(plan, self.reports.append)

    def start(self) -> None:
        self.delivery.start(threading.Event())

    def submit(self) -> None:
        [ticket] = self.delivery.deliverer.submit([Request(CLOSE, self.plan.options)])
        assert ticket.is_committed

    def has_applied(self) -> bool:
        return any(one.outcome.kind is Kind.APPLIED for one in self.reports)


@pytest.fixture
def make(plan: Plan) -> Iterator[Callable[..., RunningDelivery]]:
    made: list[RunningDelivery] = []

    def make_one(url: str = "") -> RunningDelivery:
        options = plan.options._replace(alerta_url=url or plan.options.alerta_url)
        made.append(RunningDelivery(replace(plan, options=options, mapping_options={"Close": options})))
        return made[-1]

    yield make_one
    for one in made:
        one.delivery.stop(1.0)


def test_the_lock_s_holder_delivers_the_actions_of_another_run(make: Callable[..., RunningDelivery]) -> None:
    first = make()
    first.start()
    with BadServer("ok") as other:
        second = make(other.url)
        second.start()
        second.submit()
        wait_until(first.has_applied)
    assert not second.has_applied()


def test_the_lock_s_holder_gets_a_newer_key(make: Callable[..., RunningDelivery]) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    options = second.plan.options._replace(alerta_key="newer")
    second.delivery.use(replace(second.plan, options=options, mapping_options={"Close": options}))
    [queue] = first.delivery.deliverer._all()
    wait_until(lambda: queue.target.access == access_of(options))


def test_waiting_actions_are_delivered_where_no_socket_can_be_bound(
    make: Callable[..., RunningDelivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_server: Server) -> None:
        raise OSError("no socket")

    monkeypatch.setattr(Server, "start", start)
    make().submit()
    delivery = make()
    delivery.start()
    wait_until(delivery.has_applied)


def test_a_journal_that_can_be_used_again_is_used(make: Callable[..., RunningDelivery], plan: Plan) -> None:
    spool = Path(plan.options.spool_directory)
    spool.write_text("no directory")
    first, second = make(), make()
    second.start()
    assert "cannot be used" in second.delivery.deliverer.disk_problem
    spool.unlink()
    first.delivery._take_lock()
    wait_until(lambda: not second.delivery.deliverer.disk_problem)


def test_after_its_stop_the_lock_is_free(make: Callable[..., RunningDelivery], plan: Plan) -> None:
    delivery = make().delivery
    delivery.stop(0.2)
    delivery._take_lock()
    other = Deliverer(plan.options.spool_directory)
    assert other.start()
    other.stop(0.2)


def test_a_signal_ends_the_wait_for_an_agent(
    make: Callable[..., RunningDelivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery, stop = make().delivery, threading.Event()
    asked: list[int] = []
    monkeypatch.setattr(delivery, "_take_lock", lambda: asked.append(1))
    stop.set()
    delivery.start(stop)
    assert len(asked) == 1
