"""The webhook in a real Alerta: people act in the stand-in's interface, and the actions arrive without a connector."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from lab.alerta_server import AlertaServer
from lab.cloud.person import Person
from lab.tour import is_shelved_until

from tests.attacks.people import ALICE, message
from tests.support.plugin import JSON, SECRET, SECRET_HEADER, Plugged, audit_lines, plugged, wait_until

BOB = "bob@example.com"


@pytest.fixture(scope="module", params=["opsgenie", "jsm"])
def run(
    alerta: AlertaServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Plugged]:
    directory = tmp_path_factory.mktemp("webhook")
    with plugged(alerta.postgres, directory, product=request.param, webhook=True) as run:
        yield run


@pytest.fixture
def alert_id(run: Plugged) -> str:
    created = str(run.console.create_alert()["id"])
    run.settle()
    return created


@pytest.fixture
def alice(run: Plugged) -> Person:
    return run.cloud.person(ALICE)


def post(run: Plugged, body: JSON | bytes | str, **headers: str) -> tuple[int, JSON]:
    """Post to the webhook as Opsgenie does; `headers` with dashes for underscores."""
    address = urlsplit(run.alerta.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    raw = json.dumps(body) if isinstance(body, dict) else body
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        connection.request("POST", "/webhooks/opsgenie", raw, sent)
        answer = connection.getresponse()
        return answer.status, dict(json.loads(answer.read()))
    finally:
        connection.close()


def trusted(run: Plugged, body: JSON) -> tuple[int, JSON]:
    return post(run, body, **{SECRET_HEADER.replace("-", "_"): SECRET})


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda who, alias: who.acknowledge(alias), "ack"),
        (lambda who, alias: who.close(alias), "closed"),
        (lambda who, alias: who.snooze_for(alias, 1800), "shelved"),
        (lambda who, alias: who.delete(alias), "closed"),
    ],
)
def test_a_person_s_action_is_done_in_alerta_under_the_person_s_name(
    run: Plugged, alert_id: str, alice: Person, act: Callable[[Person, str], object], status: str
) -> None:
    act(alice, alert_id)
    run.settle()

    assert run.console.status(alert_id) == status
    assert run.console.history(alert_id)[-1]["user"] == ALICE
    assert ALICE in [line["user"]["id"] for line in audit_lines(run.log()) if line["resource"]["id"] == alert_id]
    assert run.told(alert_id) == ["create"], "it is not sent back"


def test_a_snooze_shelves_until_its_end(run: Plugged, alert_id: str, alice: Person) -> None:
    alice.snooze_for(alert_id, 1800)
    run.settle()
    assert is_shelved_until(run.console.get(alert_id), (run.upstream(alert_id).snoozed_until_ms or 0) / 1000)


def test_notes_tags_owner_and_priority_follow(run: Plugged, alert_id: str, alice: Person) -> None:
    alice.add_note(alert_id, "have a look")
    alice.assign(alert_id, BOB)
    alice.add_tags(alert_id, "db", "night shift")
    alice.remove_tags(alert_id, "db")
    alice.set_priority(alert_id, "P5")
    run.settle()

    alert = run.console.get(alert_id)
    assert (alert["attributes"]["owner"], alert["attributes"]["opsgenie-priority"]) == (BOB, "P5")
    assert (alert["status"], alert["tags"]) == ("open", ["night shift"])
    notes = {note["text"]: note["user"] for note in run.console.notes(alert_id)}
    assert notes["have a look"] == ALICE
    assert f"{ALICE} assigned the alert to {BOB}" in " ".join(notes)
    assert run.told(alert_id) == ["create"]


def test_an_action_of_alerta_is_not_done_again_when_it_comes_back(run: Plugged, alert_id: str) -> None:
    run.console.action(alert_id, "ack", "mine")
    run.console.note(alert_id, "and a note")
    run.settle()
    history = run.console.history(alert_id)
    assert [entry["type"] for entry in history] == ["new", "ack", "note"]
    assert {entry["user"] for entry in history} == {"admin@example.com"}


def test_a_duplicate_message_has_one_effect(run: Plugged, alert_id: str) -> None:
    note = message(alert_id, "AddNote", note="once")
    assert [trusted(run, note)[1]["outcome"] for _ in range(2)] == ["applied", "already"]
    assert len(run.console.notes(alert_id)) == 1
    ack = message(alert_id, "Acknowledge")
    assert [trusted(run, ack)[1]["outcome"] for _ in range(2)] == ["applied", "already"]


@pytest.mark.parametrize(
    ("body", "outcome", "reason"),
    [
        pytest.param(
            b"not json", "rejected", "bad-message",
            marks=pytest.mark.since("9.0.0", "it answers 400 to a body that is not JSON before the webhook sees it"),
        ),
        (b"[]", "rejected", "bad-message"),
        ({"action": "Acknowledge"}, "ignored", "no-alert"),
        ({"action": "Acknowledge", "alert": {"alias": ".*", "source": "Alerta"}}, "rejected", "bad-alias"),
        ({"action": "Close", "alert": {"alias": "x", "source": "Zabbix"}}, "ignored", "foreign"),
        (message("00000000-0000-4000-8000-000000000000", "Close"), "rejected", "not-found"),
    ],
)
def test_a_final_outcome_is_answered_with_200(
    run: Plugged, body: Any, outcome: str, reason: str
) -> None:
    status, answer = trusted(run, body)
    assert (status, answer["outcome"], answer["reason"]) == (200, outcome, reason)


def test_the_secret_is_refused_by_other_endpoints(run: Plugged, alert_id: str) -> None:
    address = urlsplit(run.alerta.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
    body = json.dumps({"action": "close"})
    connection.request("PUT", f"/alert/{alert_id}/action", body,
                       {SECRET_HEADER: SECRET, "Content-Type": "application/json"})  # fmt: skip
    assert connection.getresponse().status == 401
    connection.close()


def test_the_bridge_s_key_acts_under_the_person_s_name_by_webhook(run: Plugged, alert_id: str) -> None:
    status, answer = post(run, message(alert_id, "Acknowledge"), Authorization=f"Key {run.bridge.key}")
    assert (status, answer["outcome"]) == (200, "applied")
    assert run.console.history(alert_id)[-1]["user"] == ALICE


def test_a_late_message_is_stale(run: Plugged, alert_id: str) -> None:
    now = time.time_ns()
    trusted(run, message(alert_id, "Close", updatedAt=now))
    status, answer = trusted(run, message(alert_id, "Acknowledge", updatedAt=now - 1))
    assert (status, answer["outcome"], answer["reason"]) == (200, "ignored", "stale")
    assert run.console.status(alert_id) == "closed"


def test_an_action_that_alerta_does_not_allow_yet_is_kept(run: Plugged, alert_id: str) -> None:
    """Alerta's state machine has no way out of `unknown`. The action must not be lost."""
    run.console.set_status(alert_id, "unknown")
    status, answer = trusted(run, message(alert_id, "UnAcknowledge"))
    assert status in (200, 503)
    assert answer["outcome"] in ("already", "kept")


