"""Which requests a refused, throttled or unanswered one delays, and for how long."""

from __future__ import annotations

import pytest

from alerta_opsgenie.clients.opsgenie import Reason, RequestOutcome, Verdict
from alerta_opsgenie.plugin.rate_limits import RateLimits

DONE = RequestOutcome(Verdict.DONE, Reason.ACCEPTED)
THROTTLED = RequestOutcome(Verdict.LATER, Reason.THROTTLED, retry_after_seconds=7.0, throttled=True)
NETWORK = RequestOutcome(Verdict.LATER, Reason.NETWORK)
UNAVAILABLE = RequestOutcome(Verdict.LATER, Reason.UNAVAILABLE)
UNAUTHORIZED = RequestOutcome(Verdict.STUCK, Reason.UNAUTHORIZED)


def waits(limits: RateLimits, now: float = 0.0) -> list[bool]:
    """Return whether these wait: the same alert by the same route, another alert, another route."""
    places = (("r", "a"), ("r", "b"), ("other", "c"))
    return [limits.wait_seconds(route, now, alert) > 0 for route, alert in places]


@pytest.mark.parametrize(
    ("delivery", "held_up"),
    [
        (DONE, [False, False, False]),
        (UNAVAILABLE, [True, False, False]),
        (THROTTLED, [True, True, False]),
        (UNAUTHORIZED, [True, True, False]),
        (NETWORK, [True, True, True]),
    ],
)
def test_each_response_pauses_alert_key_or_address(delivery: RequestOutcome, held_up: list[bool]) -> None:
    limits = RateLimits()
    limits.note("r", "a", delivery, 0.0)
    assert waits(limits) == held_up


@pytest.mark.parametrize(
    ("delivery", "longest"), [(NETWORK, 15), (UNAVAILABLE, 60), (UNAUTHORIZED, 120), (THROTTLED, 60)]
)
def test_pauses_grow_to_a_limit_and_start_again_after_a_success(delivery: RequestOutcome, longest: float) -> None:
    limits, now, pauses = RateLimits(), 0.0, []
    for _ in range(12):
        limits.note("r", "a", delivery, now)
        pauses.append(limits.wait_seconds("r", now, "a"))
        now += pauses[-1]
    assert pauses[0] < pauses[-1] <= longest
    limits.note("r", "a", DONE, now)
    limits.note("r", "a", delivery, now)
    assert limits.wait_seconds("r", now, "a") <= max(2.0, delivery.retry_after_seconds or 0)


def test_responses_at_once_count_once_and_do_not_end_a_requested_pause() -> None:
    limits = RateLimits()
    for _ in range(8):
        limits.note("r", "a", NETWORK, 100.0)
    assert limits.wait_seconds("r", 100.0) <= 0.2
    limits.note("r", "a", THROTTLED, 200.0)
    limits.note("r", "b", DONE, 200.0)
    assert limits.wait_seconds("r", 200.0) == 7.0


def test_a_key_counts_as_paused_until_a_success() -> None:
    limits = RateLimits()
    limits.note("r", "a", UNAUTHORIZED, 0.0)
    assert limits.paused_keys() == 1
    limits.note("r", "a", DONE, 500.0)
    assert limits.paused_keys() == 0
