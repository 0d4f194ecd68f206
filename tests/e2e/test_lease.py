"""The lease that keeps two calls of the bridge for one alert apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab.alerta_server import AlertaServer

from tests.attacks.people import pose
from tests.support.plugin import Plugged, plugged

TAKE = "INSERT INTO alerta_opsgenie_leases VALUES (%s, 'another', now() + interval '1 hour')"
OVER = "UPDATE alerta_opsgenie_leases SET until = now() - interval '1 second'"
LEFT = "SELECT count(*) FROM alerta_opsgenie_leases WHERE name LIKE 'call:%%'"


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with plugged(alerta.postgres, tmp_path_factory.mktemp("lease")) as run:
        yield run


def execute(run: Plugged, statement: str, *values: str) -> list[tuple[int]]:
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def test_a_lease_is_given_back_with_the_answer_whatever_it_is(run: Plugged) -> None:
    alert_id = str(run.console.create_alert()["id"])
    assert [pose(run.bridge, alert_id, action)[0] for action in ("ack", "ack", "close")] == [200, 409, 200]
    assert execute(run, LEFT) == [(0,)]


def test_a_call_waits_for_another_s_lease_and_no_longer_than_that_lasts(run: Plugged) -> None:
    alert_id, other = (str(run.console.create_alert()["id"]) for _ in range(2))
    assert pose(run.bridge, other, "ack")[0] == 200
    execute(run, TAKE, f"call:{alert_id}")
    assert pose(run.bridge, alert_id, "ack")[0] == 503
    assert pose(run.bridge, other, "close")[0] == 200
    execute(run, OVER)
    assert pose(run.bridge, alert_id, "ack")[0] == 200