@pytest.mark.parametrize("run", ["opsgenie"], indirect=True)
@pytest.mark.parametrize(
    ("echo", "inline"), [("body", "inline"), ("address", "separate"), ("address", "inline"), ("empty", "separate")]
)
def test_no_echo_with_any_source_that_the_vendor_returns(
    run: Plugged, alert_id: str, echo: str, inline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.cloud.switches, "echo_source_name", echo)
    monkeypatch.setattr(run.cloud.switches, "note_of_action", inline)
    run.console.action(alert_id, "ack", "mine")
    run.console.action(alert_id, "shelve", "later", timeout=600)
    run.console.action(alert_id, "unshelve")
    run.console.note(alert_id, "note")
    run.settle()
    run.cloud.person(BOB).close(alert_id, "done")
    assert wait_until(lambda: run.console.status(alert_id) == "closed")
    run.settle()
    types = [(entry["type"], entry["user"]) for entry in run.console.history(alert_id)]
    wanted = ["new", "ack", "shelve", "unshelve", "note"]
    assert types[:5] == [(change, "admin@example.com") for change in wanted]
    assert {user for _, user in types[5:]} == {BOB}
    assert run.told(alert_id) == ["create", "acknowledge", "snooze", "acknowledge", "notes"]


def test_a_severity_change_that_comes_back_adds_nothing_to_the_history(run: Plugged) -> None:
    """The requests for priority and message have no user, so they come back under the key's own name."""
    alert = run.console.create_alert(severity="minor")
    same = {name: alert[name] for name in ("resource", "event", "environment", "service")}
    run.console.create_alert(**same, severity="critical")
    run.settle()
    after = run.console.get(alert["id"])
    assert (after["status"], [entry["type"] for entry in after["history"]]) == ("open", ["new", "severity"])


@pytest.mark.parametrize(("minutes", "notes"), [(12, [f"close by {ALICE} came to Alerta 12 minutes late"]), (1, [])])
def test_an_action_that_arrives_late_adds_a_note_in_opsgenie(run: Plugged, minutes: int, notes: list[str]) -> None:
    begun = dt.datetime.now(dt.timezone.utc) - dt.timedelta(hours=1)
    alert_id = run.console.create_alert(createTime=begun.strftime("%Y-%m-%dT%H:%M:%S.000Z"))["id"]
    trusted(run, message(alert_id, "Close", updatedAt=time.time_ns() - minutes * 60 * 10**9))
    assert run.console.status(alert_id) == "closed"
    assert run.upstream(alert_id).notes == notes
