"""The record of what the bridge did to an alert: a short text that comes back as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.plugin.order import MOST_NOTES, MOST_TAGS, Record, note_digest, tag_register

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
