"""The record of the bridge's actions on an alert."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.duplicates import NOTE
from alerta_opsgenie.core.order import stale_registers
from alerta_opsgenie.plugin.attribution import BridgeCall, with_names
from alerta_opsgenie.plugin.order import (
    MERGED,
    MOST_ACTS,
    MOST_TAGS,
    REDELIVERED,
    Record,
    act_of,
    sign,
    tag_register,
    verified,
)

NS = 1_767_225_600_123_456_789
SECOND_NS = 10**9


def act(words: str = "hello", by: str = "alice", at_ns: int = NS, integration: str = "oec", key: str = "key") -> str:
    return act_of(NOTE, BridgeCall(by, words=words, updated_ns=at_ns, integration=integration, key=key))


def test_a_record_is_read_unchanged() -> None:
    record = Record(None)
    record.write(["state", "owner", tag_register("night shift")], NS)
    for one in (act(), act(integration="jec"), act(integration="", at_ns=0)):
        record.write_act(one)
    again = Record(str(record))
    assert again.newest == record.newest


@given(st.text() | st.none() | st.integers() | st.dictionaries(st.text(), st.text()))
def test_any_value_of_the_attribute_is_read(value: object) -> None:
    assert isinstance(str(Record(value)), str)


def test_only_an_older_time_is_stale() -> None:
    newest = Record(f"state={NS}").newest
    assert [bool(stale_registers(["state"], newest, NS + more)) for more in (-1, 0, 1)] == [True, False, False]
    assert not stale_registers(["state"], newest, 0)
    assert not stale_registers(["owner"], newest, 1)


def test_an_older_time_does_not_change_a_register() -> None:
    record = Record(f"state={NS}")
    record.write(["state"], NS - 1)
    assert str(record) == f"state={NS}"


def test_the_record_stays_short() -> None:
    record = Record(None)
    record.write(["state"], 1)
    for number in range(200):
        record.write([tag_register(str(number))], NS + number)
        record.write_act(act(str(number)))
    again = Record(str(record))
    assert "state" in again.newest
    assert len(again.newest) == 1 + MOST_TAGS + MOST_ACTS
    assert tag_register("199") in again.newest
    assert len(str(record)) < 3000


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (act(), REDELIVERED),
        (act(integration=""), REDELIVERED),
        (act(integration="jec"), MERGED),
        (act(integration="jec", at_ns=NS + 90 * SECOND_NS), MERGED),
        (act(integration="jec", at_ns=NS + 121 * SECOND_NS), ""),
        (act(integration="jec", by="bob"), ""),
        (act(integration="jec", words="hello!"), ""),
        (act(at_ns=NS + SECOND_NS), ""),
        (act(integration="jec", at_ns=0), ""),
    ],
)
def test_a_duplicate_act_is_skipped(other: str, why: str) -> None:
    record = Record(None)
    record.write_act(act())
    assert Record(str(record)).skip_reason(other) == why


def test_a_merged_act_is_not_merged_again() -> None:
    """The same words once more through the same integration are another act."""
    record = Record(None)
    for one in (act(), act(integration="jec")):
        record.write_act(one)
    again = act(integration="jec", at_ns=NS + SECOND_NS)
    assert (record.skip_reason(again), record.skip_reason(act(integration="jec"))) == ("", REDELIVERED)


def test_without_an_updated_at_only_the_same_message_is_the_same_act() -> None:
    record = Record(None)
    record.write_act(act(at_ns=0))
    assert (record.skip_reason(act(at_ns=0)), record.skip_reason(act(at_ns=0, key="another"))) == (REDELIVERED, "")


# -- The signature


@pytest.mark.parametrize("text", ["state=1 owner=2", ""])
def test_a_signed_text_is_verified(text: str) -> None:
    assert verified("secret", "alert-1", sign("secret", "alert-1", text)) == text


def test_an_action_before_the_alert_came_again_is_of_an_earlier_outage() -> None:
    record = Record(f"opened={NS} incident={NS}")
    assert record.is_of_earlier_outage(NS - 10**10, 0)
    assert not record.is_of_earlier_outage(NS + 1, 0)
    assert record.is_of_earlier_outage(0, NS - 1)
    assert not record.is_of_earlier_outage(0, NS)
    assert not record.is_of_earlier_outage(0, 0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("al assigned the alert to bob in Opsgenie", "alice assigned the alert to robert in Opsgenie"),
        ("al took ownership", "alice took ownership"),
        ("also bobby", "also bobby"),
    ],
)
def test_names_in_a_text_are_whole_words(text: str, shown: str) -> None:
    assert with_names(text, {"al": "alice", "bob": "robert", "": "nobody"}) == shown


TEXT = f"state={NS} note=0123456789abcdef"
SIGNED = sign("secret", "alert-1", TEXT)


def test_a_number_that_is_too_long_is_ignored() -> None:
    assert Record("state=" + "9" * 5000).newest == {}


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
def test_a_wrong_signature_gives_an_empty_text(secret: str, alert_id: str, signed: object) -> None:
    assert verified(secret, alert_id, signed) == ""
