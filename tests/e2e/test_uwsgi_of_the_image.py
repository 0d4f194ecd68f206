"""Alerta as the vendor's container image runs it: uWSGI, five processes that end after a while, a user of their own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer
from lab.postgres import account

from tests.e2e.conftest import Environment, make_environment
from tests.support.plugin import Plugged, plugged, wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user"),
]

WORKERS = 5
LIFETIME_SECONDS = 4  # the image has 30
UWSGIS = {"2.0.21": ("pyuwsgi==2.0.21", "uwsgi without threads"), "2.0.31": ("uwsgi==2.0.31", "uwsgi")}
"""The versions in the images of Alerta 9.0.4 and 9.1.0, with the threads that those set."""


@pytest.fixture(scope="module", params=UWSGIS)
def image(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An interpreter beside which `uwsgi` starts as the image's user, and the name of the server."""
    place = tmp_path_factory.mktemp("image")
    package, server = UWSGIS[request.param]
    made = make_environment(place / "venv")
    same = [f"{name}=={version(name)}" for name in ("alerta-server", "psycopg2-binary")]
    made.install(*same, package, str(wheel))
    return _as_user(made, place / "as-user"), server


def _as_user(environment: Environment, place: Path) -> str:
    (place / "bin").mkdir(parents=True)
    (place / "lib").symlink_to(environment.directory / "lib")
    (place / "bin/python").symlink_to(environment.python)
    user = account()  # PostgreSQL's own, whose socket nobody else may use
    assert user is not None
    capability = "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search"  # the test's files are root's
    uwsgi = shlex.quote(str(environment.directory / "bin/uwsgi"))
    (place / "bin/uwsgi").write_text(
        f'#!/bin/sh\nexec setpriv --reuid={user.pw_uid} --regid={user.pw_gid} --groups=0 {capability} {uwsgi} "$@"\n'
    )
    (place / "bin/uwsgi").chmod(0o755)
    return str(place / "bin/python")


@contextmanager
def running(image: tuple[str, str], alerta: AlertaServer, directory: Path, **settings: Any) -> Iterator[Plugged]:
    environment = {
        "UWSGI_MAX_WORKER_LIFETIME": str(LIFETIME_SECONDS),
        "UWSGI_MIN_WORKER_LIFETIME": "1",
        "TMPDIR": str(directory),
    }
    directory.chmod(0o1777)
    python, server = image
    with plugged(
        alerta.postgres, directory, settings=settings, workers=WORKERS, python=python, server=server, env=environment
    ) as run:
        yield run


def recycle(run: Plugged) -> None:
    """Wait until no worker is left that runs now."""
    ended = run.log().count("lifetime reached")
    assert wait_until(lambda: run.log().count("lifetime reached") >= ended + 2 * WORKERS)


def send(run: Plugged, count: int) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        ids = [str(alert["id"]) for alert in pool.map(lambda _: run.console.create_alert(), range(count))]
        list(pool.map(lambda alert_id: run.console.action(alert_id, "ack"), ids))
        list(pool.map(lambda alert_id: run.console.action(alert_id, "close"), ids))
    return ids


TOLD = ["create", "acknowledge", "close"]


def test_all_arrives_once_and_in_order_while_workers_end_and_opsgenie_is_away(
    image: tuple[str, str], alerta: AlertaServer, tmp_path: Path
) -> None:
    with running(image, alerta, tmp_path) as run:
        ids = send(run, 50)
        with run.cloud.faults.refuse():
            ids += send(run, 50)
            recycle(run)
        ids += send(run, 50)
        assert wait_until(lambda: run.waiting() == 0), run.entries()[:5]
        assert [run.told(alert_id) for alert_id in ids] == [TOLD] * len(ids)


def test_a_quiet_alerta_sends_what_waits(image: tuple[str, str], alerta: AlertaServer, tmp_path: Path) -> None:
    """No request comes any more, and each worker that took one has ended."""
    with running(image, alerta, tmp_path) as run:
        with run.cloud.faults.refuse():
            alert_id = str(run.console.create_alert(severity="critical")["id"])
            recycle(run)
        assert wait_until(lambda: run.cloud.alert(alert_id) is not None), run.log()[-3000:]
        assert run.told(alert_id) == ["create"]


@pytest.mark.parametrize("outbox", ["database", "disk"])
@pytest.mark.parametrize("mode", [0o755, 0o2775])
def test_a_volume_that_is_not_alertas_loses_nothing(
    image: tuple[str, str], alerta: AlertaServer, tmp_path: Path, outbox: str, mode: int
) -> None:
    """0o755: nobody but root can write there; 0o2775: as Kubernetes' fsGroup leaves it."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(mode)
    with running(image, alerta, tmp_path, OPSGENIE_OUTBOX=outbox, OPSGENIE_SPOOL_DIR=str(volume)) as run:
        ids = [str(run.console.create_alert()["id"]) for _ in range(48)]
        assert wait_until(lambda: all(run.cloud.alert(alert_id) for alert_id in ids)), run.log()[-2000:]
        assert run.cloud.wait_settled()
        assert {run.cloud.alert(alert_id).count for alert_id in ids} == {1}  # type: ignore[union-attr]
