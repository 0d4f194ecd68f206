"""Order: nobody makes the on-call's later actions count as late.

An `updatedAt` is a claim by the sender, and the record of it lies in an attribute, which whoever may write alerts may
write.
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
    """Let the on-call close the alert in Opsgenie, now, and see it closed."""
    assert site.vendor(message(alert_id, "Close"))["outcome"] == "applied"
    assert site.console.status(alert_id) == "closed"


def acts(site: Site, alert_id: str, action: str, **bridge: Any) -> tuple[int, Any]:
    status, _, answer = pose(site.run.bridge, alert_id, action, **bridge)
    return status, answer


@pytest.mark.parametrize("updated_ns", [POISON_NS, 10**18 * 9, 10**30, -1])
def test_a_message_from_the_far_future_does_not_shut_an_alert_for_good(closed: Site, updated_ns: int) -> None:
    """Who: a sender with the secret and a broken clock, or worse. Tried: an `updatedAt` of 2^63 - 1."""
    alert_id = closed.new_alert()
    closed.vendor(message(alert_id, "Acknowledge", updatedAt=updated_ns))
    closes(closed, alert_id)


def test_nor_does_one_by_the_bridge_s_own_key(closed: Site) -> None:
    alert_id = closed.new_alert()
    assert acts(closed, alert_id, "ack", updatedAt=POISON_NS)[0] == 200
    assert acts(closed, alert_id, "close")[0] == 200


@pytest.mark.parametrize("ahead_ns", [90 * 10**9, DAY_NS])
def test_an_action_ahead_of_the_clock_that_changes_nothing_makes_nothing_late(closed: Site, ahead_ns: int) -> None:
    """Who: nobody evil, a host whose clock is ahead. Did: unacknowledge an alert that was not acknowledged."""
    alert_id = closed.new_alert()
    assert acts(closed, alert_id, "unack", updatedAt=time.time_ns() + ahead_ns)[0] == 409
    closes(closed, alert_id)


def test_a_no_op_of_the_past_still_makes_older_ones_late(closed: Site) -> None:
    """The other side of it: an acknowledge that arrives after the unacknowledge that followed it stays undone."""
    alert_id = closed.new_alert()
    now = time.time_ns()
    acts(closed, alert_id, "unack", updatedAt=now)
    status, answer = acts(closed, alert_id, "ack", updatedAt=now - 1)
    assert (status, answer["message"][:6]) == (409, "stale:")
    assert closed.console.status(alert_id) == "open"


def test_an_ordinary_user_s_key_orders_nothing(closed: Site) -> None:
    """Who: a user with a key. May: write alerts. Tried: the bridge's own words, by the API and by the webhook."""
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
    """Alerta passes all plugins over for an alert that says of itself that it is in a blackout."""
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
def test_whoever_writes_the_record_themselves_makes_nothing_late(closed: Site, forge: Any, acted_before: bool) -> None:
    """Who: a user with a key that may write alerts. Tried: to write `opsgenie-order`, in each way there is."""
    alert = closed.console.create_alert()
    if acted_before:
        closed.vendor(message(alert["id"], "Acknowledge"))
        before = closed.console.get(alert["id"])["attributes"]["opsgenie-order"]
    forge(closed.key("write:alerts", "read:alerts"), alert)
    attributes = closed.console.get(alert["id"])["attributes"]
    assert attributes.get("opsgenie-order") == (before if acted_before else None), "nor do they wipe it out"
    closes(closed, alert["id"])


def test_a_record_of_another_alert_is_none_of_this_one(closed: Site) -> None:
    """Who: a user who can read alerts. Tried: to copy the newer record of another alert, past the plugins."""
    other, alert_id = closed.new_alert(), closed.new_alert()
    closed.vendor(message(other, "Acknowledge", updatedAt=time.time_ns() + 60 * 10**9))
    copied = closed.console.get(other)["attributes"]["opsgenie-order"]
    postgres = closed.run.alerta.postgres
    with postgres.connection(closed.run.alerta.database) as connection, connection.cursor() as cursor:
        record = json.dumps({"opsgenie-order": copied})
        cursor.execute("UPDATE alerts SET attributes = attributes || %s::jsonb WHERE id = %s", (record, alert_id))
        connection.commit()
    closes(closed, alert_id)


def test_what_is_late_is_in_the_log_and_counted(closed: Site) -> None:
    """Somebody's action was not done: that is never silent."""
    alert_id = closed.new_alert()
    now = time.time_ns()
    acts(closed, alert_id, "ack", updatedAt=now)
    acts(closed, alert_id, "close", updatedAt=now - 1)
    assert f"an action on alert {alert_id} is not done: something newer" in closed.run.log()
    assert "alerta_opsgenie_stale_total" in metrics(closed)


def metrics(site: Site) -> str:
    """Give Alerta's own metrics, as Prometheus reads them."""
    _, _, answer = site.console.exchange("GET", "/management/metrics")
    return str(answer["text"])
