"""Names: no attacker can act under another person's name, and no name contains markup.

Only the bridge's key and the webhook's secret may act for others. All other callers act under their own login, and
their actions are sent to Opsgenie like those of an operator.
"""

from __future__ import annotations

import pytest
from lab.alerta_server import AlertaServer

from tests.attacks.people import ALICE, BOSS, BRIDGE_LOGIN, Site, message, pose, scopes_of, users_of
from tests.support.console import Console
from tests.support.plugin import wait_until

BRIDGE_SCOPE = "admin:alerta_opsgenie"
MARKUP = "<img src=x onerror=alert(1)> http://evil.example.com"


def test_a_stranger_who_registers_the_bridge_s_login_acts_as_nobody_else(closed: Site) -> None:
    """Attacker: a stranger who signs up with the login of OPSGENIE_BRIDGE_USER, makes a key, and sends BOSS's name."""
    alert_id = closed.new_alert()
    _, stranger = closed.sign_up(BRIDGE_LOGIN)

    status, headers, _ = pose(stranger, alert_id, "close")

    assert status == 200, "closing alerts is what a user may do"
    assert "x-alerta-on-behalf-of" not in headers
    assert BOSS not in users_of(closed, alert_id)
    assert closed.run.told(alert_id) == ["create", "close"], "it is sent to Opsgenie"


def test_a_user_whose_address_is_the_bridge_s_login_acts_as_nobody_else(closed: Site) -> None:
    """Attacker: a user who changes their own e-mail address to the bridge's."""
    token, user = closed.sign_up("mallory-1@example.com")
    closed.raw("PUT", "/user/me", {"email": "bridge-2@example.com"}, Authorization=f"Bearer {token}")
    alert_id = closed.new_alert()
    assert "x-alerta-on-behalf-of" not in pose(user, alert_id, "close")[1]
    assert BOSS not in users_of(closed, alert_id)


def test_the_log_warns_that_the_old_setting_has_no_effect(closed: Site) -> None:
    assert wait_until(lambda: "OPSGENIE_BRIDGE_USER has no effect any more" in closed.run.log())
    assert "sha256sum" in closed.run.log()


@pytest.mark.parametrize(
    "scopes",
    [["read", "write"], ["admin", "write", "read"], ["admin:alerts", "write"], ["write:alerta_opsgenie", "write"]],
    ids=scopes_of,
)
def test_other_scopes_do_not_act_under_a_person_s_name(closed: Site, scopes: list[str]) -> None:
    """Attacker: holders of other keys. `admin` implies each `admin:...`, but the scope has to be listed literally."""
    alert_id = closed.new_alert()
    assert "x-alerta-on-behalf-of" not in pose(closed.key(*scopes), alert_id, "ack")[1]
    assert BOSS not in users_of(closed, alert_id)


def test_a_key_that_lists_the_scope_is_the_bridge_s(closed: Site) -> None:
    alert_id = closed.new_alert()
    bridge = closed.key("write:alerts", BRIDGE_SCOPE, user="second-bridge@example.com")
    assert pose(bridge, alert_id, "ack", person=ALICE)[1]["x-alerta-on-behalf-of"] == ALICE
    assert closed.run.told(alert_id) == ["create"]


def test_only_an_admin_can_give_that_scope_to_a_key(closed: Site) -> None:
    """Attacker: a user who makes a key with the bridge's scope, or adds the scope later."""
    token, user = closed.sign_up("mallory-3@example.com")
    wanted = {"user": "mallory-3@example.com", "scopes": ["write:alerts", BRIDGE_SCOPE], "text": ""}
    assert closed.raw("POST", "/key", wanted, Authorization=f"Bearer {token}")[0] == 403
    changed = {"scopes": ["write", BRIDGE_SCOPE]}
    assert closed.raw("PUT", f"/key/{user.key}", changed, Authorization=f"Bearer {token}")[0] == 403
    alert_id = closed.new_alert()
    assert "x-alerta-on-behalf-of" not in pose(user, alert_id, "ack")[1]


