"""Reading an edge message: the valid values of each field, and the JSON path of an invalid one."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import LARGEST_MESSAGE_BYTES, MessageError, parse
from alerta_opsgenie.core.people import clean_name, clean_text, harmless_name
from tests.support.answers import JANE, UPDATED_NS, envelope, message

LARGEST_NS = 2**63 - 1


def problem(text: str | bytes) -> str:
    with pytest.raises(MessageError) as caught:
        parse(text)
    assert str(caught.value) == f"{caught.value.path}: {caught.value.what}"
    return str(caught.value)


def variant(**top: Any) -> str:
    return json.dumps({**envelope("Acknowledge"), **top})


# -- The envelope

NO_MESSAGES: dict[str, tuple[str | bytes, str]] = {
    "nothing": (b"", "$: is not JSON: Expecting value at line 1, column 1"),
    "cut off": (b'{"action": "Ack', "$: is not JSON: Unterminated string starting at at line 1, column 12"),
    "two": (b"{}{}", "$: is not JSON: Extra data at line 1, column 3"),
    "a list": (b"[]", "$: expected an object, found a list"),
    "no action": (b"{}", "$.action: is missing"),
    "a number for an action": (b'{"action": 7}', "$.action: expected a text, found a number"),
    "an action of nothing to be seen": (b'{"action": "\\n\\u200b \\u202e"}', "$.action: is empty"),
    "a text for an alert": (b'{"action": "Close", "alert": "x"}', "$.alert: expected an object, found a text"),
    "not UTF-8": (b'{"action": "\xff"}', "$: is not UTF-8 at byte 12"),
    "a byte order mark in a text": ('\ufeff{"action": "Close"}', "$: is not JSON: Unexpected UTF-8 BOM"),
}


@pytest.mark.parametrize("name", NO_MESSAGES)
def test_an_invalid_message_is_reported_with_its_place(name: str) -> None:
    text, expected = NO_MESSAGES[name]
    assert re.sub(r" \(decode.*?\)", "", problem(text)).startswith(expected)


def nested(levels: int) -> str:
    return '{"action": "Close", "x": ' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize("levels", [50, 500, 100_000])
def test_deep_nesting_is_reported_and_breaks_nothing(levels: int) -> None:
    assert problem(nested(levels)).startswith("$: is ")


def test_nesting_far_beyond_that_of_real_messages_is_read() -> None:
    assert parse(nested(49)).action == "Close"


def test_a_message_can_be_written_again_from_a_deep_stack() -> None:
    """Python's recursion limit is for the whole stack: the parser may succeed and the writer fail."""
    about = parse('{"action": "Close", "alert": {"owner": ' + '{"a":' * 47 + "1" + "}" * 47 + "}}")

    def at_depth(levels: int) -> str:
        return at_depth(levels - 1) if levels else fields.journal_body(about)

    assert fields.read_journal_body(at_depth(sys.getrecursionlimit() - 200), "k") == about._replace(
        key="k", envelope={"action": "Close", "alert": about.alert}
    )


def test_a_message_of_a_mebibyte_is_read_and_one_byte_more_is_not() -> None:
    start, end = b'{"action": "AddNote", "alert": {"note": "', b'"}}'
    fitting = start + b"x" * (LARGEST_MESSAGE_BYTES - len(start) - len(end)) + end
    assert len(fields.note(parse(fitting))) > LARGEST_MESSAGE_BYTES - 100
    assert problem(fitting + b" ") == "$: is larger than 1048576 bytes"


def test_fields_that_are_not_needed_may_be_anything() -> None:
    odd: Any = {"x": [None, 1.5]}
    about = parse(variant(integrationId=odd, entity=odd, requestId=odd, mappedActionV2=odd, escalationName=odd))
    assert about.action == "Acknowledge"
    assert fields.action_names(about) == ["Acknowledge"]
    assert fields.escalation(about) == ""


# -- The key


def test_the_same_request_with_the_same_fields_has_the_same_key_whatever_other_fields_it_has() -> None:
    assert parse(variant(requestId="9a8b")).key == parse(variant(requestId="9a8b", headers={"x": "y"})).key


