"""The plugin's metrics, the alert about lost actions from Opsgenie, and operations that the account's plan lacks."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.core import reconcile
from alerta_opsgenie.plugin import arrivals
from tests.support.plugin import Plugged, plugged, wait_until


def figures(run: Plugged) -> dict[str, float]:
    key = {"Authorization": f"Key {run.alerta.admin_key}"}
    with urllib.request.urlopen(urllib.request.Request(f"{run.alerta.url}/management/metrics", headers=key)) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^alerta_opsgenie_(\w+) (\S+)$", text, re.MULTILINE)}


@pytest.fixture(scope="module", params=["opsgenie"])
def run(
    request: pytest.FixtureRequest, alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plugged]:
    settings = {
        "OPSGENIE_TIMEOUT": 1,
        "OPSGENIE_EXTRA_CALLS": True,
        "OPSGENIE_COMPARE_SECONDS": 1,
        "OPSGENIE_ALERT_LINK": "https://example.app.opsgenie.com/alert/detail/{id}/details",
        "OPSGENIE_ACTIONS": ["Restart", "x" * 60],
    }
    with plugged(alerta.postgres, tmp_path_factory.mktemp("watch"), product=request.param, settings=settings) as run:
        yield run


def test_metrics_count_sent_and_waiting_requests(run: Plugged) -> None:
    """The first test with this Alerta, so it counts all requests."""
    alert_id = run.console.create_alert()["id"]
    run.console.action(alert_id, "ack")
    assert wait_until(lambda: figures(run).get("sent_acknowledge_done_total") == 1)
    found = figures(run)
    assert found["sent_create_done_total"] == 1
    assert found["sent_close_done_total"] == 0, "it exists from the start"
    assert {f"drift_repaired_{field}_alerta_total" for field in reconcile.FIELDS} <= set(found)
    assert {"waiting", "oldest_waiting_seconds", "dead_letters", "paused_keys", "way_back_dead"} <= set(found)
    with run.cloud.faults.refuse():
        run.console.action(alert_id, "close")
        assert wait_until(lambda: figures(run)["waiting"] == 1 and figures(run)["oldest_waiting_seconds"] > 0)


def test_lost_actions_from_opsgenie_raise_an_alert_and_the_next_message_clears_it(
    alerta: AlertaServer, tmp_path: Path
) -> None:
    """Three acknowledges in Opsgenie whose messages are lost; a sweep finds each of them."""
    with plugged(alerta.postgres, tmp_path, settings={"OPSGENIE_RECONCILE": 1}) as run:
        ids = [run.console.create_alert()["id"] for _ in range(arrivals.SWEEPS)]
        run.settle()
        for alert_id in ids:
            run.cloud.person("alice@example.com").acknowledge(alert_id)
            assert wait_until(partial(is_acknowledged, run, alert_id))
        assert wait_until(lambda: bridge_alerts(run))
        run.bridge.note(ids[0], "a message arrives")
        assert wait_until(lambda: not bridge_alerts(run))


def is_acknowledged(run: Plugged, alert_id: str) -> bool:
    return run.console.status(alert_id) == "ack"


def bridge_alerts(run: Plugged) -> list[str]:
    alerts = run.console.call("GET", "/alerts?status=open&sort-by=createTime")["alerts"]
    return [alert["id"] for alert in alerts if alert["event"] == arrivals.EVENT]


@pytest.mark.parametrize("run", ["opsgenie", "jsm"], indirect=True)
def test_an_operation_that_the_plan_lacks_is_sent_as_a_note(run: Plugged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.cloud.switches, "plan_lacks", ["snooze"])
    monkeypatch.setattr(run.cloud.switches, "jsm_undocumented_actions", True)
    first = run.console.create_alert()["id"]
    run.console.action(first, "shelve", timeout=3600)
    assert wait_until(lambda: any("Shelved in Alerta until" in note for note in run.upstream(first).notes))
    second = run.console.create_alert()["id"]
    run.console.action(second, "shelve", timeout=3600)
    assert wait_until(lambda: len(run.told(second)) == 2)
    time.sleep(3)  # some comparisons, which send nothing
    assert run.told(first) == ["create", "snooze", "notes"]
    assert run.told(second) == ["create", "notes"]
    assert run.log().count("has no snooze") == 1
    assert run.console.status(first) == "shelved"


def test_an_alert_has_its_link_to_opsgenie_and_its_custom_actions(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    vendor_id = run.upstream(alert_id).alert_id
    assert run.requests(alert_id)[0][2]["actions"] == ["Restart", "x" * 49 + "\N{HORIZONTAL ELLIPSIS}"]
    assert wait_until(lambda: run.console.get(alert_id)["attributes"].get("opsgenie-id") == vendor_id)
    link = f"https://example.app.opsgenie.com/alert/detail/{vendor_id}/details"
    assert run.console.get(alert_id)["attributes"]["opsgenie-link"] == link
    run.console.action(alert_id, "ack")
    assert run.told(alert_id) == ["create", "acknowledge"], "the plugin's own attributes are not sent"