def test_a_person_s_session_is_never_the_bridge_s(closed: Site) -> None:
    """Who: a user in the console. Tried: the header with a login's token."""
    token, _ = closed.sign_up("mallory-4@example.com")
    alert_id = closed.new_alert()
    body = {"action": "ack", "text": "x"}
    headers = {"Authorization": f"Bearer {token}", "X_Alerta_On_Behalf_Of": BOSS}
    assert closed.raw("PUT", f"/alert/{alert_id}/action", body, **headers)[0] == 200
    assert BOSS not in users_of(closed, alert_id)


def test_the_bridge_is_known_by_its_key_s_id_as_well_and_not_by_its_user(by_id: tuple[AlertaServer, str]) -> None:
    server, key = by_id
    console = Console(server.url, server.admin_key)
    alert_id = str(console.create_alert()["id"])
    second = Console(server.url, server.create_key(BRIDGE_LOGIN))
    assert "x-alerta-on-behalf-of" not in pose(second, alert_id, "ack")[1]
    assert pose(Console(server.url, key), alert_id, "ack", person=ALICE)[1]["x-alerta-on-behalf-of"] == ALICE


def test_a_key_with_the_id_of_the_bridge_s_cannot_be_made(by_id: tuple[AlertaServer, str]) -> None:
    """Attacker: a user who may make keys and knows the id from a log, and makes a key with that id."""
    server, key = by_id
    found = server.call("GET", f"/key/{key}")["key"]["id"]
    other = Console(server.url, server.create_key("mallory@example.com", ["write:alerts", "write:keys"]))
    wanted = {"id": found, "key": "mallorys-own-key", "scopes": ["write:alerts"], "text": ""}
    assert other.exchange("POST", "/key", wanted)[0] >= 400


def test_the_id_of_the_bridge_s_key_does_not_act_as_its_key(closed: Site) -> None:
    """Attacker: a reader of Alerta's audit log. Alerta accepts a key's id as the key; the plugin does not."""
    found = closed.run.alerta.call("GET", f"/key/{closed.run.bridge.key}")["key"]["id"]
    alert_id = closed.new_alert()
    assert "x-alerta-on-behalf-of" not in pose(Console(closed.run.alerta.url, found), alert_id, "ack")[1]
    assert BOSS not in users_of(closed, alert_id)


# -- Markup


@pytest.mark.parametrize("name", [MARKUP, "a<b>c", ":<//", "javascript://x", "<<<>>>"])
def test_no_markup_of_a_stranger_s_name_gets_into_alerta(closed: Site, name: str) -> None:
    """Attacker: a user of Opsgenie, with HTML in names, owners and tags."""
    alert_id = closed.new_alert()
    closed.vendor(message(alert_id, "Acknowledge", username=name))
    closed.vendor(message(alert_id, "AddTags", username=name, addedTags=name + ",plain"))
    closed.vendor(message(alert_id, "AddNote", username=name, note="look"))
    if name != "<<<>>>":
        closed.vendor(message(alert_id, "AssignOwnership", username=name, owner=name))

    alert = closed.console.get(alert_id)
    shown = [alert["attributes"].get("acked-by", ""), alert["attributes"].get("owner", ""), *alert["tags"]]
    shown += [note["user"] for note in closed.console.notes(alert_id)]
    shown += [line["user"] for line in alert["history"]]
    assert not [text for text in shown if "<" in text or ">" in text or "://" in text]


def test_markup_in_the_header_is_removed(closed: Site) -> None:
    """Attacker: a user of Opsgenie, through the bridge's key."""
    alert_id = closed.new_alert()
    pose(closed.run.bridge, alert_id, "ack", person=MARKUP)
    assert closed.console.get(alert_id)["attributes"]["acked-by"] == "img src=x onerror=alert(1) http evil.example.com"


def test_a_login_with_markup_is_not_shown_for_an_address(closed: Site) -> None:
    """Attacker: a user with HTML as the login and Alice's address."""
    user = {"name": "m", "login": "<b>mallory</b>", "email": "alice-2@example.com", "password": "pw", "roles": ["user"]}
    closed.run.alerta.call("POST", "/user", user)
    alert_id = closed.new_alert()
    pose(closed.run.bridge, alert_id, "ack", person="alice-2@example.com")
    assert "<" not in closed.console.get(alert_id)["attributes"]["acked-by"]
