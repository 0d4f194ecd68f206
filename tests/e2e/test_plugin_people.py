"""A person's login in Alerta, by OPSGENIE_PEOPLE and Alerta's users; and an owner's address at the vendor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from lab.alerta_server import AlertaServer

from tests.e2e.test_plugin_reconcile import sweeps
from tests.support.plugin import JSON, Plugged, plugged, wait_until

ID, STRANGER = "5b10ac8d82e05b22cc7d4ef5", "557058:f58131cb-b67d-43c7-b30d-6b58d40bd077"
CAROL = "carol@example.com"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "people"
    path.write_text(f"# Opsgenie's ids\n{ID} = dora\ndora@example.com = dora\n")
    return path


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    settings = {"OPSGENIE_PEOPLE": str(people), "OPSGENIE_RECONCILE": 1}
    directory = tmp_path_factory.mktemp("plugin")
    with plugged(alerta.postgres, directory, settings=settings, webhook=True, workers=1) as run:
        for login, email, name in (
            ("carol", CAROL, "Carol Example"),
            ("eve1", "eve1@example.com", "Eve Twice"),
            ("eve2", "eve2@example.com", "Eve Twice"),
            ("mallory", "mallory@example.com", "victim@example.com"),
        ):
            user = {"name": name, "login": login, "email": email, "password": "pw", "roles": ["user"]}
            run.alerta.call("POST", "/user", user)
        yield run


def ask(run: Plugged, path: str, body: JSON, person: str, **bridge: Any) -> None:
    status, _, answer = run.bridge.exchange(
        "PUT", f"/alert/{path}", {**body, "bridge": bridge}, X_Alerta_On_Behalf_Of=quote(person, safe="@")
    )
    assert status in (200, 201), answer


@pytest.mark.parametrize(
    ("claimed", "shown"),
    [
        (ID, "dora"),
        ("Dora@example.com", "dora"),
        (CAROL, "carol"),
        ("Carol Example", "carol"),
        ("Eve Twice", "Eve Twice"),
        ("victim@example.com", "victim@example.com"),
        (STRANGER, STRANGER),
    ],
)
def test_a_person_is_shown_by_login_and_the_id_is_kept(run: Plugged, claimed: str, shown: str) -> None:
    """A display name that two users have, or that is an address, is shown unchanged."""
    alert_id = run.console.create_alert()["id"]
    ask(run, f"{alert_id}/action", {"action": "ack"}, claimed, text="Acknowledged in Opsgenie")
    attributes = run.console.get(alert_id)["attributes"]
    assert run.console.history(alert_id)[-1]["user"] == shown
    assert (attributes["acked-by"], attributes.get("acked-by-id", shown)) == (shown, claimed)


def test_the_next_person_s_acknowledge_removes_the_id(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    for person in (ID, STRANGER):
        ask(run, f"{alert_id}/action", {"action": "ack"}, person)
        shown = run.console.get(alert_id)["attributes"]
        ask(run, f"{alert_id}/action", {"action": "unack"}, person)
    assert (shown["acked-by"], "acked-by-id" in shown) == (STRANGER, False)
    assert not {"acked-by", "acked-by-id"} & set(run.console.get(alert_id)["attributes"])


def test_an_owner_is_the_same_in_both_directions(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    run.settle()
    run.cloud.person("dora@example.com").assign(alert_id, CAROL)
    assert wait_until(lambda: run.console.get(alert_id)["attributes"].get("owner") == "carol")
    assert run.console.get(alert_id)["attributes"]["owner-id"] == CAROL
    note = run.console.notes(alert_id)[-1]
    assert (note["user"], note["text"]) == ("dora", "dora assigned the alert to carol in Opsgenie")
    run.cloud.person("dora@example.com").take_ownership(alert_id)
    assert wait_until(lambda: run.console.get(alert_id)["attributes"].get("owner") == "dora")
    sweeps(run, 4)
    assert run.upstream(alert_id).owner == "dora@example.com"
    assert "owner of alert" not in run.log()


def test_an_owner_is_sent_to_the_vendor_by_address(run: Plugged) -> None:
    for owner, address in (("carol", CAROL), ("dora", "dora@example.com")):
        alert_id = run.console.create_alert()["id"]
        run.console.set_attributes(alert_id, {"owner": owner})
        run.console.action(alert_id, "assign")
        assert run.upstream(alert_id).owner == address


def test_a_broken_people_file_is_logged_once_and_ids_are_shown(run: Plugged, people: Path) -> None:
    alert_id, text = run.console.create_alert()["id"], people.read_text()
    for shown, written in ((ID, "nonsense"), (ID, "nonsense"), ("dora", text)):
        people.write_text(written)
        ask(run, f"{alert_id}/note", {"text": "x"}, ID, key=written + shown)
        assert run.console.notes(alert_id)[-1]["user"] == shown
    assert run.log().count("cannot be used, so ids are shown as they are: line 1 is not ID = LOGIN") == 1
