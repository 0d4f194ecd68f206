"""An acknowledge that comes after the unacknowledge that followed it still ends the snooze that it ended."""

from __future__ import annotations

import pytest

from alerta_opsgenie.core.outcome import Answer
from tests.support.answers import (
    APPLIED,
    CONFLICT,
    IGNORED_STALE,
    UPDATED_NS,
    Played,
    at,
    message,
    ok_with_plugin,
    play,
    seen,
    shelve,
)

ACTED_SECONDS = UPDATED_NS / 1e9
BEFORE, AFTER = ACTED_SECONDS - 60, ACTED_SECONDS + 0.5


def late(*answers: Answer) -> Played:
    return play(message("Acknowledge"), *answers, circumstances=at(superseded={"state"}))


def test_a_snooze_from_before_it_ends() -> None:
    played = late(seen("shelved", shelve(BEFORE)), ok_with_plugin("open"), CONFLICT, seen("open"))
    assert [asked[2]["action"] for asked in played.asked if asked[0] == "PUT"] == ["unshelve", "unack"]
    assert played.ending == APPLIED


def test_a_snooze_from_after_it_stands() -> None:
    played = late(seen("shelved", shelve(BEFORE), shelve(AFTER)))
    assert len(played.calls) == 1
    assert played.ending == IGNORED_STALE


def test_a_snooze_is_dated_by_alertas_clock() -> None:
    ahead = late(seen("shelved", shelve(BEFORE + 600), clock_ahead_seconds=600), CONFLICT, seen("open"))
    behind = late(seen("shelved", shelve(AFTER - 600), clock_ahead_seconds=-600))
    assert [len(played.calls) for played in (ahead, behind)] == [3, 1]


@pytest.mark.parametrize("look", [seen("open"), seen("ack"), seen("closed", shelve(BEFORE)), seen("shelved")])
def test_where_no_such_snooze_is_left_it_is_stale(look: Answer) -> None:
    played = late(look)
    assert len(played.calls) == 1
    assert played.ending == IGNORED_STALE


def test_our_plugin_is_told_no_time_by_which_it_would_refuse() -> None:
    played = late(seen("shelved", shelve(BEFORE)), ok_with_plugin("open"), CONFLICT, seen("open"))
    told = [call.body["bridge"]["updatedAt"] for call in played.calls if call.body]
    assert told == [0, 0]
