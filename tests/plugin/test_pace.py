"""How throttling slows one key down, and how it recovers."""

from __future__ import annotations

from alerta_opsgenie.plugin.pace import LONGEST_INTERVAL_SECONDS, PEACE_SECONDS, Pace


def test_nothing_is_held_back_before_the_first_throttle() -> None:
    pace = Pace()
    assert [pace.reserve(10.0) for _ in range(3)] == [10.0] * 3


def test_a_throttle_pauses_for_what_was_asked_and_goes_on_more_slowly() -> None:
    pace = Pace()
    pace.slow_down(0.0, 7.0)
    first, second = pace.reserve(0.0), pace.reserve(0.0)
    assert first == 7.0
    assert second > first


def test_throttles_of_one_moment_count_once() -> None:
    one, many = Pace(), Pace()
    one.slow_down(0.0, 1.0)
    for _ in range(5):
        many.slow_down(0.0, 1.0)
    assert many.interval_seconds == one.interval_seconds


def test_the_speed_has_a_floor_and_comes_back_with_success() -> None:
    pace, now = Pace(), 0.0
    for _ in range(30):
        pace.slow_down(now, 1.0)
        now = pace.paused_until
    assert pace.interval_seconds == LONGEST_INTERVAL_SECONDS
    for _ in range(300):
        pace.speed_up()
    assert pace.interval_seconds == 0.0


def test_after_some_time_in_peace_there_is_no_restraint() -> None:
    pace = Pace()
    pace.slow_down(0.0, None)
    later = pace.paused_until + PEACE_SECONDS
    assert pace.is_slow(later - 1)
    assert not pace.is_slow(later)
    assert [pace.reserve(later), pace.reserve(later)] == [later, later]
