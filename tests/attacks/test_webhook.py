"""The webhook: callers without the shared secret or a key are refused, also if AUTH_REQUIRED is off.

The secret acts for other people. An API key for write:alerts acts as its own user.
"""

from __future__ import annotations

import pytest

from tests.attacks.people import ALICE, Site, message, users_of
from tests.support.plugin import SECRET, SECRET_HEADER

HEADER = SECRET_HEADER.replace("-", "_")


@pytest.fixture(params=["closed", "unauthenticated"])
def site(request: pytest.FixtureRequest) -> Site:
    """The webhook has a secret. AUTH_REQUIRED is on or off."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {HEADER: "wrong"},
        {HEADER: ""},
        {HEADER: SECRET + "x"},
        {"Authorization": "Key "},
        {"Authorization": "Key no-such-key"},
        {"X_API_Key": "no-such-key"},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": "Basic eDp5"},
    ],
    ids=str,
)
def test_a_request_without_a_valid_secret_or_key_is_refused(site: Site, headers: dict[str, str]) -> None:
    """Attacker: anybody on the network, who closes an alert."""
    alert_id = site.new_alert()
    status, _ = site.webhook(message(alert_id, "Close"), **headers)
    assert status == 401
    assert site.console.status(alert_id) == "open"


@pytest.mark.parametrize("scopes", [["write:webhooks"], ["write:webhooks", "read:alerts"], ["read"]])
def test_a_key_without_write_alerts_is_refused(site: Site, scopes: list[str]) -> None:
    """Attacker: a holder of another webhook's key, who acknowledges, tags and closes as Alice."""
    alert_id = site.new_alert()
    key = site.key(*scopes).key
    for action, fields in (("Acknowledge", {}), ("AddTags", {"addedTags": "x"}), ("Close", {})):
        assert site.webhook(message(alert_id, action, **fields), Authorization=f"Key {key}")[0] == 403
    alert = site.console.get(alert_id)
    assert (alert["status"], alert["tags"], "acked-by" in alert["attributes"]) == ("open", [], False)


@pytest.mark.parametrize("header", ["Authorization", "X_API_Key"])
def test_a_key_with_write_alerts_acts_as_its_user_and_the_action_is_sent_to_opsgenie(site: Site, header: str) -> None:
    """Attacker: a user with a key, who acts as Alice."""
    alert_id = site.new_alert()
    key = site.key("write:alerts").key
    status, answer = site.webhook(
        message(alert_id, "Close"), **{header: f"Key {key}" if header == "Authorization" else key}
    )
    assert (status, answer["outcome"]) == (200, "applied")
    assert ALICE not in users_of(site, alert_id)
    assert site.run.told(alert_id) == ["create", "close"]


def test_a_key_without_delete_alerts_deletes_nothing(unauthenticated: Site) -> None:
    """Attacker: a holder of a key for write:alerts, where a delete needs delete:alerts."""
    alert_id = unauthenticated.new_alert()
    answers = []
    for scopes in (["write:alerts"], ["write:alerts", "delete:alerts"]):
        key = unauthenticated.key(*scopes).key
        answers.append(unauthenticated.webhook(message(alert_id, "Delete"), Authorization=f"Key {key}"))
    assert [(status, answer["outcome"]) for status, answer in answers] == [(503, "kept"), (200, "applied")]


def test_a_key_in_the_url_is_refused(site: Site) -> None:
    """Proxies and servers log URLs, so a key must not be in one."""
    alert_id = site.new_alert()
    key = site.key("write").key
    assert site.webhook(message(alert_id, "Close"), f"?api-key={key}")[0] == 401
    assert site.console.status(alert_id) == "open"


def test_a_user_s_session_is_refused(closed: Site) -> None:
    """Attacker: a user of the console, who may use webhooks and acts as Alice."""
    token, _ = closed.sign_up("mallory-w@example.com")
    alert_id = closed.new_alert()
    assert closed.webhook(message(alert_id, "Close"), Authorization=f"Bearer {token}")[0] == 401
    assert closed.console.status(alert_id) == "open"


def test_the_secret_acts_as_the_person_and_nothing_is_sent_to_opsgenie(site: Site) -> None:
    alert_id = site.new_alert()
    assert site.vendor(message(alert_id, "Acknowledge"))["outcome"] == "applied"
    assert site.console.get(alert_id)["attributes"]["acked-by"] == ALICE
    assert site.run.told(alert_id) == ["create"]


def test_the_secret_is_used_if_there_is_a_key_too(site: Site) -> None:
    alert_id = site.new_alert()
    poor = site.key("read:alerts").key
    status, answer = site.webhook(message(alert_id, "Close"), Authorization=f"Key {poor}", **{HEADER: SECRET})
    assert (status, answer["outcome"]) == (200, "applied")


def test_without_a_secret_the_webhook_refuses_and_names_the_setting(without_secret: Site) -> None:
    """Attacker: anybody. AUTH_REQUIRED is off, and the webhook has no secret."""
    alert_id = without_secret.new_alert()
    for headers in ({}, {HEADER: ""}, {HEADER: "None"}):
        status, answer = without_secret.webhook(message(alert_id, "Close"), **headers)
        assert status == 401
        assert "OPSGENIE_WEBHOOK_SECRET_FILE" in answer["message"]
    assert without_secret.console.status(alert_id) == "open"
    assert "the webhook refuses a request: no secret is set" in without_secret.run.log()


def test_the_webhook_is_off_until_plugins_has_the_plugin(not_enabled: Site) -> None:
    """Without the plugin in PLUGINS even the secret is refused."""
    alert_id = not_enabled.new_alert()
    for headers in ({}, {HEADER: SECRET}, {"Authorization": f"Key {not_enabled.run.bridge.key}"}):
        status, answer = not_enabled.webhook(message(alert_id, "Close"), **headers)
        assert status in (401, 403, 404), answer
    assert not_enabled.console.status(alert_id) == "open"


def test_neither_secret_nor_key_is_in_the_log(closed: Site) -> None:
    alert_id = closed.new_alert()
    key = closed.key("write:alerts").key
    closed.webhook(message(alert_id, "Acknowledge"), Authorization=f"Key {key}")
    closed.vendor(message(alert_id, "Close"))
    assert "Webhook Request" in closed.run.log()
    assert SECRET not in closed.run.log()
    assert key not in closed.run.log()
