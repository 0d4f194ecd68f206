"""The connector process: watchdog, reload, and the errors of a start that fails."""

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
def test_the_page_can_be_switched_off(plan: Plan, tmp_path: Path, page: str, status: int) -> None:
    options = plan.options._replace(spool_directory=str(tmp_path / "spool"))
    service = Service(replace(plan, options=options, settings=replace(plan.settings, page=page)), lambda: plan)
    service._make_page()
    headers = Message()
    headers["Host"] = "localhost"
    assert service._answer(Request("GET", "/", {}, headers)).status == status


def test_a_process_that_does_not_respond_sends_nothing_to_the_watchdog(
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
        service._finished.set()
    assert "WATCHDOG=1" not in fed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"globalArgs": []}, "no URL of Alerta"),
        ({"globalArgs": ["--alertaApiUrl", "ftp://x", "--alertaApiKey", "k"]}, "expected something like"),
        ({"apiKey": ""}, "apiKey"),
        ({"alertaOpsgenie": {"listen": "nowhere"}}, "no address to listen at"),
        ({"alertaOpsgenie": {"wrokers": 3}}, "is no setting of the native connector"),
    ],
)
def test_an_unusable_configuration_ends_with_the_error_and_the_advice(
    config: Path, change: dict[str, object], expected: str
) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    result = CliRunner().invoke(run, ["--config", str(config)], env={"HOME": str(config.parent)})
    assert result.exit_code != 0
    assert expected in result.output
    assert "try: " in result.output
    assert "the-key-of-alerta" not in result.output


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(run, ["--config", str(tmp_path / "none.json")])
    assert result.exit_code != 0
    assert "none.json" in result.output


# -- SIGHUP


@pytest.fixture
def service(plan: Plan, tmp_path: Path) -> Iterator[Service]:
    options = plan.options._replace(spool_directory=str(tmp_path / "spool"))
    made = Service(replace(plan, options=options, mapping_options={"Close": options}), lambda: plan)
    yield made
    made._delivery.stop(1.0)


def test_the_deliverer_is_kept_after_a_reload(service: Service) -> None:
    service._delivery.start(service._stop)
    deliverer = service._delivery.deliverer
    service._plan = replace(service._plan, settings=replace(service._plan.settings, page="off"))
    service._apply_plan()
    assert service._delivery.deliverer is deliverer
    assert deliverer.holds_lock()
    assert not deliverer._context.stopping.is_set()


def test_another_deliverer_starts_after_the_last_attempt(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    stop = Deliverer.stop

    def waits(deliverer: Deliverer, seconds: float) -> None:
        waited.append(seconds)
        stop(deliverer, seconds)

    monkeypatch.setattr(Deliverer, "stop", waits)
    service._delivery.start(service._stop)
    waited.clear()
    service._plan = replace(service._plan, settings=replace(service._plan.settings, workers=3))
    service._apply_plan()
    assert waited[0] > CALL_SECONDS
    assert service._delivery.deliverer.holds_lock()


def test_a_reload_with_an_invalid_address_is_refused(service: Service) -> None:
    service._read = lambda: replace(service._plan, settings=replace(service._plan.settings, listen="nowhere"))
    service._reload()
    assert service._next_plan is None
    assert not service._stop.is_set()


def test_a_queue_that_is_named_during_the_stop_is_not_polled(service: Service) -> None:
    session = service._make_session(service._plan)

    def make() -> Transport:
        session._ending.set()
        return cast("Transport", FakeQueue())

    session._add_poller("http://127.0.0.1:9/q", make)
    assert not session._pollers


# -- Notifications to systemd


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
def test_the_watchdog_s_interval(
    manager: socket.socket, environment: dict[str, str], seconds: float | None
) -> None:
    assert notifier(manager, **environment).watchdog_seconds == seconds


def test_without_a_service_manager_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).send(READY)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(READY)
