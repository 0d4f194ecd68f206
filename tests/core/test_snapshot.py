"""An alert of each side, read into the same few values; and what strangers can put there."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.publish import Policy
from alerta_opsgenie.core.snapshot import (
    ENDLESS,
    AlertState,
    Snapshot,
    own_alias,
    own_open_alerts,
    read_alerta_alert,
    read_vendor_alert,
    with_lookups,
)
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry

ID = "11111111-1111-4111-8111-111111111111"
AT = "2026-11-28T12:00:00.000Z"
SECONDS = 1795867200.0
JSON = dict[str, Any]

DATA: JSON = {
    "id": f"{ID}-1795867200000", "alias": ID, "source": "Alerta", "status": "open", "acknowledged": False,
    "snoozed": False, "createdAt": AT, "updatedAt": AT, "owner": "alice@example.com", "priority": "P1",
}  # fmt: skip


def vendor(**fields: object) -> AlertState:
    seen = read_vendor_alert({**DATA, **fields}, "route db")
    assert seen is not None
    return seen


def alerta(
    status: str, *history: HistoryEntry, changed: float = 300.0, newest: dict[str, int] | None = None
) -> AlertState:
    alert = AlertValues(ID, severity="major", status=status, history=history)
    return read_alerta_alert(alert, changed, newest or {}, Policy(priorities={"major": "P2"}))


# -- The vendor's side


def test_an_open_alert_with_all_that_is_compared() -> None:
    assert vendor() == AlertState(
        is_open=True, owner="alice@example.com", priority="P1", changed=SECONDS, opened=SECONDS,
        route="route db", id=DATA["id"],
    )  # fmt: skip


def test_a_snooze_has_its_end_or_none() -> None:
    assert vendor(snoozed=True, snoozedUntil="2026-11-28T13:00:00Z").snoozed_until == SECONDS + 3600
    assert vendor(snoozed=True).snoozed_until == ENDLESS


def test_the_state_is_not_older_than_its_acknowledge_or_close() -> None:
    acked = vendor(acknowledged=True, report={"ackTime": 5000, "acknowledgedBy": "alice@example.com"})
    closed = vendor(status="closed", report={"closeTime": 9000, "closedBy": "alice@example.com"})
    assert (acked.since, acked.from_bridge) == (SECONDS + 5, False)
    assert (closed.since, closed.from_bridge, closed.is_open) == (SECONDS + 9, False, False)


def test_a_change_by_the_plugin_is_known_and_its_time_proves_nothing() -> None:
    acked = vendor(acknowledged=True, report={"ackTime": 5000, "acknowledgedBy": "carol via Alerta"})
    assert (acked.since, acked.from_bridge) == (0.0, True)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("acked", (True, True, None)), ("snoozed", (True, False, ENDLESS)), ("resolved", (False, False, None))],
)
def test_the_words_of_jsms_full_api(status: str, expected: tuple[bool, bool, float | None]) -> None:
    seen = read_vendor_alert({"id": "1", "status": status, "createdAt": AT}, "")
    assert seen is not None
    assert (seen.is_open, seen.acknowledged, seen.snoozed_until, seen.changed) == (*expected, 0.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"report": "x"}, {"report": {"ackTime": "5"}}, {"report": {"ackTime": -1}}, {"report": {"ackTime": 10**30}},
        {"acknowledged": "true"}, {"owner": {"id": 1}}, {"owner": None}, {"priority": 3}, {"priority": "P9"},
        {"createdAt": 17}, {"updatedAt": "yesterday"}, {"snoozedUntil": {}}, {"id": None},
    ],
)  # fmt: skip
def test_a_field_of_another_type_counts_as_unknown(fields: JSON) -> None:
    seen = vendor(**fields)
    assert (seen.is_open, seen.acknowledged, seen.snoozed_until, seen.since) == (True, False, None, 0.0)


@pytest.mark.parametrize(
    "fields",
    [{"source": "Zabbix"}, {"source": None}, {"alias": ".*"}, {"alias": None}, {"alias": ID.upper()}, {"alias": 7}],
)
def test_an_alert_that_is_not_ours_has_no_alias(fields: JSON) -> None:
    data = {**DATA, "alias": ID.replace("1", "a"), **fields}
    if fields.get("alias") == ID.upper():
        data["alias"] = ID.replace("1", "A")
    assert own_alias(data, "Alerta") == ""
    assert own_open_alerts([("", data)], "Alerta") == {}


def test_the_first_key_that_shows_an_alert_is_its_route() -> None:
    assert own_open_alerts([("one", DATA), ("two", DATA)], "Alerta")[ID].route == "one"


def test_a_single_look_shows_an_alert_or_that_there_is_none() -> None:
    other = ID.replace("1", "2")
    looked = with_lookups(Snapshot({}, 0.0), {ID: ("", {**DATA, "status": "closed"}), other: ("", {})}, "Alerta")
    assert (list(looked.alerts), set(looked.gone), set(looked.looked_up)) == ([ID], {other}, {ID, other})


# -- Alerta's side

NEW, ACKED = HistoryEntry("new", "open", at_seconds=100.0), HistoryEntry("ack", "ack", at_seconds=200.0)


def test_the_state_is_as_old_as_the_action_that_led_to_it() -> None:
    seen = alerta("ack", HistoryEntry("note", "ack", at_seconds=250.0), ACKED, NEW)
    assert (seen.acknowledged, seen.since, seen.changed, seen.opened) == (True, 200.0, 300.0, 100.0)


def test_the_time_of_a_sender_proves_nothing() -> None:
    assert alerta("open", HistoryEntry("severity", "open", at_seconds=900.0), NEW).since == 0.0


@pytest.mark.parametrize(
    "text",
    ["Acknowledged by alice in Opsgenie", "Acknowledged in Jira Service Management: note", "Snooze ended in Opsgenie"],
)
def test_an_entry_of_the_bridge_is_recognised(text: str) -> None:
    seen = alerta("ack", ACKED._replace(text=text), NEW, newest={"state": 150 * 10**9})
    assert (seen.from_bridge, seen.since, seen.from_bridge_at) == (True, 0.0, {"state": 150.0})


@pytest.mark.parametrize("text", ["mine", "see the runbook in Opsgenie for it", ""])
def test_an_entry_of_a_person_is_not_recognised(text: str) -> None:
    assert not alerta("ack", ACKED._replace(text=text), NEW).from_bridge


def test_an_outage_begins_where_the_alert_came_again() -> None:
    history = (
        HistoryEntry("severity", "open", at_seconds=280.0),
        HistoryEntry("close", "closed", at_seconds=200.0),
        NEW,
    )
    assert alerta("open", *history).opened == 280.0
    assert alerta("open", *history, changed=250.0).opened == 250.0
    assert alerta("open", *history, newest={"opened": 290 * 10**9}).opened == 290.0


def test_a_shelve_has_its_end_or_none() -> None:
    assert (
        alerta("shelved", HistoryEntry("shelve", "shelved", at_seconds=200.0, timeout_seconds=60)).snoozed_until
        == 260.0
    )
    assert alerta("shelved", HistoryEntry("shelve", "shelved", at_seconds=200.0)).snoozed_until == ENDLESS


def test_the_priority_is_the_one_that_was_set_or_that_of_the_severity() -> None:
    alert = AlertValues(ID, severity="major", attributes={"opsgenie-priority": "P5"})
    policy = Policy(priorities={"major": "P2"})
    assert read_alerta_alert(alert, 0.0, {}, policy).priority == "P5"
    assert read_alerta_alert(alert._replace(attributes={"opsgenie-priority": "<b>"}), 0.0, {}, policy).priority == "P2"


def test_an_alert_may_end_in_the_millisecond_of_its_create() -> None:
    assert vendor(status="closed", report={"closeTime": 0, "closedBy": "alice@example.com"}).since == SECONDS


@pytest.mark.parametrize("fields", [{"status": None}, {"status": "gone"}, {"status": 7}])
def test_an_alert_without_a_state_is_not_read(fields: JSON) -> None:
    assert read_vendor_alert({**DATA, **fields}, "") is None


def test_an_alert_excluded_by_the_settings_is_not_wanted() -> None:
    assert not read_alerta_alert(AlertValues(ID, severity="normal"), 0.0, {}, Policy()).wanted
    assert not read_alerta_alert(AlertValues(ID, severity="major"), 0.0, {}, Policy(environments=("Prod",))).wanted
