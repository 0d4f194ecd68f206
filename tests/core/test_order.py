"""What each action writes, and what something newer makes stale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.order import registers, superseded
from alerta_opsgenie.core.relay import PLANS
from tests.support.answers import BOB, UPDATED_NS, message

WRITES = {
    "Acknowledge": {"state"},
    "UnAcknowledge": {"state"},
    "Close": {"state"},
    "Snooze": {"state"},
    "SnoozeEnded": {"state"},
    "Delete": {"state"},
    "AssignOwnership": {"owner"},
    "TakeOwnership": {"owner"},
    "UpdatePriority": {"priority"},
    "AddTags": {"tag:a", "tag:b"},
    "RemoveTags": {"tag:b", "tag:c"},
}


@pytest.mark.parametrize("action", [*sorted(PLANS), "RestartService"])
def test_each_action_writes_its_registers_and_the_rest_none(action: str) -> None:
    about = message(action, owner=BOB, priority="P1", addedTags="a,b", removedTags="b,c", note="x")
    assert registers(about) == WRITES.get(action, set())


@pytest.mark.parametrize("tags", [None, "", " , ", 7])
def test_tags_that_cannot_be_read_write_nothing(tags: object) -> None:
    assert registers(message("AddTags", addedTags=tags)) == frozenset()


def test_a_newer_writer_supersedes() -> None:
    assert superseded(message("Close"), {"state": UPDATED_NS + 1}) == {"state"}


@pytest.mark.parametrize("newest", [{}, {"state": UPDATED_NS}, {"state": UPDATED_NS - 1}, {"owner": UPDATED_NS + 1}])
def test_an_equal_or_older_one_or_one_of_something_else_does_not(newest: dict[str, int]) -> None:
    assert superseded(message("Close"), newest) == frozenset()


@pytest.mark.parametrize("updated_at", [None, 0, -1, "x", 1.5, True])
def test_a_message_without_a_time_is_taken_as_the_newest(updated_at: object) -> None:
    assert superseded(message("Close", updatedAt=updated_at), {"state": 2**62}) == frozenset()


def test_each_tag_is_superseded_by_itself() -> None:
    about = message("AddTags", addedTags="a,b")
    assert superseded(about, {"tag:a": UPDATED_NS + 1, "tag:b": UPDATED_NS - 1}) == {"tag:a"}


@given(st.lists(st.tuples(st.sampled_from(["Acknowledge", "Close", "Snooze"]), st.integers(1, 10**4)), max_size=20))
def test_in_any_order_of_arrival_the_newest_writes_last(arrivals: list[tuple[str, int]]) -> None:
    """Whatever is applied by this rule, the last one applied is one with the greatest time."""
    newest: dict[str, int] = {}
    applied: list[int] = []
    for action, tick in arrivals:
        about = message(action, updatedAt=UPDATED_NS + tick)
        if not superseded(about, newest):
            newest["state"] = about.updated_ns
            applied.append(tick)
    assert not arrivals or applied[-1] == max(tick for _, tick in arrivals)
