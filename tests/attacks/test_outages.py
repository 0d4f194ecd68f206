"""Outages: a Close that waited for a night does not close the next outage.

An alert that comes again has the same id in Alerta and the same alias in Opsgenie. Each entrance is tested, with the
plugin and without it.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from lab.alerta_server import AlertaServer

from tests.attacks.people import ALICE, Site, again, message, pose
from tests.support.console import Console
from tests.support.relaying import Bridge

MINUTE_NS = 60 * 10**9
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("Acknowledge", {}),
    ("Close", {}),
    ("Delete", {}),
    ("Snooze", {"snoozedUntil": int((time.time() + 86_400) * 1000)}),
]


def came_again(console: Console) -> str:
    """Create an alert, close it, and send it again."""
    alert = console.create_alert()
    console.action(alert["id"], "close")
    console.create_alert(**again(alert))
    assert console.status(alert["id"]) == "open"
    return str(alert["id"])


@pytest.mark.parametrize(("action", "fields"), CHANGES)
def test_an_old_action_by_the_webhook_does_not_change_the_next_outage(
    closed: Site, action: str, fields: dict[str, Any]
) -> None:
    alert_id = came_again(closed.console)
    answer = closed.vendor(message(alert_id, action, updatedAt=time.time_ns() - 10 * MINUTE_NS, **fields))
    assert (answer["outcome"], answer["reason"]) == ("ignored", "stale")
    assert closed.console.status(alert_id) == "open"


@pytest.mark.parametrize("action", ["ack", "close", "shelve"])
def test_an_old_action_by_the_bridge_s_key_is_refused_by_the_plugin_itself(closed: Site, action: str) -> None:
    """The action is too recent for the relay's own check, but the plugin has recorded when the alert came again."""
    alert_id = came_again(closed.console)
    status, _, answer = pose(closed.run.bridge, alert_id, action, person=ALICE, updatedAt=time.time_ns() - 8 * 10**9)
    assert (status, answer["message"][:6]) == (409, "stale:")
    assert closed.console.status(alert_id) == "open"


def test_an_old_delete_by_the_bridge_s_key_is_refused(closed: Site) -> None:
    alert_id = came_again(closed.console)
    body = {"bridge": {"text": "", "updatedAt": time.time_ns() - 10 * MINUTE_NS, "key": "k"}}
    status, _, _ = closed.run.bridge.exchange("DELETE", f"/alert/{alert_id}", body, X_Alerta_On_Behalf_Of=ALICE)
    assert status == 409
    assert closed.console.status(alert_id) == "open"


@pytest.mark.parametrize("by", ["action", "set_status"])
def test_an_alert_that_an_operator_opens_again_is_a_new_outage(closed: Site, by: str) -> None:
    alert_id = closed.new_alert()
    closed.console.action(alert_id, "close")
    getattr(closed.console, by)(alert_id, "open")
    status, _, _ = pose(closed.run.bridge, alert_id, "close", updatedAt=time.time_ns() - MINUTE_NS)
    assert (status, closed.console.status(alert_id)) == (409, "open")


def test_an_action_of_the_current_outage_is_done(closed: Site) -> None:
    alert_id = came_again(closed.console)
    assert closed.vendor(message(alert_id, "Acknowledge"))["outcome"] == "applied"


def test_an_action_on_an_earlier_alert_of_opsgenies_is_stale_whatever_its_time(closed: Site) -> None:
    """The `alertId` has the time when Opsgenie made its alert. A person acts on the old one in an old browser tab."""
    alert_id = closed.new_alert()
    now_ms = time.time_ns() // 10**6
    ids = [f"{uuid.uuid4()}-{made_ms}" for made_ms in (now_ms - 60_000, now_ms)]
    assert closed.vendor(message(alert_id, "Acknowledge", alertId=ids[1]))["outcome"] == "applied"
    answer = closed.vendor(message(alert_id, "Close", alertId=ids[0]))
    assert (answer["outcome"], answer["reason"]) == ("ignored", "stale")
    assert closed.vendor(message(alert_id, "Close", alertId=ids[1]))["outcome"] == "applied"


def test_an_alert_id_from_the_far_future_blocks_no_action(closed: Site) -> None:
    """Attacker: a sender with the secret, with an `alertId` from the year 2286."""
    alert_id = closed.new_alert()
    closed.vendor(message(alert_id, "Acknowledge", alertId=f"{uuid.uuid4()}-9999999999999"))
    real = f"{uuid.uuid4()}-{time.time_ns() // 10**6}"
    assert closed.vendor(message(alert_id, "Close", alertId=real))["outcome"] == "applied"


def test_an_alert_from_the_future_blocks_no_action(closed: Site) -> None:
    """Attacker: anybody who may send alerts, with a `createTime` in 2099, which Alerta writes to the history."""
    alert = closed.console.create_alert()
    closed.console.action(alert["id"], "close")
    closed.console.create_alert(**again(alert), createTime="2099-01-01T00:00:00.000Z")
    assert closed.vendor(message(alert["id"], "Close"))["outcome"] == "applied"


# -- Without the plugin


@pytest.fixture
def bare(alerta: AlertaServer, alerta_key: str, console: Console) -> Bridge:
    return Bridge(alerta.url, alerta_key, console)


@pytest.mark.parametrize(("action", "fields"), CHANGES)
def test_without_the_plugin_an_old_action_does_not_change_the_next_outage(
    bare: Bridge, action: str, fields: dict[str, Any]
) -> None:
    alert_id = came_again(bare.console)
    outcome = bare.do(action, alert_id, updatedAt=time.time_ns() - 10 * MINUTE_NS, **fields)
    assert (outcome.kind.value, outcome.reason.value, bare.calls) == ("ignored", "stale", 1)
    assert bare.console.status(alert_id) == "open"


def test_without_the_plugin_an_old_action_of_the_same_outage_costs_one_more_call(bare: Bridge) -> None:
    alert_id = str(bare.console.create_alert(createTime="2020-01-01T00:00:00.000Z")["id"])
    outcome = bare.do("Close", alert_id, updatedAt=time.time_ns() - 31 * 10**9)
    assert (outcome.kind.value, bare.calls) == ("applied", 2)
