"""How throttling slows one key down, and how it recovers."""

from __future__ import annotations

from alerta_opsgenie.plugin.rate_limits import CALM_SECONDS, LONGEST_INTERVAL_SECONDS, RateLimit


def test_nothing_is_held_back_before_the_first_throttle() -> None:
    limit = RateLimit()
    assert [limit.reserve(10.0) for _ in range(3)] == [10.0] * 3


def test_a_throttle_pauses_for_what_was_asked_and_goes_on_more_slowly() -> None:
    limit = RateLimit()
    limit.slow_down(0.0, 7.0)
    first, second = limit.reserve(0.0), limit.reserve(0.0)
    assert first == 7.0
    assert second > first


def test_throttles_of_one_moment_count_once() -> None:
    one, many = RateLimit(), RateLimit()
    one.slow_down(0.0, 1.0)
    for _ in range(5):
        many.slow_down(0.0, 1.0)
    assert many.interval_seconds == one.interval_seconds


def test_the_speed_has_a_floor_and_comes_back_with_success() -> None:
    limit, now = RateLimit(), 0.0
    for _ in range(30):
        limit.slow_down(now, 1.0)
        now = limit.paused_until
    assert limit.interval_seconds == LONGEST_INTERVAL_SECONDS
    for _ in range(300):
        limit.speed_up()
    assert limit.interval_seconds == 0.0


def test_after_some_time_in_peace_there_is_no_restraint() -> None:
    limit = RateLimit()
    limit.slow_down(0.0, None)
    later = limit.paused_until + CALM_SECONDS
    assert limit.is_slow(later - 1)
    assert not limit.is_slow(later)
    assert [limit.reserve(later), limit.reserve(later)] == [later, later]
