"""The dead man's switch: the vendor's heartbeat is pinged while everything works, and only then."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud import Switches

from tests.support.plugin import Plugged, plugged, wait_until

pytestmark = pytest.mark.faults

NAME = "alerta bridge"


@contextmanager
def beating(alerta: AlertaServer, directory: Path, *, exists: bool = True, **options: Any) -> Iterator[Plugged]:
    settings = {"OPSGENIE_HEARTBEAT": NAME, "OPSGENIE_HEARTBEAT_SECONDS": 1, "OPSGENIE_TIMEOUT": 1}
    with plugged(alerta.postgres, directory, settings=settings, workers=1, **options) as run:
        if exists:
            run.cloud.heartbeats[NAME] = []
        run.console.create_alert()
        yield run


def pings(run: Plugged) -> int:
    return len(run.cloud.heartbeats[NAME])


def is_pinged(run: Plugged) -> bool:
    before = pings(run)
    return wait_until(lambda: pings(run) >= before + 2)


def is_withheld(run: Plugged) -> bool:
    """No ping for two intervals, once what was on its way is over."""

    def quiet() -> bool:
        before = pings(run)
        time.sleep(2.5)
        return pings(run) == before

    return wait_until(quiet)


@pytest.mark.parametrize("product", ["opsgenie", "jsm"])
def test_it_is_pinged_and_stops_with_alerta_and_comes_back(
    alerta: AlertaServer, tmp_path: Path, product: str
) -> None:
    with beating(alerta, tmp_path, product=product) as run:
        assert is_pinged(run)
        run.alerta.stop()
        assert is_withheld(run)
        run.alerta.start()
        run.console.create_alert()
        assert is_pinged(run)


def test_it_is_withheld_while_the_key_is_refused(alerta: AlertaServer, tmp_path: Path) -> None:
    with beating(alerta, tmp_path) as run:
        assert is_pinged(run)
        run.cloud.add(dataclasses.replace(run.key, enabled=False))
        assert is_withheld(run)
        assert "no ping to the heartbeat alerta bridge: HTTP 401" in run.log()
        run.cloud.add(run.key)
        assert is_pinged(run)


def test_it_is_withheld_while_the_database_is_gone(tmp_path: Path) -> None:
    with AlertaServer(workers=1) as own, beating(own, tmp_path) as run:
        assert is_pinged(run)
        own.postgres.stop()
        assert is_withheld(run)
        own.postgres.start()
        assert is_pinged(run)


def test_one_that_nobody_made_is_said_once_and_not_pinged(alerta: AlertaServer, tmp_path: Path) -> None:
    with beating(alerta, tmp_path, exists=False) as run:
        said = "no ping to the heartbeat alerta bridge: there is no heartbeat of that name"
        assert wait_until(lambda: said in run.log())
        run.cloud.heartbeats[NAME] = []
        assert is_pinged(run)
        assert run.log().count(said) == 1


def test_a_plan_without_heartbeats_is_said_with_what_to_do(alerta: AlertaServer, tmp_path: Path) -> None:
    with beating(alerta, tmp_path, switches=Switches(has_heartbeats=False)) as run:
        assert wait_until(lambda: "the plan has no heartbeats, take OPSGENIE_HEARTBEAT out" in run.log())
        assert pings(run) == 0
