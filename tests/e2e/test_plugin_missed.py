"""Changes without a hook: of alerts in a blackout, by housekeeping, or by a plugin that runs after this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from tests.support.plugin import Plugged, plugged, wait_until

SAME = ("resource", "event", "environment", "service")


@pytest.fixture(scope="module", params=[["blackout", "opsgenie"], ["opsgenie", "blackout"]], ids=" then ".join)
def run(
    request: pytest.FixtureRequest, alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plugged]:
    settings = {"PLUGINS": request.param, "NOTIFICATION_BLACKOUT": True, "OPSGENIE_COMPARE_SECONDS": 1}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("missed"), settings=settings, workers=1) as run:
        yield run


@contextmanager
def blackout(run: Plugged, resource: str) -> Iterator[None]:
    begun = run.console.call("POST", "/blackout", {"environment": "Production", "resource": resource})
    yield
    run.console.call("DELETE", f"/blackout/{begun['id']}")


def known(run: Plugged, resource: str, **fields: Any) -> dict[str, str]:
    """Create an alert, wait until the cloud has it, and return the fields to send it again."""
    alert = run.console.create_alert(resource=resource, **fields)
    run.upstream(alert["id"])
    return {"id": alert["id"], **{name: alert[name] for name in SAME}}


def closed(run: Plugged, alert_id: str) -> bool:
    return wait_until(lambda: run.upstream(alert_id).status == "closed")


def again(run: Plugged, alert: dict[str, str], severity: str, **fields: Any) -> None:
    run.console.create_alert(severity=severity, **fields, **{name: alert[name] for name in SAME})


def test_an_alert_that_clears_in_a_blackout_is_closed(run: Plugged) -> None:
    alert = known(run, "clears")
    with blackout(run, "clears"):
        again(run, alert, "normal")
        assert closed(run, alert["id"])


def test_an_alert_that_an_operator_closes_in_a_blackout_is_closed(run: Plugged) -> None:
    alert = known(run, "closed")
    with blackout(run, "closed"):
        again(run, alert, "critical")
        run.console.action(alert["id"], "close")
        assert closed(run, alert["id"])


def test_an_alert_that_expires_in_a_blackout_is_closed(run: Plugged) -> None:
    alert = known(run, "expires", timeout=1)
    with blackout(run, "expires"):
        again(run, alert, "critical", timeout=1)
        assert wait_until(lambda: alert["id"] in run.alerta.housekeeping()["expired"])
        assert closed(run, alert["id"])


def test_a_severity_that_rose_in_a_blackout_changes_the_priority_after_it(run: Plugged) -> None:
    alert = known(run, "worse", severity="minor")
    with blackout(run, "worse"):
        again(run, alert, "critical")
    again(run, alert, "critical")
    assert wait_until(lambda: run.upstream(alert["id"]).priority == "P1")


def test_an_alert_that_housekeeping_deletes_is_closed(run: Plugged) -> None:
    alert = known(run, "deleted")
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM alerts WHERE id = %s", (alert["id"],))
    assert closed(run, alert["id"])


def test_an_acknowledge_by_a_later_plugin_is_sent(run: Plugged) -> None:
    alert = known(run, "quiet")
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alerts SET status = 'ack' WHERE id = %s", (alert["id"],))
    assert wait_until(lambda: run.upstream(alert["id"]).acknowledged)


def test_changes_that_opsgenie_knows_are_not_sent_again(run: Plugged) -> None:
    """Changes with a hook, by the bridge, and by a person in Opsgenie whose message was lost.

    The memory has what was sent, so the person's change is not undone. Three checks later nothing more was sent.
    """
    usual, bridged, lost = (known(run, resource)["id"] for resource in ("usual", "bridged", "lost"))
    for action in ("ack", "unack"):
        run.console.action(usual, action)
    run.console.action(usual, "shelve", timeout=3600)
    run.bridge.action(bridged, "ack")
    run.cloud.person("alice@example.com").acknowledge(lost)
    told = run.told(usual)
    time.sleep(4)
    assert run.told(usual) == told
    assert run.told(bridged) == run.told(lost) == ["create"]
