"""Customers (CUSTOMER_VIEWS): a secret or a key can change only alerts of its own customers."""

from __future__ import annotations

import pytest

from tests.attacks.people import ALICE, Site, message, pose


def alert_of(site: Site, customer: str) -> str:
    return site.new_alert(customer=customer)


def test_the_secret_acts_on_the_alerts_of_its_customer(customers: Site) -> None:
    alert_id = alert_of(customers, "acme")
    assert customers.vendor(message(alert_id, "Acknowledge"))["outcome"] == "applied"
    assert customers.console.get(alert_id)["attributes"]["acked-by"] == ALICE


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("Close", {}),
        ("Acknowledge", {}),
        ("AddNote", {"note": "x"}),
        ("AddTags", {"addedTags": "x"}),
        ("TakeOwnership", {}),
        ("Delete", {}),
    ],
)
def test_the_secret_of_one_customer_reaches_no_alert_of_another(
    customers: Site, action: str, fields: dict[str, str]
) -> None:
    """Attacker: customer acme's Opsgenie, with each kind of action on an alert of customer umbrella."""
    alert_id = alert_of(customers, "umbrella")
    before = customers.console.get(alert_id)
    answer = customers.vendor(message(alert_id, action, **fields))
    assert (answer["outcome"], answer["reason"]) == ("rejected", "not-found")
    assert customers.console.get(alert_id) == before


def test_a_key_of_one_customer_reaches_no_alert_of_another_by_the_webhook(customers: Site) -> None:
    """Attacker: a holder of umbrella's key."""
    key = customers.key("write:alerts", customer="umbrella").key
    own, other = alert_of(customers, "umbrella"), alert_of(customers, "acme")
    answers = [
        customers.webhook(message(alert_id, "Close"), Authorization=f"Key {key}")[1] for alert_id in (own, other)
    ]
    assert [answer["outcome"] for answer in answers] == ["applied", "rejected"]
    assert customers.console.status(other) == "open"


def test_a_bridge_key_of_one_customer_reaches_no_alert_of_another(customers: Site) -> None:
    """The person's name gives no rights."""
    bridge = customers.key("write:alerts", "admin:alerta_opsgenie", customer="acme")
    other = alert_of(customers, "umbrella")
    assert pose(bridge, other, "close", person=ALICE)[0] == 404
    assert customers.console.status(other) == "open"
    assert "opsgenie-order" not in customers.console.get(other)["attributes"]
