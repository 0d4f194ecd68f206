"""Order: no attacker can make later actions of the on-call stale.

An `updatedAt` is a claim by the sender. Its record is in an attribute, which anybody who may write alerts may write.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.attacks.people import BULK, DAY_NS, POISON_NS, Site, again, message, pose
from tests.support.console import Console

FORGED = f"state={POISON_NS} owner={POISON_NS} opened={POISON_NS} incident={POISON_NS}"


def closes(site: Site, alert_id: str) -> None:
    """Close the alert in Opsgenie as the on-call, and check that it is closed."""
    assert site.vendor(message(alert_id, "Close"))["outcome"] == "applied"
    assert site.console.status(alert_id) == "closed"


def acts(site: Site, alert_id: str, action: str, **bridge: Any) -> tuple[int, Any]:
    status, _, answer = pose(site.run.bridge, alert_id, action, **bridge)
    return status, answer


@pytest.mark.parametrize("updated_ns", [POISON_NS, 10**18 * 9, 10**30, -1])
def test_a_time_in_the_far_future_does_not_block_later_actions(closed: Site, updated_ns: int) -> None:
    """Attacker: a sender with the secret, with an `updatedAt` of up to 2^63 - 1."""
    alert_id = closed.new_alert()
    closed.vendor(message(alert_id, "Acknowledge", updatedAt=updated_ns))
    closes(closed, alert_id)


def test_a_time_in_the_far_future_by_the_bridge_s_key_does_not_either(closed: Site) -> None:
    alert_id = closed.new_alert()
    assert acts(closed, alert_id, "ack", updatedAt=POISON_NS)[0] == 200
    assert acts(closed, alert_id, "close")[0] == 200


@pytest.mark.parametrize("ahead_ns", [90 * 10**9, DAY_NS])
def test_a_no_op_from_the_future_makes_nothing_stale(closed: Site, ahead_ns: int) -> None:
    """A host whose clock is ahead unacknowledges an alert that was not acknowledged."""
    alert_id = closed.new_alert()
    assert acts(closed, alert_id, "unack", updatedAt=time.time_ns() + ahead_ns)[0] == 409
    closes(closed, alert_id)


def test_a_no_op_of_the_past_makes_older_actions_stale(closed: Site) -> None:
    """An acknowledge that arrives after the later unacknowledge is not done."""
    alert_id = closed.new_alert()
    now = time.time_ns()
    acts(closed, alert_id, "unack", updatedAt=now)
    status, answer = acts(closed, alert_id, "ack", updatedAt=now - 1)
    assert (status, answer["message"][:6]) == (409, "stale:")
    assert closed.console.status(alert_id) == "open"


def test_another_user_s_key_records_no_times(closed: Site) -> None:
    """Attacker: a user with a key for write:alerts, who sends the bridge's fields by the API and by the webhook."""
    alert_id = closed.new_alert()
    user = closed.key("write:alerts")
    pose(user, alert_id, "unack", updatedAt=POISON_NS)
    closed.webhook(message(alert_id, "UnAcknowledge", updatedAt=POISON_NS), Authorization=f"Key {user.key}")
    assert "opsgenie-order" not in closed.console.get(alert_id)["attributes"]
    closes(closed, alert_id)


def forge_at(path: str) -> Callable[[Console, dict[str, Any]], object]:
    body = {"attributes": {"opsgenie-order": FORGED, "harmless": "1"}}
    return lambda user, alert: user.call("PUT", path.format(alert["id"]), body)


def forge_by_repeat(user: Console, alert: dict[str, Any]) -> None:
    user.create_alert(**again(alert), attributes={"opsgenie-order": FORGED})


def forge_past_the_plugins(user: Console, alert: dict[str, Any]) -> None:
    """Alerta calls no plugin for an alert that is sent with the status `blackout`."""
    user.create_alert(**again(alert), status="blackout", attributes={"opsgenie-order": FORGED})
    user.set_status(alert["id"], "open")


@pytest.mark.parametrize(
    "forge",
    [
        forge_at("/alert/{}/attributes"),
        pytest.param(forge_at("/_bulk/alerts/attributes?id={}"), marks=BULK),
        forge_by_repeat,
        forge_past_the_plugins,
    ],
    ids=["attributes", "bulk", "repeat", "past the plugins"],
)
@pytest.mark.parametrize("acted_before", [False, True])
def test_a_forged_record_makes_nothing_stale(closed: Site, forge: Any, acted_before: bool) -> None:
    """Attacker: a user with a key for write:alerts, who writes `opsgenie-order` in each possible way."""
    alert = closed.console.create_alert()
    if acted_before:
        closed.vendor(message(alert["id"], "Acknowledge"))
        before = closed.console.get(alert["id"])["attributes"]["opsgenie-order"]
    forge(closed.key("write:alerts", "read:alerts"), alert)
    attributes = closed.console.get(alert["id"])["attributes"]
    assert attributes.get("opsgenie-order") == (before if acted_before else None), "the record is not removed either"
    closes(closed, alert["id"])


def test_a_record_copied_from_another_alert_is_ignored(closed: Site) -> None:
    """Attacker: a user who copies the newer record of another alert, without a call of the plugins."""
    other, alert_id = closed.new_alert(), closed.new_alert()
    closed.vendor(message(other, "Acknowledge", updatedAt=time.time_ns() + 60 * 10**9))
    copied = closed.console.get(other)["attributes"]["opsgenie-order"]
    postgres = closed.run.alerta.postgres
    with postgres.connection(closed.run.alerta.database) as connection, connection.cursor() as cursor:
        record = json.dumps({"opsgenie-order": copied})
        cursor.execute("UPDATE alerts SET attributes = attributes || %s::jsonb WHERE id = %s", (record, alert_id))
        connection.commit()
    closes(closed, alert_id)


def test_a_stale_action_is_logged_and_counted(closed: Site) -> None:
    """People have to see that an action was not done."""
    alert_id = closed.new_alert()
    now = time.time_ns()
    acts(closed, alert_id, "ack", updatedAt=now)
    acts(closed, alert_id, "close", updatedAt=now - 1)
    assert f"an action on alert {alert_id} is not done: something newer" in closed.run.log()
    assert "alerta_opsgenie_stale_total" in metrics(closed)


def metrics(site: Site) -> str:
    """Return Alerta's metrics for Prometheus."""
    _, _, answer = site.console.exchange("GET", "/management/metrics")
    return str(answer["text"])
