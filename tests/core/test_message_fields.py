"""The fields of an action in each possible form, and the JSON path of an invalid one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.instants import iso_seconds
from alerta_opsgenie.core.message import MessageError
from tests.support.answers import ALIAS, BOB, JANE, message


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "$.alert.note: is missing"),
        (7, "$.alert.note: expected a text, found a number"),
        (" \n", "$.alert.note: is empty"),
    ],
)
def test_an_invalid_note_is_reported_with_its_path(value: Any, problem: str) -> None:
    with pytest.raises(MessageError, match=re.escape(problem)):
        fields.note(message("AddNote", note=value))


def test_an_invalid_value_is_reported_without_showing_it() -> None:
    with pytest.raises(MessageError) as caught:
        fields.note(message("AddNote", note=["s3cret"]))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("value", "text"), [(" x \n", "x"), (None, ""), (7, ""), ({}, ""), ("a\x00", "a\ufffd")])
def test_a_note_that_may_come_along_is_never_an_error(value: Any, text: str) -> None:
    assert fields.optional_note(message("Close", note=value)) == text


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("a,b", ["a", "b"]),
        (" a , b ,, a", ["a", "b"]),
        (["a,b", "c", 7, None, "c"], ["a,b", "c"]),
        ("a\nb", ["a b"]),
    ],
)
def test_tags_come_as_one_text_or_as_a_list(value: Any, tags: list[str]) -> None:
    assert fields.tags(message("AddTags", addedTags=value), "addedTags") == tags


@pytest.mark.parametrize("value", [None, "", ",", " , ", [], [7], 7, {}])
def test_invalid_tags_are_reported_with_their_path(value: Any) -> None:
    with pytest.raises(MessageError) as caught:
        fields.tags(message("RemoveTags", removedTags=value), "removedTags")
    assert caught.value.path == "$.alert.removedTags"


@pytest.mark.parametrize(("value", "priority"), [("P1", "P1"), ("p5", "P5"), (3, "P3"), ("2", "P2")])
def test_a_priority_is_a_name_or_a_number(value: Any, priority: str) -> None:
    assert fields.priority(message("UpdatePriority", priority=value)) == priority


@pytest.mark.parametrize("value", [None, "", "P", "P0", "P6", 0, 6, -1, 1.0, True, "high", "P1 ", ["P1"], "\u0661"])
def test_an_invalid_priority_is_reported_with_its_path(value: Any) -> None:
    with pytest.raises(MessageError, match=re.escape("$.alert.priority: expected P1 to P5")):
        fields.priority(message("UpdatePriority", priority=value))


@pytest.mark.parametrize("owner", [None, ""])
def test_who_takes_an_alert_without_naming_an_owner_owns_it(owner: str | None) -> None:
    assert fields.owner(message("TakeOwnership", owner=owner)) == JANE
    with pytest.raises(MessageError):
        fields.owner(message("AssignOwnership", owner=owner))


@pytest.mark.parametrize("owner", [7, {}, " "])
def test_an_invalid_owner_is_reported_with_its_path(owner: Any) -> None:
    with pytest.raises(MessageError, match=re.escape("$.alert.owner")):
        fields.owner(message("TakeOwnership", owner=owner))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Ops", "Ops"), ({"name": "Ops", "id": "7"}, "Ops"), ({"username": BOB}, BOB), ({"id": "7"}, "7"),
        ({"name": 7}, ""), ({}, ""), (7, ""), (None, ""),
    ],
)  # fmt: skip
def test_a_responder_is_a_text_or_an_object(value: Any, name: str) -> None:
    assert fields.named_thing(message("AddResponder", responder=value), "responder") == name


# -- The end of a snooze

NOON = 1_751_630_400.0


@pytest.mark.parametrize(
    "alert",
    [
        {"snoozedUntil": 1_751_630_400_000},
        {"snoozedUntil": 1_751_630_400},
        {"snoozedUntil": 1_751_630_400_000_000_000},
        {"snoozedUntil": 1_751_630_400_000, "snoozeEndDate": "1999-01-01T00:00:00Z"},
        {"snoozedUntil": 0, "snoozeEndDate": "2025-07-04T12:00:00Z"},
        {"snoozedUntil": "soon", "snoozeEndDate": "2025-07-04T12:00:00Z"},
        {"snoozeEndDate": "2025-07-04T12:00:00Z"},
        {"snoozeEndDate": "2025-07-04T12:00:00"},
        {"snoozeEndDate": "2025-07-04 12:00:00 UTC"},
        {"snoozeEndDate": "2025-07-04T12:00:00,000000000Z"},
        {"snoozeEndDate": "2025-07-04T14:00:00+02:00"},
        {"snoozeEndDate": "2025-07-04T08:30:00-03:30"},
    ],
    ids=str,
)
def test_the_end_of_a_snooze_is_read_in_each_form_that_may_come(alert: dict[str, Any]) -> None:
    assert fields.snooze_end_seconds(message("Snooze", **alert)) == NOON


@pytest.mark.parametrize(
    ("alert", "path"),
    [
        ({}, "$.alert.snoozedUntil"),
        ({"snoozedUntil": "soon"}, "$.alert.snoozedUntil"),
        ({"snoozedUntil": -1, "snoozeEndDate": "soon"}, "$.alert.snoozedUntil"),
        ({"snoozeEndDate": "soon"}, "$.alert.snoozeEndDate"),
        ({"snoozeEndDate": "2025-02-30T12:00:00Z"}, "$.alert.snoozeEndDate"),
        ({"snoozeEndDate": "٢٠٢٥-07-04T12:00:00Z"}, "$.alert.snoozeEndDate"),
    ],
    ids=str,
)
def test_an_invalid_end_of_a_snooze_is_reported_with_its_path(alert: dict[str, Any], path: str) -> None:
    with pytest.raises(MessageError) as caught:
        fields.snooze_end_seconds(message("Snooze", **alert))
    assert caught.value.path == path


@pytest.mark.parametrize(("text", "whole"), [(ALIAS, True), (ALIAS.upper(), True), (ALIAS[1:], False), ("", False)])
def test_only_a_full_uuid_is_a_uuid(text: str, whole: bool) -> None:
    assert fields.is_uuid(text) is whole


@given(st.text(max_size=40))
def test_nothing_but_hexadecimal_digits_and_dashes_is_a_uuid(text: str) -> None:
    assert not fields.is_uuid(text) or set(text.lower()) <= set("0123456789abcdef-")


def test_an_owner_is_one_line() -> None:
    assert fields.owner(message("AssignOwnership", owner=f" {BOB}\n")) == BOB


def test_the_end_of_a_snooze_keeps_its_milliseconds() -> None:
    assert fields.snooze_end_seconds(message("Snooze", snoozeEndDate="2025-07-04T12:00:00.447Z")) == NOON + 0.447


@given(st.datetimes(timezones=st.timezones()))
def test_an_instant_is_read_as_it_was_written(instant: Any) -> None:
    whole = instant.replace(microsecond=0, second=0)
    offset = whole.utcoffset()
    if not offset.total_seconds() % 60:
        assert iso_seconds(whole.isoformat()) == pytest.approx(whole.timestamp())


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?([.,]\d+)?(Z|[+-]\d\d:?\d\d)?"))
def test_reading_an_instant_raises_nothing(text: str) -> None:
    assert isinstance(iso_seconds(text), (float, type(None)))