@pytest.mark.parametrize("other", [{"alert": {"alias": "b"}}, {"action": "AddNote"}])
def test_one_request_about_two_alerts_or_actions_is_two_actions(other: dict[str, Any]) -> None:
    one = {**envelope("Close"), "requestId": "9a8b"}
    assert parse(json.dumps(one)).key != parse(json.dumps({**one, **other})).key


@pytest.mark.parametrize("request_id", [None, "", 7, ["x"], "x" * 101])
def test_a_message_without_a_sound_request_id_is_named_by_its_bytes(request_id: Any) -> None:
    one, two = (parse(variant(requestId=request_id, headers=which)) for which in ("x", "y"))
    assert one.key != two.key


def test_the_same_bytes_have_the_same_key_and_text_the_same_as_its_bytes() -> None:
    text = variant(x="ü\ud800")
    assert parse(text).key == parse(text).key
    assert parse('{"action": "ü"}').key == parse('{"action": "ü"}'.encode()).key
    assert parse(text).key != parse(f"{text} ").key


# -- The time


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        (UPDATED_NS, UPDATED_NS),
        (str(UPDATED_NS), UPDATED_NS),
        (1_751_623_260_456, 1_751_623_260_456_000_000),
        (9_223_372_036_855, 0),
        (LARGEST_NS + 1, 0),
        ("1_000", 0),
        ("\u0661\u0662", 0),
        (-1, 0),
        (True, 0),
        ({}, 0),
    ],
)
def test_the_time_of_the_alert_is_read_in_nanoseconds(value: Any, ns: int) -> None:
    assert message("Close", updatedAt=value).updated_ns == ns


# -- Names

NAMES = {
    "crlf": ("jane\r\nX-Admin: yes", "jane X-Admin: yes"),
    "lone surrogate": ("ja\ud83dne", "ja\ufffdne"),
    "line separator": ("ja\u2028ne", "ja ne"),
    "right to left override": ("jane\u202egpj.exe", "jane gpj.exe"),
    "zero width": ("\u200bja\u2060ne\ufeff", "ja ne"),
    "joiners of real names": ("می\u200cخواهم", "می\u200cخواهم"),  # noqa: RUF001 - Persian
    "emoji": ("👩\u200d🚒 Jane", "👩\u200d🚒 Jane"),
    "right to left": ("ג'יין", "ג'יין"),  # noqa: RUF001 - Hebrew
    "long with a space at the cut": ("x" * 319 + " y", "x" * 319),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_visible_line(name: str) -> None:
    raw, clean = NAMES[name]
    assert fields.actor(message("Close", username=raw)) == clean
    assert clean_name(clean) == clean


@given(st.text(st.characters(codec=None)))
def test_a_cleaned_name_stays_as_it_is_and_can_be_stored(text: str) -> None:
    clean = clean_name(text)
    assert clean_name(clean) == clean
    assert len(clean.splitlines()) <= 1
    assert "\x00" not in clean.encode("utf-8").decode("utf-8")


@pytest.mark.parametrize(
    ("alert", "who"),
    [
        ({}, JANE),
        ({"username": " "}, "Opsgenie"),
        ({"username": "", "userFullName": "Jane Doe"}, "Jane Doe"),
        ({"username": None, "userFullName": 7}, "Opsgenie"),
    ],
)
def test_who_acted_is_the_user_the_full_name_or_the_console(alert: dict[str, Any], who: str) -> None:
    assert fields.actor(message("Close", **alert)) == who


# -- Keeping


def test_the_journal_body_has_the_fields_that_the_relay_reads() -> None:
    about = parse(variant(headers={"X-Secret": "s3cret"}, params={"apiKey": "s3cret"}, requestId="9a8b"))
    kept = fields.journal_body(about)
    assert "s3cret" not in kept
    recalled = fields.read_journal_body(kept, about.key)
    assert recalled[:3] == about[:3]
    assert recalled.alert == envelope("Acknowledge")["alert"]


def test_a_message_that_grows_by_being_kept_can_still_be_recalled() -> None:
    """A mebibyte of emoji is three in escapes: kept, and then refused as too large, it would be lost."""
    text = json.dumps(envelope("AddNote", note="🔥" * 250_000), ensure_ascii=False)
    about = parse(text.encode())
    kept = fields.journal_body(about)
    assert len(kept) > LARGEST_MESSAGE_BYTES
    assert fields.note(fields.read_journal_body(kept, about.key)) == fields.note(about)


# -- Names that strangers chose


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zo\u00eb M\u00fcller (on call) & co", "Zo\u00eb M\u00fcller (on call) & co"),
        ("<img src=x onerror=alert(1)>", "img src=x onerror=alert(1)"),
        ("Alice <alice@example.com>", "Alice alice@example.com"),
        ("http://evil.example.com", "http evil.example.com"),
        ("<<>>", ""),
    ],
)
def test_a_harmless_name_has_no_markup(name: str, shown: str) -> None:
    assert harmless_name(name) == shown


