"""Conversion of a repair: requests for the vendor, or messages for the relay."""

from __future__ import annotations

import json

import pytest

from alerta_opsgenie.core.last_change import ALERTA, OPSGENIE
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.publish import Dialect, Policy
from alerta_opsgenie.core.reconcile import Repair
from alerta_opsgenie.core.relay import HANDLERS, gate
from alerta_opsgenie.core.repairs import REOPEN, messages_of, requests_of, takes
from alerta_opsgenie.core.snapshot import ENDLESS, AlertState
from alerta_opsgenie.core.task import Settings
from alerta_opsgenie.core.wording import AlertValues

ID = "11111111-1111-4111-8111-111111111111"
NOW = 1_795_867_200.0
RIGHT = AlertState(is_open=True, owner="alice@example.com", priority="P1", snoozed_until=NOW + 3600, changed=NOW - 60.5,
            route="route db", id=f"{ID}-1795867000000")  # fmt: skip
VALUES = AlertValues(ID, severity="major", attributes={"owner": "alice@example.com"}, environment="Production")

OPERATIONS = {
    "create": ["create"],
    "acknowledge": ["acknowledge"],
    "unacknowledge": ["unacknowledge"],
    "snooze": ["snooze"],
    "unsnooze": ["acknowledge", "unacknowledge"],
    "close": ["close"],
    "assign": ["assign"],
    "prioritise": ["priority"],
}


def repair(*steps: str, side: str = OPSGENIE) -> Repair:
    return Repair(ID, "open", side, steps, RIGHT, "it has ended")


@pytest.mark.parametrize(("step", "operations"), OPERATIONS.items())
def test_each_step_has_its_requests_to_the_vendor(step: str, operations: list[str]) -> None:
    dispatch = requests_of(repair(step), VALUES, Policy(environments=("Production",)), NOW)
    assert [request.operation for request in dispatch.requests] == operations
    assert dispatch.route == ("default" if step == "create" else "route db")


def test_a_repair_has_its_actor_and_its_reason() -> None:
    (request,) = requests_of(repair("close"), VALUES, Policy(), NOW).requests
    assert request.body["user"] == "alerta-opsgenie via Alerta"
    assert request.body["note"] == "reconcile: it has ended"


def test_the_priority_is_the_one_that_is_right() -> None:
    (request,) = requests_of(repair("prioritise"), VALUES, Policy(), NOW).requests
    assert request.body == {"priority": "P1"}


def test_an_alert_deleted_in_alerta_is_closed_with_any_settings() -> None:
    gone = AlertValues(ID, status="closed")
    dispatch = requests_of(repair("close"), gone, Policy(environments=("Production",)), NOW)
    assert [request.operation for request in dispatch.requests] == ["close"]


@pytest.mark.parametrize("step", OPERATIONS)
def test_each_step_is_a_message_that_the_relay_takes(step: str) -> None:
    (text,) = messages_of(repair(step, side=ALERTA), "Alerta", NOW)
    message = parse(text)
    assert gate(message, Settings()) is None
    assert message.action in {*HANDLERS, REOPEN}


def test_a_message_of_a_repair_has_the_time_of_the_vendors_alert() -> None:
    first, second = (parse(text) for text in messages_of(repair("create", "acknowledge"), "Alerta", NOW))
    assert first.action == REOPEN
    assert second.updated_ns == int((NOW - 60.5) * 1000) * 10**6 + 999_999
    assert parse(messages_of(repair("close")._replace(right=RIGHT._replace(changed=0.0)), "A", NOW)[0]).updated_ns == 0


def test_a_snooze_without_an_end_lasts_a_week() -> None:
    endless = repair("snooze")._replace(right=RIGHT._replace(snoozed_until=ENDLESS))
    (text,) = messages_of(endless, "Alerta", NOW)
    assert json.loads(text)["alert"]["snoozedUntil"] == int((NOW + 7 * 86400) * 1000)


def test_jsms_key_takes_what_is_documented() -> None:
    assert takes(Policy(dialect=Dialect.JSM)) == {"create", "acknowledge", "close"}
    assert takes(Policy(dialect=Dialect.JSM, extra_calls=True)) == set(OPERATIONS)
    assert takes(Policy()) == set(OPERATIONS)
