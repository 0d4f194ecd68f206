"""The vendor's heartbeat is pinged only while everything works."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from tests.support.plugin import Plugged, plugged, wait_until

pytestmark = pytest.mark.faults

NAME = "alerta bridge"


@contextmanager
def beating(alerta: AlertaServer, directory: Path, **options: Any) -> Iterator[Plugged]:
    settings = {"OPSGENIE_HEARTBEAT": NAME, "OPSGENIE_HEARTBEAT_SECONDS": 1, "OPSGENIE_TIMEOUT": 1}
    with plugged(alerta.postgres, directory, settings=settings, workers=1, **options) as run:
        yield run


@pytest.fixture(scope="module", params=["opsgenie"])
def run(
    request: pytest.FixtureRequest, alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plugged]:
    with beating(alerta, tmp_path_factory.mktemp("beating"), product=request.param) as run:
        yield run


def is_pinged(run: Plugged) -> bool:
    run.console.create_alert()
    pings = run.cloud.heartbeats.setdefault(NAME, [])
    before = len(pings)
    return wait_until(lambda: len(pings) >= before + 2)


def is_withheld(run: Plugged) -> bool:
    """Wait until there was no ping for two intervals."""

    def quiet() -> bool:
        before = len(run.cloud.heartbeats[NAME])
        time.sleep(2.5)
        return len(run.cloud.heartbeats[NAME]) == before

    return wait_until(quiet)


def test_a_missing_heartbeat_is_logged_once(run: Plugged) -> None:
    run.console.create_alert()
    problem = "no ping to the heartbeat alerta bridge: there is no heartbeat of that name"
    assert wait_until(lambda: problem in run.log())
    assert is_pinged(run)
    assert run.log().count(problem) == 1


@pytest.mark.parametrize("run", ["opsgenie", "jsm"], indirect=True)
def test_pings_stop_with_alerta_and_start_with_it(run: Plugged) -> None:
    assert is_pinged(run)
    run.alerta.stop()
    assert is_withheld(run)
    run.alerta.start()
    assert is_pinged(run)


def test_no_ping_while_the_key_is_refused(run: Plugged) -> None:
    assert is_pinged(run)
    run.cloud.add(dataclasses.replace(run.key, enabled=False))
    assert is_withheld(run)
    assert "no ping to the heartbeat alerta bridge: HTTP 401" in run.log()
    run.cloud.add(run.key)
    assert is_pinged(run)


def test_a_plan_without_heartbeats_is_logged_with_advice(run: Plugged) -> None:
    assert is_pinged(run)
    run.cloud.switches.has_heartbeats = False
    assert is_withheld(run)
    assert "the plan has no heartbeats, remove OPSGENIE_HEARTBEAT" in run.log()
    run.cloud.switches.has_heartbeats = True


def test_no_ping_while_the_database_is_down(tmp_path: Path) -> None:
    with AlertaServer(workers=1) as own, beating(own, tmp_path) as run:
        assert is_pinged(run)
        own.postgres.stop()
        assert is_withheld(run)
        own.postgres.start()
        assert is_pinged(run)
