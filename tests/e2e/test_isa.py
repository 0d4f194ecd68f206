"""Alerta with the alarm model ISA 18.2: the plugin loads, and each direction speaks the model's own words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud.person import Person

from tests.attacks.people import message
from tests.e2e.test_plugin_webhook import trusted
from tests.support.plugin import JSON, Plugged, plugged
from tests.support.relaying import in_minutes

ALICE = "alice@example.com"
ISA = {"ALARM_MODEL": "ISA_18_2"}
SAME = ("resource", "event", "environment", "service")


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with plugged(alerta.postgres, tmp_path_factory.mktemp("isa"), settings=ISA, webhook=True, workers=1) as run:
        yield run


@pytest.fixture
def alice(run: Plugged) -> Person:
    return run.cloud.person(ALICE)


def made(run: Plugged, *actions: str, severity: str = "Critical") -> JSON:
    alert = run.console.create_alert(severity=severity)
    for action in actions:
        run.console.action(alert["id"], action)
    run.settle()
    return alert


def again(run: Plugged, alert: JSON, severity: str) -> None:
    run.console.create_alert(**{name: alert[name] for name in SAME}, severity=severity)


# -- From Alerta to Opsgenie


@pytest.mark.parametrize(
    ("severity", "priority"), [("Critical", "P1"), ("High", "P2"), ("Medium", "P3"), ("Low", "P4"), ("Advisory", "P5")]
)
def test_each_severity_has_its_priority(run: Plugged, severity: str, priority: str) -> None:
    assert run.upstream(made(run, severity=severity)["id"]).priority == priority


@pytest.mark.parametrize(
    ("actions", "status", "told"),
    [
        (["ack"], "ACKED", ["acknowledge"]),
        (["shelve"], "SHLVD", ["snooze"]),
        (["shelve", "unshelve"], "UNACK", ["snooze", "acknowledge", "unacknowledge"]),
        (["ack", "close"], "ACKED", ["acknowledge"]),
    ],
)
def test_what_operators_do_is_told(run: Plugged, actions: list[str], status: str, told: list[str]) -> None:
    alert_id = made(run, *actions)["id"]
    assert run.console.status(alert_id) == status
    assert run.told(alert_id) == ["create", *told]


@pytest.mark.parametrize("actions", [[], ["ack"]])
def test_ok_closes_it_and_the_next_alarm_is_a_new_one(run: Plugged, actions: list[str]) -> None:
    alert = made(run, *actions)
    again(run, alert, "OK")
    assert run.upstream(alert["id"]).closed
    again(run, alert, "High")
    assert run.console.status(alert["id"]) == "UNACK"
    assert not run.upstream(alert["id"]).closed


def test_what_begins_as_ok_is_never_told(run: Plugged) -> None:
    assert run.told(made(run, severity="OK")["id"]) == []


# -- From Opsgenie to Alerta

TABLE: list[tuple[list[str], str, dict[str, Any], str, str]] = [
    ([], "Acknowledge", {}, "applied", "ACKED"),
    (["ack"], "Acknowledge", {}, "already", "ACKED"),
    (["shelve"], "Acknowledge", {}, "applied", "ACKED"),
    (["ack"], "UnAcknowledge", {}, "applied", "UNACK"),
    ([], "UnAcknowledge", {}, "already", "UNACK"),
    (["shelve"], "UnAcknowledge", {}, "already", "SHLVD"),
    ([], "Snooze", {"minutes": 30}, "applied", "SHLVD"),
    (["ack"], "Snooze", {"minutes": 30}, "applied", "SHLVD"),
    (["shelve"], "Snooze", {"minutes": 30}, "applied", "SHLVD"),
    (["shelve"], "SnoozeEnded", {}, "applied", "UNACK"),
    (["ack"], "SnoozeEnded", {}, "already", "ACKED"),
    ([], "SnoozeEnded", {}, "already", "UNACK"),
    ([], "Close", {}, "rejected", "UNACK"),
    (["ack"], "Close", {}, "rejected", "ACKED"),
    (["shelve"], "Close", {}, "rejected", "SHLVD"),
    ([], "Delete", {}, "rejected", "UNACK"),
]


@pytest.mark.parametrize(("before", "action", "fields", "outcome", "after"), TABLE)
def test_an_action_ends_as_the_table_says(
    run: Plugged, before: list[str], action: str, fields: dict[str, int], outcome: str, after: str
) -> None:
    alert_id = made(run, *before)["id"]
    until = {"snoozedUntil": in_minutes(fields["minutes"])} if fields else {}
    status, answer = trusted(run, message(alert_id, action, **until))
    assert (status, answer["outcome"], run.console.status(alert_id)) == (200, outcome, after)
    if outcome == "rejected":
        assert "no close" in answer["message"]


@pytest.mark.parametrize("action", ["Close", "Acknowledge", "UnAcknowledge"])
def test_what_is_back_to_normal_needs_nothing(run: Plugged, action: str) -> None:
    alert = made(run, "ack")
    again(run, alert, "OK")
    assert run.console.status(alert["id"]) == "NORM"
    assert trusted(run, message(alert["id"], action))[1]["outcome"] == "already"
    assert run.console.status(alert["id"]) == "NORM"


def test_an_acknowledge_of_an_alarm_that_has_cleared_lets_it_be_normal(run: Plugged) -> None:
    alert = made(run)
    again(run, alert, "OK")
    assert run.console.status(alert["id"]) == "RTNUN"
    assert trusted(run, message(alert["id"], "Acknowledge"))[1]["outcome"] == "applied"
    assert run.console.status(alert["id"]) == "NORM"


@pytest.mark.parametrize("action", ["Acknowledge", "Close"])
def test_nobody_puts_a_suppressed_alarm_back_into_service_by_phone(run: Plugged, action: str) -> None:
    alert_id = made(run)["id"]
    run.console.set_status(alert_id, "OOSRV")
    assert trusted(run, message(alert_id, action))[1]["outcome"] == "rejected"
    assert run.console.status(alert_id) == "OOSRV"


def test_a_person_on_the_phone_is_shown_and_not_told_back(run: Plugged, alice: Person) -> None:
    alert_id = made(run)["id"]
    alice.acknowledge(alert_id)
    run.settle()
    alert = run.console.get(alert_id)
    assert (alert["status"], alert["attributes"]["acked-by"]) == ("ACKED", ALICE)
    assert run.told(alert_id) == ["create"]


def test_the_connector_s_calls_go_by_the_same_table(run: Plugged) -> None:
    alert_id = made(run)["id"]
    body = {"action": "close", "text": "", "bridge": {}}
    status, _, answer = run.bridge.exchange("PUT", f"/alert/{alert_id}/action", body, X_Alerta_On_Behalf_Of=ALICE)
    assert (status, run.console.status(alert_id)) == (400, "UNACK")
    assert "no close" in answer["message"]
    run.console.action(alert_id, "ack")
    body = {"status": "open", "text": "", "bridge": {}}
    status, headers, _ = run.bridge.exchange("PUT", f"/alert/{alert_id}/status", body, X_Alerta_On_Behalf_Of=ALICE)
    assert (status, run.console.status(alert_id)) == (200, "UNACK")
    assert headers["x-alerta-alert-status"] == "open"


@pytest.mark.parametrize(
    ("before", "after"), [([], "ACKED"), (["ack"], "ACKED"), (["shelve"], "ACKED")], ids=["open", "ack", "shelved"]
)
def test_by_a_setting_a_close_acknowledges(
    alerta: AlertaServer, closing: Plugged, before: list[str], after: str
) -> None:
    alert_id = made(closing, *before)["id"]
    answer = trusted(closing, message(alert_id, "Close"))[1]
    assert (answer["outcome"], closing.console.status(alert_id)) == ("applied", after)
    assert "acknowledged" in answer["message"]


@pytest.fixture(scope="module")
def closing(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    settings = {**ISA, "OPSGENIE_CLOSE_ACKNOWLEDGES": True}
    with plugged(alerta.postgres, tmp_path_factory.mktemp("closing"), settings=settings, workers=1) as run:
        yield run
