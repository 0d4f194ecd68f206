"""Alerta's own settings and plugins: those that undo actions of people are logged, or corrected if possible."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from tests.attacks.people import message
from tests.e2e.test_plugin_webhook import trusted
from tests.support.plugin import Plugged, plugged, wait_until
from tests.support.relaying import in_minutes

SAME_SECONDS = 60


@contextmanager
def with_settings(alerta: AlertaServer, directory: Path, **settings: Any) -> Iterator[Plugged]:
    with plugged(alerta.postgres, directory, settings=settings, workers=1) as run:
        yield run


def lasts_seconds(run: Plugged, alert_id: str) -> int:
    return int(run.console.history(alert_id)[-1]["timeout"])


def snooze(run: Plugged) -> tuple[str, dict[str, Any]]:
    alert_id = str(run.console.create_alert()["id"])
    return alert_id, trusted(run, message(alert_id, "Snooze", snoozedUntil=in_minutes(30)))[1]


def test_after_the_plugin_timeout_a_snooze_lasts_until_its_end(alerta: AlertaServer, tmp_path: Path) -> None:
    with with_settings(alerta, tmp_path, PLUGINS=["timeout", "opsgenie"]) as run:
        alert_id, answer = snooze(run)
        assert abs(lasts_seconds(run, alert_id) - 1800) <= SAME_SECONDS
        assert (answer["outcome"], answer["message"]) == ("applied", "")
        assert "settings undo actions from Opsgenie" not in run.log()


def test_before_the_plugin_timeout_outcome_and_log_name_the_real_end(alerta: AlertaServer, tmp_path: Path) -> None:
    with with_settings(alerta, tmp_path, PLUGINS=["opsgenie", "timeout"]) as run:
        alert_id, answer = snooze(run)
        assert lasts_seconds(run, alert_id) == 7200
        assert answer["outcome"] == "applied"
        assert "Alerta ends it after 7200 s, not 1800" in answer["message"]
        assert run.log().count("the plugin timeout ends a snooze after SHELVE_TIMEOUT, 7200 s") == 1


def test_ack_timeout_is_in_the_log_and_in_the_outcome(
    alerta: AlertaServer, tmp_path: Path
) -> None:
    with with_settings(alerta, tmp_path, ACK_TIMEOUT=2) as run:
        alert_id = str(run.console.create_alert()["id"])
        assert "Alerta ends it after 2 s" in trusted(run, message(alert_id, "Acknowledge"))[1]["message"]
        assert "ACK_TIMEOUT ends an acknowledge after 2 s" in run.log()
        body = {"action": "ack", "text": "", "bridge": {}}
        run.console.action(alert_id, "unack")
        path = f"/alert/{alert_id}/action"
        headers = run.bridge.exchange("PUT", path, body, X_Alerta_On_Behalf_Of="a@example.com")[1]
        assert headers["x-alerta-alert-timeout"] == "2"
        run.settle()
        assert wait_until(lambda: alert_id in run.alerta.housekeeping()["unack"])


@pytest.mark.parametrize("severity", ["Critical", "CRITICAL", "critical"])
def test_a_severity_is_read_in_any_case(alerta: AlertaServer, severities: Plugged, severity: str) -> None:
    assert severities.upstream(severities.console.create_alert(severity=severity)["id"]).priority == "P1"


def test_a_warning_in_any_case_is_not_sent(alerta: AlertaServer, severities: Plugged) -> None:
    assert severities.told(severities.console.create_alert(severity="Warning")["id"]) == []


@pytest.fixture(scope="module")
def severities(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    own = {"Critical": 1, "CRITICAL": 1, "critical": 1, "Warning": 4, "normal": 7, "indeterminate": 5}
    with with_settings(alerta, tmp_path_factory.mktemp("severities"), SEVERITY_MAP=own) as run:
        yield run


def test_an_acknowledge_that_changes_nothing_leaves_acked_by(alerta: AlertaServer, severities: Plugged) -> None:
    alert_id = str(severities.console.create_alert(severity="critical")["id"])
    trusted(severities, message(alert_id, "Acknowledge", username="alice@example.com"))
    second = message(alert_id, "Acknowledge", username="bob@example.com", updatedAt=time.time_ns())
    assert trusted(severities, second)[1]["outcome"] == "already"
    assert severities.console.get(alert_id)["attributes"]["acked-by"] == "alice@example.com"


FAILS_ONCE = '''
from alerta.plugins import PluginBase

class Once(PluginBase):
    """Fails at the first alert that it is shown after this was stored."""
    failed = False
    def pre_receive(self, alert, **kwargs): return alert
    def post_receive(self, alert, **kwargs):
        if not Once.failed:
            Once.failed = True
            raise RuntimeError("once")
    def status_change(self, alert, status, text, **kwargs): pass
'''
BESIDE = ["blackout", "reject", "remote_ip", "timeout", "forwarder", "acked_by", "once"]


@pytest.mark.parametrize("order", [["opsgenie", *BESIDE], [*BESIDE, "opsgenie"]], ids=["first", "last"])
def test_with_alerta_s_own_plugins_and_one_that_fails_once(
    alerta: AlertaServer, tmp_path: Path, order: list[str]
) -> None:
    """When the alert is sent again after the other plugin's error, Alerta takes it as a repeat."""
    package = tmp_path / "once-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: once\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[alerta.plugins]\nonce = once:Once\n")
    (tmp_path / "once.py").write_text(FAILS_ONCE)
    env = {"PYTHONPATH": str(tmp_path)}
    with plugged(alerta.postgres, tmp_path / "p", settings={"PLUGINS": order}, workers=1, webhook=True, env=env) as run:
        assert run.console.exchange("POST", "/alert", ALERT)[0] == 500
        again = run.console.call("POST", "/alert", ALERT)
        assert run.upstream(again["id"]).priority == "P2"
        alert = run.console.create_alert()
        run.console.action(alert["id"], "ack")
        run.settle()
        run.cloud.person("alice@example.com").unacknowledge(alert["id"])
        run.settle()
        after = run.console.get(alert["id"])
        assert (after["status"], after["attributes"].get("acked-by")) == ("open", None)
        run.cloud.person("alice@example.com").acknowledge(alert["id"])
        run.settle()
        after = run.console.get(alert["id"])
        assert (after["status"], after["attributes"]["acked-by"]) == ("ack", "alice@example.com")
        run.console.action(alert["id"], "close")
        assert run.told(alert["id"]) == ["create", "acknowledge", "close"]
        assert "an error of the plugin" not in run.log()


ALERT = {"resource": "host", "event": "Down", "environment": "Production", "service": ["Web"], "severity": "major"}


@pytest.mark.parametrize("limit", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_short_history_does_not_change_what_is_sent(
    alerta: AlertaServer, tmp_path: Path, limit: int
) -> None:
    with with_settings(alerta, tmp_path, HISTORY_LIMIT=limit) as run:
        run.console.call("POST", "/alert", ALERT)
        alert_id = run.console.call("POST", "/alert", ALERT)["id"]
        run.console.note(alert_id, "looking")
        run.console.action(alert_id, "ack")
        run.console.call("POST", "/alert", {**ALERT, "severity": "normal"})
        assert run.told(alert_id) == ["create", "notes", "acknowledge", "close"]
        unsent = run.console.create_alert(severity="informational")["id"]
        run.console.action(unsent, "ack")
        run.console.action(unsent, "close")
        assert run.told(unsent) == []
