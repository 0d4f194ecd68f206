"""What comes in a message, against a real Alerta: aliases that are no id, tags, notes, names."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.core.task import Settings
from tests.support.answers import BOB, JANE
from tests.support.console import Console
from tests.support.relaying import APPLIED, Bridge, Made, end, newest

# -- Aliases that are no id


def everything(console: Console) -> Any:
    """Give all alerts with their history; one more page than there can be here would be an error."""
    found = console.call("GET", "/alerts?page-size=100000&show-history=true")
    assert not found["more"]
    return sorted(found["alerts"], key=lambda alert: str(alert["id"]))


@pytest.mark.parametrize(
    "alias",
    [
        *(".*", "^", "$", "", "../users", "../alerts", "..%2Fusers", "?q=x", "#x"),
        *("first eight", "prefix", "whole and more", "a space", "a newline"),
    ],
)
def test_an_alias_that_is_no_id_touches_nothing_and_costs_no_call(bridge: Bridge, made: Made, alias: str) -> None:
    alert_id = made("open")
    variants = {
        "first eight": alert_id[:8],
        "prefix": alert_id[:-1],
        "whole and more": f"{alert_id}|.*",
        "a space": f"{alert_id} ",
        "a newline": f"{alert_id}\n",
    }
    before = everything(bridge.console)
    fields: dict[str, Any] = {"note": "x", "owner": BOB, "priority": "P1", "addedTags": "x", "removedTags": "x"}
    wanted = Settings(on_delete="delete", all_notes=True, custom_actions={"Restart": "close"})
    actions = ["Acknowledge", "Close", "Delete", "AddNote", "AssignOwnership", "AddTags", "UpdatePriority", "Restart"]
    for action in actions:
        outcome = bridge.do(action, variants.get(alias, alias), settings=wanted, **fields)
        assert outcome.kind in (Kind.REJECTED, Kind.IGNORED)
        assert bridge.calls == 0
    assert everything(bridge.console) == before


def test_alerta_itself_takes_a_pattern_for_an_id(bridge: Bridge, made: Made) -> None:
    """The trap is there: a prefix, or `.*`, is some alert of Alerta's choosing."""
    alert_id = made("open")
    assert bridge.console.get(alert_id[:8])["id"] == alert_id
    assert bridge.console.call("GET", "/alert/.*")["status"] == "ok"


# -- Tags, texts, names


def test_tags_are_added_and_removed_down_to_the_last(bridge: Bridge, made: Made) -> None:
    alert_id = made("open")
    assert end(bridge.do("AddTags", alert_id, addedTags="a, b")) == APPLIED
    assert sorted(bridge.console.get(alert_id)["tags"]) == ["a", "b"]
    assert end(bridge.do("AddTags", alert_id, addedTags="b")) == APPLIED
    assert sorted(bridge.console.get(alert_id)["tags"]) == ["a", "b"]
    assert end(bridge.do("RemoveTags", alert_id, removedTags="a,unknown")) == APPLIED
    assert bridge.console.get(alert_id)["tags"] == ["b"]
    assert end(bridge.do("RemoveTags", alert_id, removedTags="b")) == APPLIED
    assert bridge.console.get(alert_id)["tags"] == []
    assert end(bridge.do("Acknowledge", alert_id)) == APPLIED
    assert end(bridge.do("AddTags", alert_id, addedTags="c")) == APPLIED
    assert bridge.console.get(alert_id)["tags"] == ["c"]


NOTES = {
    "nul": ("a\x00b", "a\ufffdb"),
    "lone surrogate": ("a\ud800b", "a\ufffdb"),
    "emoji": ("🔥 on 👩\u200d🚒", "🔥 on 👩\u200d🚒"),
    "right to left": ("ג'יין \u202e", "ג'יין \u202e"),  # noqa: RUF001 - Hebrew
    "quotes": ('it\'s "100%" \\ {who} %s $1', 'it\'s "100%" \\ {who} %s $1'),
    "lines": ("one\r\ntwo\n", "one\r\ntwo\n"),
    "the longest that Opsgenie takes": ("ü" * 25_000, "ü" * 25_000),
    "half a mebibyte": ("x" * 524_288, "x" * 524_288),
}


@pytest.mark.parametrize("name", NOTES)
def test_a_note_arrives_as_it_was_written(bridge: Bridge, made: Made, name: str) -> None:
    written, stored = NOTES[name]
    alert_id = made("open")
    assert end(bridge.do("AddNote", alert_id, note=written)) == APPLIED
    assert [note["text"] for note in bridge.console.notes(alert_id)] == [f"{JANE}: {stored}"]


@pytest.mark.parametrize(
    ("username", "who"),
    [
        ("jane\r\nX-Admin: yes", "jane X-Admin: yes"),
        ("Jürgen Ñ", "Jürgen Ñ"),
        ("ja\x00ne", "ja\ufffdne"),
        ("🔥" * 400, "🔥" * 320),
        ('"; drop table alerts; --', '"; drop table alerts; --'),
        ("100% \\ real", "100% \\ real"),
    ],
    ids=repr,
)
def test_whoever_acts_is_named_in_one_line(bridge: Bridge, made: Made, username: str, who: str) -> None:
    alert_id = made("open")
    assert end(bridge.do("Acknowledge", alert_id, username=username)) == APPLIED
    assert bridge.console.get(alert_id)["attributes"]["acked-by"] == who
    assert newest(bridge.console, alert_id, "ack")["text"] == f"Acknowledged by {who} in Opsgenie"


def test_a_priority_becomes_an_attribute(bridge: Bridge, made: Made) -> None:
    alert_id = made("open")
    bridge.do("UpdatePriority", alert_id, priority=1)
    assert bridge.console.get(alert_id)["attributes"]["opsgenie-priority"] == "P1"
