"""`doctor --send-test`: one action end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.agent import client
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.doctor.finding import Finding, findings_of
from alerta_opsgenie.doctor.send_test import send_test
from tests.conftest import BRIDGE_USER
from tests.support.console import Console
from tests.support.installed import Installed


def trial(installed: Installed) -> list[Finding]:
    return [Finding(*row) for row in installed.as_user(lambda inst: [*findings_of(send_test(inst))])]


def left_over(console: Console) -> list[Any]:
    return list(console.call("GET", "/alerts?resource=alerta-opsgenie-doctor")["alerts"])


def test_an_action_is_applied_and_its_alert_is_removed(installed: Installed, console: Console) -> None:
    found = trial(installed)
    assert [finding.level for finding in found] == ["ok", "ok"]
    assert BRIDGE_USER in found[0].what
    assert left_over(console) == []


@pytest.mark.parametrize(
    ("script", "words"),
    [("import sys\nsys.exit('no luck today')", "no luck today"), ("print('applied, honestly')", "not ack")],
)
def test_an_executor_that_fails_or_does_nothing_is_a_failure_and_the_alert_is_removed(
    installed: Installed, console: Console, script: str, words: str
) -> None:
    """By the executor's error, or by the alert's status."""
    path = Path(installed.layout.scripts) / "oecAlertaExecutor"
    ours = path.read_bytes()
    path.write_text(f"#!/usr/bin/env python3\n{script}\n")
    found = trial(installed)
    assert (found[0].level, words in found[0].what) == ("fail", True)
    assert left_over(console) == []
    path.write_bytes(ours)
    assert {finding.level for finding in trial(installed)} == {"ok"}


def test_an_action_that_is_not_mapped_is_dropped_as_the_connector_drops_it(installed: Installed) -> None:
    installed.change(lambda value: value["actionMappings"].pop("Acknowledge"))
    assert "would drop it" in trial(installed)[0].what


def test_a_key_that_may_not_write_makes_no_alert(installed: Installed, alerta: AlertaServer) -> None:
    key = alerta.create_key(BRIDGE_USER, ["read:alerts"])
    installed.config.with_name("alerta.key").write_text(key)
    found = trial(installed)
    assert [finding.level for finding in found] == ["fail"]
    assert "403" in found[0].what


def test_the_action_is_submitted_to_our_own_connector(
    installed: Installed, alerta: AlertaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.ask(edge="native")
    assert "no connector answers in" in trial(installed)[0].what

    def submit(options: Options, payload: str) -> client.Reply:
        assert options.alerta_url
        alert_id = json.loads(payload)["alert"]["alias"]
        alerta.call("PUT", f"/alert/{alert_id}/action", {"action": "ack", "text": ""})
        return client.Reply(0, Outcome(Kind.APPLIED, Reason.DONE), kept=True, output="", errors="")

    monkeypatch.setattr(client, "ask_status", lambda _: {})
    monkeypatch.setattr(client, "submit", submit)
    assert trial(installed)[0].level == "ok"
