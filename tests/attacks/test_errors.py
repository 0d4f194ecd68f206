"""Errors: no request, and no error of the plugin, makes Alerta fail after it has written a change."""

from __future__ import annotations

from typing import Any

import pytest
from lab.versions import as_numbers, under_test

from tests.attacks.people import BULK, Site, pose
from tests.attacks.test_order import metrics

HAS_POST_ACTION = (9, 0, 4)
ODD_TEXTS: list[Any] = [None, 5, 1.5, True, ""]


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize(
    ("action", "expected"), [("ack", "acknowledge"), ("shelve", "snooze"), ("close", "close"), ("assign", "assign")]
)
def test_an_action_without_a_text_is_sent_without_a_note(closed: Site, action: str, expected: str, text: Any) -> None:
    alert_id = closed.new_alert()
    status, _, answer = closed.console.exchange("PUT", f"/alert/{alert_id}/action", {"action": action, "text": text})
    assert (status, answer["status"]) == (200, "ok")
    sent = [(last, body) for _, last, body in closed.run.requests(alert_id)][1:]
    assert [last for last, _ in sent] == [expected]
    assert str(text) not in str(sent[0][1].get("note", "")) or text == ""


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize("path", ["/alert/{}/status", pytest.param("/_bulk/alerts/status?id={}", marks=BULK)])
def test_a_status_without_a_text_is_sent(closed: Site, path: str, text: Any) -> None:
    alert_id = closed.new_alert()
    assert closed.console.exchange("PUT", path.format(alert_id), {"status": "ack", "text": text})[0] == 200
    assert closed.run.told(alert_id) == ["create", "acknowledge"]


ODD_FIELDS: list[dict[str, Any]] = [
    {"text": None, "value": None, "group": None, "origin": None, "type": None},
    {"text": 5, "value": 1.5, "group": 7, "origin": 8, "type": 9},
    {"value": True, "text": False},
    {"service": [], "tags": [], "attributes": {}},
    {"service": ["a", "5"], "tags": ["b", "5"], "attributes": {"n": 5, "l": [1], "d": {"x": None}, "z": None}},
    {"timeout": 0},
    {"timeout": None, "rawData": "\x01", "correlate": []},
]


@pytest.mark.parametrize("fields", ODD_FIELDS, ids=lambda fields: "-".join(fields)[:30])
def test_unusual_fields_of_an_alert_are_sent(closed: Site, fields: dict[str, Any]) -> None:
    alert_id = closed.new_alert(**fields)
    closed.console.action(alert_id, "shelve")
    assert closed.run.told(alert_id) == ["create", "snooze"]
    assert f"of alert {alert_id}" not in closed.run.log()


def test_a_note_that_is_a_number_breaks_nothing(closed: Site) -> None:
    alert_id = closed.new_alert()
    assert closed.console.exchange("PUT", f"/alert/{alert_id}/note", {"note": 7})[0] in (201, 400)
    assert closed.console.status(alert_id) == "open"


@pytest.mark.parametrize("bridge", [7, "x", [], {"updatedAt": "x", "text": 5, "key": [], "incident": {}}, None])
def test_invalid_fields_of_the_bridge_are_ignored(closed: Site, bridge: Any) -> None:
    alert_id = closed.new_alert()
    body = {"action": "ack", "text": "t", "bridge": bridge}
    status, _, _ = closed.run.bridge.exchange("PUT", f"/alert/{alert_id}/action", body, X_Alerta_On_Behalf_Of="a")
    assert (status, closed.console.status(alert_id)) == (200, "ack")


# -- An error of the plugin


def test_an_error_of_the_plugin_is_logged_and_counted_and_alerta_continues(faulty: Site) -> None:
    """A plugin's exception would be a 500 after the change was written (PLUGINS_RAISE_ON_ERROR is Alerta's default)."""
    alert_id = faulty.new_alert()
    faulty.console.action(alert_id, "ack")
    faulty.console.set_status(alert_id, "open")
    faulty.console.note(alert_id, "a note")
    faulty.console.action(alert_id, "close")
    assert faulty.console.status(alert_id) == "closed"
    log = faulty.run.log()
    assert f"an error of the plugin, in post_receive of alert {alert_id}" in log
    last = f"post_action of alert {alert_id}" if as_numbers(under_test()) >= HAS_POST_ACTION else "sending a change"
    assert f"an error of the plugin, in {last}" in log
    assert "a planted fault" in log
    assert "alerta_opsgenie_errors_total" in metrics(faulty)


def test_a_delete_is_done_despite_an_error_of_the_plugin(faulty: Site) -> None:
    alert_id = faulty.new_alert()
    faulty.console.delete(alert_id)
    assert faulty.console.exchange("GET", f"/alert/{alert_id}")[0] == 404


def test_a_stale_action_is_refused_despite_an_error_of_the_plugin(faulty: Site) -> None:
    alert_id = faulty.new_alert()
    pose(faulty.run.bridge, alert_id, "ack", updatedAt=2_000)
    assert pose(faulty.run.bridge, alert_id, "close", updatedAt=1_000)[0] == 409
