"""The life of alerts in the stand-in's model: time is an argument, nothing is started."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from lab.cloud.actions import ACTIONS
from lab.cloud.model import Actor, Alert, Command, Model, Outcome

ALICE = Actor("alice@example.com", "alice-id")
NOW_NS = 1_751_623_200_123_000_000
SECOND_NS = 1_000_000_000


class Life:
    """A model with one alert, alias "a", created at `NOW_NS`, and a clock that the test moves."""

    def __init__(self, **fields: Any) -> None:
        ids = (f"00000000-0000-4000-8000-{number:012d}" for number in itertools.count())
        self.model = Model(lambda: next(ids), ACTIONS)
        self.now_ns = NOW_NS
        self.heard: list[str] = []
        self.do("create", message="m", alias="a", **fields)

    def do(self, action: str, **fields: Any) -> Outcome:
        outcome = self.model.apply(Command(action, ALICE, "a", fields=fields), self.now_ns)
        self.heard += [change.action for change in outcome.changes]
        return outcome

    def pass_seconds(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)
        self.heard += [change.action for change in self.model.tick(self.now_ns)]

    def snooze(self, seconds: float) -> Outcome:
        return self.do("snooze", endTime=(self.now_ns + int(seconds * SECOND_NS)) // 1_000_000)

    @property
    def alert(self) -> Alert:
        alert = self.model.find("a")
        assert alert is not None
        return alert


def test_updated_at_grows_with_each_change_even_in_the_same_instant() -> None:
    life, seen = Life(), []
    for number in range(5):
        outcome = life.do("add_note", note=str(number))
        seen.append(outcome.changes[0].alert.updated_at_ns)
    assert seen == sorted(set(seen))
    assert seen[0] > NOW_NS


@pytest.mark.parametrize(
    ("first", "second"),
    [("acknowledge", "acknowledge"), ("close", "close"), ("close", "acknowledge"), ("create", "unacknowledge")],
)
def test_what_is_so_already_is_refused_and_nobody_hears_of_it(first: str, second: str) -> None:
    life = Life()
    if first != "create":
        life.do(first)
    life.heard.clear()
    assert life.do(second).success is False
    assert life.heard == []


@pytest.mark.parametrize("action", ["snooze", "assign", "take_ownership", "escalate"])
def test_a_closed_alert_takes_no_further_state(action: str) -> None:
    life = Life()
    life.do("close")
    fields: dict[str, dict[str, Any]] = {
        "snooze": {"endTime": 2**50},
        "assign": {"owner": {"username": "u"}},
        "escalate": {"escalation": {}},
    }
    assert life.do(action, **fields.get(action, {})).status == "Alert is already closed"


def test_a_snooze_ends_once_open_and_not_acknowledged() -> None:
    life = Life()
    life.do("acknowledge")
    life.snooze(60)
    life.pass_seconds(59)
    assert (life.alert.snoozed_until_ms is not None, life.heard[-1]) == (True, "Snooze")
    life.pass_seconds(2)
    life.pass_seconds(60)
    assert life.heard == ["Create", "Acknowledge", "Snooze", "SnoozeEnded"]
    assert (life.alert.acknowledged, life.alert.closed, life.alert.snoozed_until_ms) == (False, False, None)


@pytest.mark.parametrize("action", ["acknowledge", "close", "delete"])
def test_what_ends_a_snooze_ends_it_without_snooze_ended(action: str) -> None:
    life = Life()
    life.snooze(60)
    life.do(action)
    life.pass_seconds(61)
    assert "SnoozeEnded" not in life.heard
    assert life.model.next_due_ns() is None


def test_tags_that_are_there_are_not_added_again() -> None:
    life = Life(tags=["x"])
    assert life.do("add_tags", tags=["x"]).changes == ()
    assert life.do("add_tags", tags=["x", "y", "y"]).changes[0].extra == {"addedTags": "y"}
    assert life.do("remove_tags", tags=["z"]).changes == ()
