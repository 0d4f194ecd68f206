"""The plugin replaces the existing one: its settings work unchanged, and its known defects are fixed.

The defects are those of alerta-contrib's plugins/opsgenie/alerta_opsgenie.py and of the threads about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab.alerta_server import AlertaServer

from tests.support.plugin import Plugged, plugged, wait_until

DEFAULT_KEY, PROXY_KEY = "54a634b1-fb0c-4758-840f-5d808c89e70e", "6b982aa3-1a8b-4834-8660-13a9477b1d00"


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    """The settings of its README, with the address of the stand-in and directories."""
    settings = {
        "PLUGINS": ["reject", "opsgenie"],
        "OPSGENIE_SERVICE_KEY": DEFAULT_KEY,
        "SERVICE_KEY_MATCHERS": [{"regex": "proxy[\\d+]", "api_key": PROXY_KEY}],
        "OPSGENIE_TEAMS": "ops, dba",
        "DASHBOARD_URL": "https://try.alerta.io",
        "OPSGENIE_SEND_WARN": True,
        "OPSGENIE_SEVERITY_MAP": {"critical": "P1", "warning": "P2", "informational": "P5"},
        "OPSGENIE_DEFAULT_SEVERITY": "P3",
        "OPSGENIE_ALERT_SOURCE": "Alerta East",
        "LOG_LEVEL": "DEBUG",
        "TELEGRAM_TOKEN": "t",
        "TELEGRAM_CHAT_ID": "1",
    }
    with plugged(alerta.postgres, tmp_path_factory.mktemp("existing"), settings=settings, workers=1) as run:
        run.cloud.add_api("default", key=DEFAULT_KEY, integration_id="default")
        run.cloud.add_api("proxies", key=PROXY_KEY, integration_id="proxies")
        yield run


def test_each_setting_has_its_effect(run: Plugged) -> None:
    upstream = run.upstream(run.console.create_alert(severity="warning")["id"])
    assert (upstream.priority, upstream.source) == ("P2", "Alerta East")
    assert upstream.responders == [{"name": "ops", "type": "team"}, {"name": "dba", "type": "team"}]
    assert upstream.details["web_url"] == f"https://try.alerta.io/#/alert/{upstream.alias}"
    assert upstream.integration_id == "default"
    assert run.upstream(run.console.create_alert(severity="major")["id"]).priority == "P3"


def test_the_matcher_chooses_the_key_for_all_requests_of_an_alert(run: Plugged) -> None:
    alert_id = run.console.create_alert(resource="proxy1.example.com")["id"]
    run.console.action(alert_id, "close")
    assert run.upstream(alert_id).integration_id == "proxies"
    used = {seen.integration_id for seen in run.cloud.records.requests if alert_id in seen.path}
    assert used == {"proxies"}


def test_no_key_is_logged_at_any_level(run: Plugged) -> None:
    """The existing plugin logs keys at start-up and with each match."""
    run.settle()
    assert DEFAULT_KEY not in run.log()
    assert PROXY_KEY not in run.log()


@pytest.mark.parametrize("status", ["open", "assign", "unknown", "blackout"])
def test_only_an_end_status_closes_the_alert(run: Plugged, status: str) -> None:
    """The existing plugin closed the alert at any status but ack and assign, and raised an error at `assign`."""
    alert_id = run.console.create_alert()["id"]
    run.console.set_status(alert_id, status)
    assert not run.upstream(alert_id).closed
    assert "UnboundLocalError" not in run.log()


def test_all_details_are_texts(run: Plugged) -> None:
    """The vendor takes a map of texts; the existing plugin sends the number of duplicates as a number."""
    alert_id = run.console.create_alert(value="5", attributes={"n": 5, "list": [1]})["id"]
    assert all(isinstance(value, str) for value in run.upstream(alert_id).details.values())


def test_a_slow_opsgenie_loses_no_alert(run: Plugged) -> None:
    """The existing plugin gives up after 2 s, while Alerta waits, and does not retry."""
    with run.cloud.faults.delay(1.5, times=2):
        alert_id = run.console.create_alert()["id"]
        assert run.upstream(alert_id).count == 1


def test_alerta_starts_without_any_setting_of_the_plugin(alerta: AlertaServer) -> None:
    """The existing plugin does not start without OPSGENIE_SERVICE_KEY, or without SERVICE_KEY_MATCHERS."""
    with AlertaServer(postgres=alerta.postgres, workers=1, settings={"PLUGINS": ["opsgenie"]}) as server:
        alert = {"resource": "r", "event": "e", "environment": "Production", "service": ["s"], "severity": "major"}
        assert server.call("POST", "/alert", alert)["status"] == "ok"
        log = server.log_path.read_text()
    assert "nothing is sent: set OPSGENIE_SERVICE_KEY" in log
    assert "Failed to load plugin" not in log


def test_a_change_by_a_chat_webhook_is_sent(run: Plugged) -> None:
    """Alerta's Telegram webhook changes the status without the hooks for actions."""
    alert_id = run.console.create_alert()["id"]
    update = {
        "callback_query": {
            "data": f"/ack {alert_id}",
            "from": {"username": "alice"},
            "message": {"chat": {"id": 1}, "message_id": 2, "text": ""},
        }
    }
    run.console.exchange("POST", "/webhooks/telegram", update)
    if run.console.status(alert_id) != "ack":
        pytest.skip("the Telegram library is not installed")
    assert wait_until(lambda: run.told(alert_id) == ["create", "acknowledge"])
