"""Messages are lost in both directions between a real Alerta and the stand-in; a sweep repairs the drift."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from tests.support.plugin import Plugged, plugged, wait_until

PERSON = "alice@example.com"


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    settings = {"OPSGENIE_RECONCILE": 1, "OPSGENIE_CONFIRM": False}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("plugin"), settings=settings) as run:
        yield run


def test_changes_in_opsgenie_whose_message_was_lost_are_repaired_in_alerta(run: Plugged) -> None:
    acked, closed, snoozed, owned = (run.console.create_alert()["id"] for _ in range(4))
    run.settle()
    alice = run.cloud.person(PERSON)

    alice.acknowledge(acked)
    alice.close(closed)
    alice.snooze_for(snoozed, 3600)
    alice.take_ownership(owned)

    for alert_id, status in ((acked, "ack"), (closed, "closed"), (snoozed, "shelved")):
        assert wait_until(lambda: run.console.status(alert_id) == status), run.log()[-3000:]  # noqa: B023
    assert wait_until(lambda: run.console.get(owned)["attributes"].get("owner") == PERSON)
    assert run.console.get(acked)["history"][-1]["user"] == "alerta-opsgenie"


def test_changes_in_alerta_whose_request_was_refused_are_repaired_in_opsgenie(run: Plugged) -> None:
    acked, closed = (run.console.create_alert()["id"] for _ in range(2))
    run.settle()
    sweeps(run, 3)  # both agree on them
    with run.cloud.faults.status(422, "/acknowledge|/close"):
        run.console.action(acked, "ack")
        run.console.action(closed, "close")
        run.settle()
    assert not run.upstream(acked).acknowledged

    assert wait_until(lambda: run.upstream(acked).acknowledged), run.log()[-3000:]
    assert wait_until(lambda: run.upstream(closed).closed)


@pytest.mark.parametrize("status", [422, 202])
def test_an_alert_that_the_vendor_never_had_is_created(run: Plugged, status: int) -> None:
    """Its create was refused, or was accepted and had no effect."""
    run.console.create_alert()
    assert wait_until(lambda: "at" in report(run))
    with run.cloud.faults.status(status, "/v2/alerts$", times=1):
        alert_id = run.console.create_alert()["id"]
        run.settle()
    assert wait_until(lambda: run.cloud.alert(alert_id) is not None), run.log()[-3000:]


def test_an_alert_that_people_deleted_is_not_created_again(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    run.settle()
    assert wait_until(lambda: str(report(run).get("opsgenie")) != "0")
    sweeps(run, 2)
    run.cloud.person(PERSON).delete(alert_id)

    sweeps(run, 4)

    assert run.cloud.alert(alert_id) is None
    assert run.console.status(alert_id) == "open"
    run.console.action(alert_id, "close")


def test_alerts_of_other_sources_are_not_changed(run: Plugged) -> None:
    alice = run.cloud.person(PERSON)
    unknown, foreign = str(uuid.uuid4()), str(uuid.uuid4())
    alice.create("an alert that Alerta never had", unknown, source="Alerta")
    alice.create("an alert of another source", foreign, source="Zabbix")

    sweeps(run, 4)

    for alias in (unknown, foreign):
        alert = run.cloud.alert(alias)
        assert alert is not None
        assert not alert.closed


@pytest.mark.parametrize("fault", ["pages", "clock"])
def test_nothing_is_repaired_after_an_incomplete_list(run: Plugged, fault: str) -> None:
    alert_id = run.console.create_alert()["id"]
    run.settle()
    sweeps(run, 1)
    if fault == "pages":
        broken = run.cloud.faults.status(500, "/v2/alerts$")
    else:
        run.cloud.advance(600)
    run.cloud.person(PERSON).acknowledge(alert_id)

    assert wait_until(lambda: report(run)["stopped"]), report(run)
    sweeps(run, 3)

    assert run.console.status(alert_id) == "open"
    assert "nothing is repaired" in run.log()
    if fault == "pages":
        broken.clear()
        assert wait_until(lambda: run.console.status(alert_id) == "ack")


def report(run: Plugged) -> dict[str, Any]:
    """Return the numbers of the last sweep from Alerta's database."""
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alerta_opsgenie_values') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return {}
        cursor.execute("SELECT value FROM alerta_opsgenie_values WHERE name = 'reconcile-report'")
        rows = cursor.fetchall()
    return dict(json.loads(rows[0][0])) if rows else {}


def sweeps(run: Plugged, many: int) -> None:
    """Wait for `many` more sweeps."""
    for _ in range(many):
        before = report(run).get("at")
        assert wait_until(lambda: report(run).get("at") != before)  # noqa: B023


def test_jsm_gets_the_repairs_that_its_key_allows_and_the_rest_is_logged(
    alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"OPSGENIE_RECONCILE": 1, "OPSGENIE_CONFIRM": False}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("jsm"), product="jsm", settings=settings) as run:
        acked, shelved = (run.console.create_alert()["id"] for _ in range(2))
        run.settle()
        sweeps(run, 3)

        run.cloud.person(PERSON).acknowledge(acked)
        run.console.action(shelved, "shelve", timeout=3600)

        assert wait_until(lambda: run.console.status(acked) == "ack"), run.log()[-3000:]
        assert wait_until(lambda: "the vendor's key cannot do this: snooze" in run.log())
        upstream = run.upstream(shelved)
        assert upstream.snoozed_until_ms is None
