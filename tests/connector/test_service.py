"""The process around the bridge: the watchdog, and what the command says when it cannot start."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.cli.run import run
from alerta_opsgenie.connector.service import READY, Notifier, Service
from alerta_opsgenie.connector.session import Health
from alerta_opsgenie.connector.settings import Plan, read_plan
from alerta_opsgenie.connector.transport import Transport
from alerta_opsgenie.core.delivery import CALL_SECONDS
from alerta_opsgenie.page.server import Request
from tests.connector.rig import wait_until
from tests.connector.test_poller import FakeQueue

EXECUTOR = {"filepath": "/opt/oecAlertaExecutor.py", "sourceType": "local"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    arguments = ["--alertaApiUrl", "http://127.0.0.1:9/api", "--alertaApiKey", "the-key-of-alerta"]
    path.write_text(
        json.dumps({"apiKey": "k", "globalArgs": arguments, "actionMappings": {"Close": EXECUTOR}, "baseUrl": "http://x"})
    )
    return path


@pytest.fixture
def plan(config: Path) -> Plan:
    return read_plan(str(config), environment={})


@pytest.mark.parametrize(("page", "status"), [("on", 200), ("off", 404)])
def test_the_page_can_be_taken_away(plan: Plan, tmp_path: Path, page: str, status: int) -> None:
    options = plan.options._replace(spool_directory=str(tmp_path / "spool"))
    service = Service(replace(plan, options=options, own=replace(plan.own, page=page)), lambda: plan)
    service._make_page()
    headers = Message()
    headers["Host"] = "localhost"
    assert service._answer(Request("GET", "/", {}, headers)).status == status


def test_a_process_that_stands_still_does_not_feed_the_watchdog(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000")
        service = Service(plan, lambda: plan)
        health = [Health(ready=True)]
        monkeypatch.setattr(service, "_health", lambda: health[0])
        threading.Thread(target=service._watch, daemon=True).start()
        fed: list[str] = []

        def feed() -> None:
            with suppress(BlockingIOError):
                while True:
                    fed.append(manager.recv(1000).decode())

        def fed_twice() -> bool:
            feed()
            return fed.count("WATCHDOG=1") >= 2

        wait_until(fed_twice)
        health[0] = Health(ready=True, stuck=("work",), status="no good")
        time.sleep(0.03)
        feed()
        fed.clear()
        time.sleep(0.15)
        feed()
        service._over.set()
    assert "WATCHDOG=1" not in fed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"globalArgs": []}, "no Alerta to talk to"),
        ({"globalArgs": ["--alertaApiUrl", "ftp://x", "--alertaApiKey", "k"]}, "expected something like"),
        ({"apiKey": ""}, "apiKey"),
        ({"alertaOpsgenie": {"listen": "nowhere"}}, "no place to listen"),
        ({"alertaOpsgenie": {"wrokers": 3}}, "is no setting of the native connector"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_with_what_is_wrong_and_what_to_do(
    config: Path, change: dict[str, object], said: str
) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    result = CliRunner().invoke(run, ["--config", str(config)], env={"HOME": str(config.parent)})
    assert result.exit_code != 0
    assert said in result.output
    assert "try: " in result.output
    assert "the-key-of-alerta" not in result.output


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(run, ["--config", str(tmp_path / "none.json")])
    assert result.exit_code != 0
    assert "none.json" in result.output


# -- SIGHUP


@pytest.fixture
def service(plan: Plan, tmp_path: Path) -> Iterator[Service]:
    options = plan.options._replace(spool_directory=str(tmp_path / "spool"))
    made = Service(replace(plan, options=options, relays={"Close": options}), lambda: plan)
    yield made
    made._front.stop(1.0)


def test_the_deliverer_goes_on_under_another_configuration(service: Service) -> None:
    service._front.start(service._stop)
    deliverer = service._front.deliverer
    service._plan = replace(service._plan, own=replace(service._plan.own, page="off"))
    service._take_over()
    assert service._front.deliverer is deliverer
    assert deliverer.holds_lock()
    assert not deliverer._context.stopping.is_set()


def test_another_deliverer_begins_when_no_attempt_can_be_under_way(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    stop = Deliverer.stop

    def waits(deliverer: Deliverer, seconds: float) -> None:
        waited.append(seconds)
        stop(deliverer, seconds)

    monkeypatch.setattr(Deliverer, "stop", waits)
    service._front.start(service._stop)
    waited.clear()
    service._plan = replace(service._plan, own=replace(service._plan.own, workers=3))
    service._take_over()
    assert waited[0] > CALL_SECONDS
    assert service._front.deliverer.holds_lock()


def test_a_wrong_place_to_listen_is_refused(service: Service) -> None:
    service._read = lambda: replace(service._plan, own=replace(service._plan.own, listen="nowhere"))
    service._reload()
    assert service._next is None
    assert not service._stop.is_set()


def test_a_queue_that_is_named_at_the_end_is_not_begun(service: Service) -> None:
    bridge = service._make_bridge(service._plan)

    def make() -> Transport:
        bridge._ending.set()
        return cast("Transport", FakeQueue())

    bridge._begin("http://127.0.0.1:9/q", make)
    assert not bridge._pollers


# -- What systemd is told over its socket


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def notifier(manager: socket.socket, **environment: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), **environment})


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_the_watchdog_wants_to_hear(
    manager: socket.socket, environment: dict[str, str], seconds: float | None
) -> None:
    assert notifier(manager, **environment).watchdog_seconds == seconds


def test_without_a_manager_and_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).tell(READY)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY)
