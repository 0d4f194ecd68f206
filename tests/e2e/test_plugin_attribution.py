"""Attribution in a real Alerta: which key may act for others, where the name shows; stale and duplicate actions."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from lab.alerta_server import AlertaServer

from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Kind, Outcome
from alerta_opsgenie.core.relay import relay
from alerta_opsgenie.core.task import AttemptContext, Settings, run_relay
from tests.attacks.people import pose
from tests.conftest import BRIDGE_USER
from tests.support.console import Console
from tests.support.plugin import JSON, Plugged, audit_lines, plugged
from tests.support.relaying import Made

ALICE = "alice@example.com"


@pytest.fixture(scope="module")
def run(alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    directory = tmp_path_factory.mktemp("names")
    blackouts = {"PLUGINS": ["blackout", "opsgenie"], "NOTIFICATION_BLACKOUT": True}
    with plugged(alerta.postgres, directory, settings=blackouts) as run:
        yield run


def ask(
    console: Console, method: str, path: str, body: JSON | None = None, *, person: str = ALICE, **bridge: Any
) -> tuple[int, dict[str, str], JSON]:
    """Call as the bridge does, with a person's name and the body's `bridge`."""
    whole = None if body is None else {**body, "bridge": {"text": "", "updatedAt": 0, "key": "", **bridge}}
    return console.exchange(method, path, whole, X_Alerta_On_Behalf_Of=quote(person, safe="@"))


def act(console: Console, alert_id: str, action: str, **more: Any) -> tuple[int, dict[str, str], JSON]:
    return ask(console, "PUT", f"/alert/{alert_id}/action", {"action": action, "text": f"{action} by {ALICE}"}, **more)


@pytest.mark.parametrize("preparation", [[], ["ack"], ["shelve"]])
def test_an_action_shows_the_person_in_history_attribute_and_audit(run: Plugged, preparation: list[str]) -> None:
    alert_id = run.console.create_alert()["id"]
    for action in preparation:
        run.console.action(alert_id, action)

    status, headers, _ = act(run.bridge, alert_id, "close", text="Closed in Opsgenie")

    assert (status, headers["x-alerta-on-behalf-of"], headers["x-alerta-alert-status"]) == (200, ALICE, "closed")
    last = run.console.history(alert_id)[-1]
    assert (last["user"], last["text"]) == (ALICE, "Closed in Opsgenie")
    lines = [line for line in audit_lines(run.log()) if line["resource"]["id"] == alert_id]
    assert lines[-1]["user"]["id"] == ALICE


def test_an_ack_sets_acked_by_and_an_unack_removes_it(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    act(run.bridge, alert_id, "ack")
    assert run.console.get(alert_id)["attributes"]["acked-by"] == ALICE
    run.console.action(alert_id, "unack")
    assert "acked-by" not in run.console.get(alert_id)["attributes"]


def test_a_note_has_the_person_as_its_author(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    status, headers, _ = ask(
        run.bridge, "PUT", f"/alert/{alert_id}/note", {"text": "alice@example.com: hello"}, text="hello", key="k1"
    )
    assert (status, headers["x-alerta-on-behalf-of"]) == (201, ALICE)
    assert [(note["user"], note["text"]) for note in run.console.notes(alert_id)] == [(ALICE, "hello")]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/tag", {"tags": ["x"]}),
        ("PUT", "/untag", {"tags": ["x"]}),
        ("PUT", "/attributes", {"attributes": {"owner": "bob@example.com"}}),
        ("PUT", "/status", {"status": "ack"}),
        ("DELETE", "", None),
    ],
)
def test_calls_without_a_hook_show_the_person_in_the_audit_trail(
    run: Plugged, method: str, path: str, body: JSON | None
) -> None:
    alert_id = run.console.create_alert()["id"]
    status, headers, _ = ask(run.bridge, method, f"/alert/{alert_id}{path}", body)
    assert (status, headers["x-alerta-on-behalf-of"]) == (200, ALICE)
    assert [line["user"]["id"] for line in audit_lines(run.log()) if line["resource"]["id"] == alert_id][-1] == ALICE


def test_the_response_has_name_and_status_in_a_blackout_too(run: Plugged) -> None:
    blackout = run.console.call("POST", "/blackout", {"environment": "Production", "resource": "dark"})
    try:
        alert_id = run.console.create_alert(resource="dark")["id"]
        assert run.console.status(alert_id) == "blackout"
        status, headers, _ = act(run.bridge, alert_id, "ack")
    finally:
        run.console.call("DELETE", f"/blackout/{blackout['id']}")
    assert (status, headers["x-alerta-on-behalf-of"]) == (200, ALICE)
    assert headers["x-alerta-alert-status"] == run.console.status(alert_id)
    assert run.console.history(alert_id)[-1]["user"] == ALICE


def test_an_alert_from_a_blackout_is_sent_after_it(run: Plugged) -> None:
    blackout = run.console.call("POST", "/blackout", {"environment": "Production", "resource": "dim"})
    alert = run.console.create_alert(resource="dim")
    same = {name: alert[name] for name in ("resource", "event", "environment", "service")}
    assert run.told(alert["id"]) == []
    run.console.call("DELETE", f"/blackout/{blackout['id']}")
    run.console.create_alert(**same)
    assert run.console.status(alert["id"]) == "open"
    assert run.told(alert["id"]) == ["create"]


def test_a_user_whom_alerta_knows_by_address_is_shown_by_login(run: Plugged) -> None:
    run.alerta.call(
        "POST", "/user",
        {"name": "Carol", "login": "carol", "email": "carol@example.com", "password": "pw", "roles": ["user"]},
    )  # fmt: skip
    alert_id = run.console.create_alert()["id"]
    act(run.bridge, alert_id, "ack", person="Carol@example.com")
    assert run.console.history(alert_id)[-1]["user"] == "carol"


def test_a_name_beyond_ascii_arrives_whole(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    act(run.bridge, alert_id, "ack", person="Zoë Müller")
    assert run.console.history(alert_id)[-1]["user"] == "Zoë Müller"


@pytest.mark.parametrize("scopes", [["write:alerts"], ["admin", "write", "read"]])
def test_another_key_cannot_act_under_a_person_s_name(run: Plugged, scopes: list[str]) -> None:
    """Not even an administrator's key."""
    user = f"mallory{len(scopes)}@example.com"
    other = Console(run.alerta.url, run.alerta.create_key(user, scopes))
    alert_id = run.console.create_alert()["id"]

    _, headers, _ = act(other, alert_id, "ack", text="forged")
    ask(other, "PUT", f"/alert/{alert_id}/note", {"text": "mine"}, text="forged")

    assert "x-alerta-on-behalf-of" not in headers
    history = run.console.history(alert_id)
    assert {entry["user"] for entry in history[1:]} == {user}
    assert "forged" not in str(run.console.get(alert_id))
    assert run.log().count(f"the key of {user} sends") in (1, 2), "once for each worker at most"


