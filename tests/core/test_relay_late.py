"""An acknowledge that comes after the unacknowledge that followed it still ends the snooze that it ended."""

from __future__ import annotations

import pytest

from alerta_opsgenie.core.outcome import Answer, Kind, Reason
from tests.support.answers import (
    APPLIED,
    CONFLICT,
    IGNORED_STALE,
    NOW_SECONDS,
    STALE,
    UPDATED_NS,
    Played,
    at,
    error,
    message,
    ok_with_plugin,
    play,
    seen,
    shelve,
)

ACTED_SECONDS = UPDATED_NS / 1e9
BEFORE, AFTER = ACTED_SECONDS - 60, ACTED_SECONDS + 0.5


def late(*answers: Answer) -> Played:
    return play(message("Acknowledge"), *answers, context=at(superseded={"state"}))


def test_a_snooze_from_before_it_ends() -> None:
    played = late(seen("shelved", shelve(BEFORE)), ok_with_plugin("open"), CONFLICT, seen("open"))
    assert [asked[2]["action"] for asked in played.asked if asked[0] == "PUT"] == ["unshelve", "unack"]
    assert played.ending == APPLIED


def test_a_later_snooze_stays() -> None:
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


def test_our_plugin_gets_no_time_by_which_it_would_refuse() -> None:
    played = late(seen("shelved", shelve(BEFORE)), ok_with_plugin("open"), CONFLICT, seen("open"))
    times = [call.body["bridge"]["updatedAt"] for call in played.calls if call.body]
    assert times == [0, 0]


def test_a_snooze_of_an_acknowledged_alert_ends_and_leaves_it_open() -> None:
    played = late(seen("shelved", shelve(BEFORE)), ok_with_plugin("ack"), ok_with_plugin("open"))
    assert played.ending == APPLIED


def test_one_that_our_plugin_calls_stale_ends_the_snooze_too() -> None:
    answers = [STALE, seen("shelved", shelve(BEFORE)), ok_with_plugin("open"), CONFLICT, seen("open")]
    assert play(message("Acknowledge"), *answers, context=at()).ending == APPLIED


def test_a_late_ack_stays_stale_if_somebody_ends_the_snooze_meanwhile() -> None:
    assert late(seen("shelved", shelve(BEFORE)), CONFLICT, seen("open")).ending == IGNORED_STALE


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (error(503), (Kind.KEPT, Reason.UNAVAILABLE)),
        (error(404, "not found"), IGNORED_STALE),
        (error(400, "Rejected"), IGNORED_STALE),
    ],
)
def test_a_look_that_fails_for_now_is_tried_again(look: Answer, expected: tuple[Kind, Reason]) -> None:
    assert late(look).ending == expected


def test_it_is_tried_again_where_the_snooze_could_not_be_ended() -> None:
    played = late(seen("shelved", shelve(BEFORE)), error(503))
    assert played.ending == (Kind.KEPT, Reason.UNAVAILABLE)


def test_other_changes_that_are_late_look_nowhere() -> None:
    played = play(message("Snooze", snoozedUntil=int(NOW_SECONDS + 60) * 1000), context=at(superseded={"state"}))
    assert played.calls == []
