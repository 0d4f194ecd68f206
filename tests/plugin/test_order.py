"""The record of what the bridge did to an alert: a short text that comes back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.plugin.order import MOST_NOTES, MOST_TAGS, Record, note_digest, sign, tag_register, verified

NS = 1_767_225_600_123_456_789


def test_a_record_comes_back_as_it_was() -> None:
    record = Record(None)
    record.write(["state", "owner", tag_register("night shift")], NS)
    record.write_note(note_digest("hello", NS, "key"))
    again = Record(str(record))
    assert (again.newest, again.notes) == (record.newest, record.notes)


@given(st.text() | st.none() | st.integers() | st.dictionaries(st.text(), st.text()))
def test_whatever_stands_in_the_attribute_is_read_without_an_error(value: object) -> None:
    assert isinstance(str(Record(value)), str)


def test_a_number_that_no_clock_gives_is_passed_over() -> None:
    assert Record("state=" + "9" * 5000).newest == {}


def test_older_writers_are_stale_and_equal_or_unknown_ones_are_not() -> None:
    record = Record(f"state={NS}")
    assert [record.is_stale("state", NS + more) for more in (-1, 0, 1)] == [True, False, False]
    assert not record.is_stale("state", 0)
    assert not record.is_stale("owner", 1)


def test_an_older_writer_does_not_set_the_register_back() -> None:
    record = Record(f"state={NS}")
    record.write(["state"], NS - 1)
    assert str(record) == f"state={NS}"


def test_the_record_stays_short() -> None:
    record = Record(None)
    record.write(["state"], 1)
    for number in range(200):
        record.write([tag_register(str(number))], NS + number)
        record.write_note(note_digest(str(number), NS, ""))
    again = Record(str(record))
    assert "state" in again.newest
    assert len(again.newest) == MOST_TAGS + 1
    assert len(again.notes) == MOST_NOTES
    assert tag_register("199") in again.newest
    assert len(str(record)) < 2000


def test_the_same_note_by_two_connectors_is_one_and_another_time_is_another() -> None:
    assert note_digest("hello", NS, "queue-1") == note_digest("hello", NS, "webhook-2")
    assert note_digest("hello", NS, "a") != note_digest("hello", NS + 1, "a")
    assert note_digest("hello", 0, "a") != note_digest("hello", 0, "b")


# -- The signature

TEXT = f"state={NS} note=0123456789abcdef"
SIGNED = sign("secret", "alert-1", TEXT)


@pytest.mark.parametrize("text", [TEXT, "", "state=1"])
def test_what_is_signed_comes_back(text: str) -> None:
    assert verified("secret", "alert-1", sign("secret", "alert-1", text)) == text


@pytest.mark.parametrize(
    ("secret", "alert_id", "signed"),
    [
        ("secret", "alert-2", SIGNED),
        ("another", "alert-1", SIGNED),
        ("secret", "alert-1", SIGNED.replace(f"{NS}", f"{NS + 1}")),
        ("secret", "alert-1", SIGNED + " state=9"),
        ("secret", "alert-1", TEXT),
        ("secret", "alert-1", f"state={2**63 - 1}"),
        ("secret", "alert-1", "\u00e4 signature=\ud800"),
        ("secret", "alert-1", 7),
        ("secret", "alert-1", None),
    ],
)
def test_what_somebody_else_wrote_counts_as_nothing(secret: str, alert_id: str, signed: object) -> None:
    assert verified(secret, alert_id, signed) == ""


def test_an_action_from_before_the_alert_came_again_is_of_an_earlier_outage() -> None:
    record = Record(f"opened={NS} incident={NS}")
    assert record.is_of_earlier_outage(NS - 10**10, 0)
    assert not record.is_of_earlier_outage(NS + 1, 0)
    assert record.is_of_earlier_outage(0, NS - 1)
    assert not record.is_of_earlier_outage(0, NS)
    assert not record.is_of_earlier_outage(0, 0)
