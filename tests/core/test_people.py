"""Who is shown for an id of the vendor's: by a mapping, by the message's full name, else the id itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import journal_body, parse, read_journal_body, with_people
from alerta_opsgenie.core.people import account_of, is_account_id, named, read_people
from alerta_opsgenie.core.relay import gate
from alerta_opsgenie.core.task import Settings
from tests.support.answers import BOB, JANE, NOTED, OK, envelope, message, ok_with_plugin, play

ID = "5b10ac8d82e05b22cc7d4ef5"
LONG_ID = "557058:f58131cb-b67d-43c7-b30d-6b58d40bd077"
PEOPLE = {ID: "jane", BOB: "bob", LONG_ID: "bob"}


@pytest.mark.parametrize("name", [ID, ID.upper(), LONG_ID, "712020:0c5c8a3f-9a5e-4a4f-8f3e-000000000000"])
def test_an_account_id_is_distinguished_from_a_name(name: str) -> None:
    assert is_account_id(name)
    assert not any(is_account_id(other) for other in (JANE, "Jane Doe", "", f"{name}\n", f"x{name}"))


@pytest.mark.parametrize(
    "text",
    [
        f"# who is who\n\n {ID.upper()} = jane\n{BOB}=bob\n{LONG_ID} = bob\n",
        f'{{"{ID}": "jane", "{BOB}": "bob", "{LONG_ID}": " bob "}}',
    ],
)
def test_a_mapping_is_lines_or_an_object(text: str) -> None:
    assert read_people(text) == PEOPLE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("jane", "line 1 is not ID = LOGIN"),
        ("\n# x\n = jane", "line 3"),
        ("a = b\nA = c", "'a' has two logins"),
        ('{"a": 1}', "expected a text"),
        ('{"a": "://"}', "is empty"),
        ('{"a":' * 100_000, "nested too deep"),
    ],
)
def test_an_invalid_mapping_is_reported(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_people(text)


def test_who_is_not_in_the_mapping_is_shown_as_they_came() -> None:
    assert [named(one, PEOPLE) for one in (ID, ID.upper(), JANE, "")] == ["jane", "jane", JANE, ""]
    assert named(ID, None) == ID


@pytest.mark.parametrize(
    ("people", "account"),
    [
        (PEOPLE, ID),
        ({"a@example.com": "Jane", ID: "jane"}, "a@example.com"),
        ({"a@example.com": "jane", "b@example.com": "jane", ID: "jane"}, ID),
        ({ID: "jane", LONG_ID: "jane"}, ""),
    ],
)
def test_a_login_is_an_account_of_the_vendor_s_where_there_is_no_doubt(people: dict[str, str], account: str) -> None:
    assert account_of("jane", people) == account


# -- In a message


@pytest.mark.parametrize(
    ("alert", "shown"),
    [
        ({"username": ID}, "jane"),
        ({"username": "712020:unknown"}, "712020:unknown"),
        ({"username": "712020:unknown", "userFullName": "Jane Doe"}, "Jane Doe"),
        ({"username": "712020:unknown", "userFullName": BOB}, "bob"),
        ({"username": JANE, "userFullName": "Jane Doe"}, JANE),
        ({"username": None}, "Opsgenie"),
    ],
)
def test_who_acted_is_shown_by_a_name_that_people_know(alert: dict[str, Any], shown: str) -> None:
    assert fields.actor(with_people(message("Acknowledge", **alert), PEOPLE)) == shown


def test_an_owner_and_a_responder_are_shown_by_their_logins() -> None:
    about = with_people(message("AssignOwnership", owner=LONG_ID, responder={"id": ID}), PEOPLE)
    assert (fields.owner(about), fields.claimed_owner(about), fields.named_thing(about, "responder")) == (
        "bob", LONG_ID, "jane",
    )  # fmt: skip


def test_the_journal_keeps_only_the_names_of_the_people_in_the_message() -> None:
    about = with_people(message("TakeOwnership", username=ID), PEOPLE)
    again = read_journal_body(journal_body(about), about.key)
    assert (fields.owner(again), again.people) == ("jane", {ID: "jane"})


def test_a_message_cannot_contain_a_mapping() -> None:
    forged = parse(json.dumps({**envelope("Close", username=ID), "people": {ID: "root"}}))
    assert (fields.actor(forged), fields.actor(read_journal_body(journal_body(forged), ""))) == (ID, ID)


def test_a_mapping_to_a_name_of_ours_makes_no_echo() -> None:
    sent = {**envelope("Close", username=ID), "source": {"name": "", "type": "API"}}
    about = with_people(parse(json.dumps(sent)), {ID: "alerta"})
    assert gate(about, Settings()) is None


# -- In Alerta


def test_without_the_plugin_names_and_ids_are_attributes() -> None:
    about = with_people(message("Acknowledge", username=ID), PEOPLE)
    played = play(about, OK, OK)
    assert played.asked == [
        ("PUT", "/action", {"action": "ack", "text": "Acknowledged by jane in Opsgenie"}),
        ("PUT", "/attributes", {"attributes": {"acked-by": "jane", "acked-by-id": ID}}),
    ]
    assert [call.on_behalf_of for call in played.calls] == ["jane", "jane"]


@given(st.text())
def test_a_mapping_of_any_text_is_read_or_refused(text: str) -> None:
    try:
        people = read_people(text)
    except ValueError:
        return
    assert all("<" not in login and "\n" not in login for login in people.values())


def test_an_owner_s_id_from_before_goes() -> None:
    about = with_people(message("AssignOwnership", username=ID, owner=JANE), PEOPLE)
    assert play(about, OK, NOTED).asked == [
        ("PUT", "/attributes", {"attributes": {"owner": JANE, "owner-id": None}}),
        ("PUT", "/note", {"text": f"jane assigned the alert to {JANE} in Opsgenie"}),
    ]


def test_an_unacknowledge_takes_name_and_id_away() -> None:
    about = with_people(message("UnAcknowledge"), PEOPLE)
    assert play(about, OK, OK).asked[1][2] == {"attributes": {"acked-by": None, "acked-by-id": None}}


def test_the_plugin_gets_the_id() -> None:
    about = with_people(message("Acknowledge", username=ID), PEOPLE)
    body = play(about, ok_with_plugin("ack")).calls[0].body
    assert body is not None
    assert body["bridge"]["id"] == ID