@given(st.text(alphabet="<>:/ ab\u200b\x00", max_size=30))
def test_no_combination_makes_markup(name: str) -> None:
    shown = harmless_name(name)
    assert not [part for part in ("<", ">", "://") if part in shown]
    assert harmless_name(shown) == shown


def test_a_number_of_too_many_digits_is_reported() -> None:
    text = f'{{"action": "Close", "x": {"9" * 5000}}}'
    if hasattr(sys, "get_int_max_str_digits"):
        assert problem(text) == "$: is not JSON that can be read: nested too deep, or a number too long"
    else:
        assert parse(text).action == "Close"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "-0", "-7", "1.5", "true", "1" + "0" * 4000])
def test_an_odd_number_is_no_time_no_priority_and_no_end_of_a_snooze(number: str) -> None:
    text = variant().replace(str(UPDATED_NS), f'{number}, "priority": {number}, "snoozedUntil": {number}')
    about = parse(text)
    assert about.updated_ns == 0
    for read in (fields.priority, fields.snooze_end_seconds):
        with pytest.raises(MessageError):
            read(about)


def test_a_byte_order_mark_before_bytes_is_passed_over() -> None:
    assert parse(b'\xef\xbb\xbf{"action": "Close"}').action == "Close"


def test_of_a_duplicate_field_the_last_counts() -> None:
    assert parse(b'{"action": "Close", "action": "Acknowledge"}').action == "Acknowledge"


def test_an_action_is_one_clean_line() -> None:
    assert parse('{"action": " Restart\\r\\nService\\u0000 "}').action == "Restart Service\ufffd"


def test_null_for_an_alert_is_none() -> None:
    assert parse('{"action": "Close", "alert": null}').alert is None


@given(st.integers(min_value=-(2**70), max_value=2**70) | st.integers(min_value=10**12, max_value=10**15))
def test_the_time_always_fits_64_bits(value: int) -> None:
    """SQLite keeps no more, and refuses the whole entry."""
    assert 0 <= message("Close", updatedAt=value).updated_ns <= LARGEST_NS


@given(st.text(st.characters(codec=None)))
def test_a_cleaned_text_can_be_stored_and_keeps_its_length(text: str) -> None:
    clean = clean_text(text)
    assert len(clean) == len(text)
    assert "\x00" not in clean.encode("utf-8").decode("utf-8")


@pytest.mark.parametrize(
    ("kind", "console"),
    [("JEC", "Jira Service Management"), ("jec", "Jira Service Management"), ("OEC", "Opsgenie"), (None, "Opsgenie")],
)
def test_the_console_is_known_by_the_type_of_the_integration(kind: str | None, console: str) -> None:
    assert fields.console(parse(variant(integrationType=kind))) == console


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ({"name": " Web ", "type": "API"}, ("web", "api")),
        ({"name": 7, "type": None}, ("", "")),
        ({}, ("", "")),
        (None, ("", "")),
        ("API", ("", "")),
    ],
)
def test_a_partial_origin_is_read(source: Any, origin: tuple[str, str]) -> None:
    assert fields.origin(parse(variant(source=source))) == origin


def test_the_full_name_replaces_a_name_of_markup_only() -> None:
    assert fields.actor(message("Acknowledge", username="<>", userFullName="Jane")) == "Jane"


def test_an_owner_of_markup_only_is_invalid() -> None:
    with pytest.raises(MessageError, match="owner"):
        fields.owner(message("AssignOwnership", owner="<>"))