def test_the_bridge_s_key_cannot_make_a_key_for_somebody_else(run: Plugged) -> None:
    wide = Console(run.alerta.url, run.alerta.create_key(BRIDGE_USER, ["write:alerts", "write:keys"]))
    _, _, made = ask(wide, "POST", "/key", {"scopes": ["write:alerts"], "text": ""})
    assert made["data"]["user"] == BRIDGE_USER


def test_actions_of_the_bridge_are_not_sent_to_opsgenie(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    act(run.bridge, alert_id, "ack")
    ask(run.bridge, "PUT", f"/alert/{alert_id}/note", {"text": "n"}, text="n", key="k")
    run.bridge.action(alert_id, "unack")
    act(run.bridge, alert_id, "close")
    run.bridge.delete(alert_id)
    assert run.told(alert_id) == ["create"]


# -- Stale and duplicate actions


def test_a_late_change_of_state_is_refused(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    act(run.bridge, alert_id, "ack", updatedAt=2_000)
    status, _, answer = act(run.bridge, alert_id, "close", updatedAt=1_000)
    assert (status, answer["status"]) == (409, "error")
    assert answer["message"].startswith("stale:")
    assert run.console.status(alert_id) == "ack"


def test_notes_are_never_stale(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    act(run.bridge, alert_id, "ack", updatedAt=2_000)
    assert ask(run.bridge, "PUT", f"/alert/{alert_id}/note", {"text": "n"}, text="n", updatedAt=1_000)[0] == 201


def test_a_duplicate_note_is_written_once_and_answered_with_success(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    for expected in (201, 200, 200):
        status, headers, answer = ask(
            run.bridge, "PUT", f"/alert/{alert_id}/note", {"text": "n"}, text="ping", updatedAt=7, key="m1"
        )
        assert (status, answer["status"], headers["x-alerta-on-behalf-of"]) == (expected, "ok", ALICE)
    assert len(run.console.notes(alert_id)) == 1


def test_the_same_text_at_another_time_is_another_note(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    for updated in (7, 8):
        ask(run.bridge, "PUT", f"/alert/{alert_id}/note", {"text": "n"}, text="ping", updatedAt=updated)
    assert len(run.console.notes(alert_id)) == 2


def test_a_stale_owner_is_refused_and_a_stale_tag_is_removed(run: Plugged) -> None:
    alert_id = run.console.create_alert()["id"]
    path = f"/alert/{alert_id}"
    ask(run.bridge, "PUT", f"{path}/attributes", {"attributes": {"owner": "new"}}, updatedAt=20)
    ask(run.bridge, "PUT", f"{path}/untag", {"tags": ["a b"]}, updatedAt=20)

    late = ask(run.bridge, "PUT", f"{path}/attributes", {"attributes": {"owner": "old"}}, updatedAt=10)
    ask(run.bridge, "PUT", f"{path}/tag", {"tags": ["a b", "c"]}, updatedAt=10)
    all_late = ask(run.bridge, "PUT", f"{path}/tag", {"tags": ["a b"]}, updatedAt=10)

    alert = run.console.get(alert_id)
    assert (alert["attributes"]["owner"], alert["tags"]) == ("new", ["c"])
    assert [answer[0] for answer in (late, all_late)] == [409, 409]


def test_of_two_actions_at_once_the_newer_one_wins(run: Plugged) -> None:
    """Without a lock between the two workers, the older one could be written last."""
    for turn in range(12):
        alert_id = run.console.create_alert()["id"]
        start = threading.Barrier(2)

        def call(action: str, updated: int, alert_id: str = alert_id, start: threading.Barrier = start) -> None:
            start.wait()
            act(run.bridge, alert_id, action, updatedAt=updated)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(call, ("ack", "close"), (1_000 + turn, 2_000 + turn)))
        assert run.console.status(alert_id) == "closed"
        assert f"state={2_000 + turn}" in run.console.get(alert_id)["attributes"]["opsgenie-order"]


# -- The lease of an alert

TAKE = "INSERT INTO alerta_opsgenie_leases VALUES (%s, 'another', now() + interval '1 hour')"
OVER = "UPDATE alerta_opsgenie_leases SET until = now() - interval '1 second'"
LEFT = "SELECT count(*) FROM alerta_opsgenie_leases WHERE name LIKE 'call:%%'"


def execute(run: Plugged, statement: str, *values: str) -> list[tuple[int]]:
    with run.alerta.postgres.connection(run.alerta.database) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def test_a_lease_ends_with_each_response(run: Plugged) -> None:
    alert_id = str(run.console.create_alert()["id"])
    assert [pose(run.bridge, alert_id, action)[0] for action in ("ack", "ack", "close")] == [200, 409, 200]
    assert execute(run, LEFT) == [(0,)]


def test_a_call_waits_for_the_lease_of_another_until_it_ends(run: Plugged) -> None:
    alert_id, other = (str(run.console.create_alert()["id"]) for _ in range(2))
    assert pose(run.bridge, other, "ack")[0] == 200
    execute(run, TAKE, f"call:{alert_id}")
    assert pose(run.bridge, alert_id, "ack")[0] == 503
    assert pose(run.bridge, other, "close")[0] == 200
    execute(run, OVER)
    assert pose(run.bridge, alert_id, "ack")[0] == 200


# -- The whole relay, as the executor runs it


def relay_to(run: Plugged, payload: JSON, alert_id: str, acted_ns: int = 0) -> tuple[Outcome, int]:
    """Return the outcome and the number of calls. The person acts at `acted_ns`, or now if that is 0."""
    payload["alert"].update(alias=alert_id, source="Alerta", updatedAt=acted_ns or time.time_ns())
    client = AlertaClient(run.alerta.api_url, run.bridge.key)
    steps = relay(parse(json.dumps(payload)), Settings(), AttemptContext(time.time()))
    try:
        return run_relay(steps, lambda call: client.send(call, time.monotonic() + 10)), client.calls
    finally:
        client.close()


@pytest.mark.parametrize(
    ("name", "calls"), [("Acknowledge.oec", 1), ("Close.oec", 1), ("AddNote.oec", 1), ("AssignOwnership.oec", 2)]
)
def test_the_relay_costs_one_call_and_shows_the_person(run: Plugged, payload: Any, name: str, calls: int) -> None:
    alert_id = run.console.create_alert()["id"]
    message = payload(name)
    outcome, took = relay_to(run, message, alert_id)
    assert (outcome.kind, took) == (Kind.APPLIED, calls)
    assert run.console.history(alert_id)[-1]["user"] == message["alert"]["username"]
    assert run.told(alert_id) == ["create"]


def test_history_lines_of_a_correlated_alert_do_not_prevent_an_acknowledge(run: Plugged, payload: Any) -> None:
    alert_id = Made(run.console).beside_another("open", "ack")
    outcome, _ = relay_to(run, payload("Acknowledge.oec"), alert_id)
    assert outcome.kind is Kind.APPLIED
    assert run.console.status(alert_id) == "ack"
    assert run.told(alert_id) == ["create"]


def test_an_ack_that_arrives_after_its_unack_ends_the_snooze(run: Plugged, payload: Any) -> None:
    alert_id = run.console.create_alert()["id"]
    run.console.action(alert_id, "shelve")
    time.sleep(5)  # so that both act after the shelve
    now_ns = time.time_ns()
    relay_to(run, payload("UnAcknowledge.oec"), alert_id, acted_ns=now_ns - 10**9)
    assert run.console.status(alert_id) == "shelved"
    relay_to(run, payload("Acknowledge.oec"), alert_id, acted_ns=now_ns - 2 * 10**9)
    assert run.console.status(alert_id) == "open"
    assert run.told(alert_id) == ["create", "snooze"]
