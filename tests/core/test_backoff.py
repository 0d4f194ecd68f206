"""How long to wait: bounds that hold for every attempt and every random number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.backoff import LONGEST_RETRY_AFTER_SECONDS, delay_seconds

ATTEMPTS = st.integers(min_value=-5, max_value=10**9)
FRACTIONS = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)
ASKED = st.none() | st.floats()


@given(ATTEMPTS, FRACTIONS, ASKED)
def test_a_delay_is_between_half_the_first_and_the_longest_retry_after(
    attempt: int, fraction: float, asked: float | None
) -> None:
    delay = delay_seconds(attempt, fraction, retry_after_seconds=asked)
    assert 0.1 <= delay <= LONGEST_RETRY_AFTER_SECONDS
    assert math.isfinite(delay)


@given(ATTEMPTS, FRACTIONS, st.floats(min_value=0.001, max_value=LONGEST_RETRY_AFTER_SECONDS))
def test_the_retry_after_is_obeyed(attempt: int, fraction: float, asked: float) -> None:
    assert delay_seconds(attempt, fraction, retry_after_seconds=asked) >= asked


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (11, 204.8), (12, 300.0)])
def test_the_delay_doubles_up_to_five_minutes(attempt: int, ceiling: float) -> None:
    assert delay_seconds(attempt, 0.0) == pytest.approx(ceiling / 2)
    assert delay_seconds(attempt, 1.0) == pytest.approx(ceiling)


@given(ATTEMPTS, FRACTIONS)
def test_a_later_attempt_never_waits_less(attempt: int, fraction: float) -> None:
    assert delay_seconds(attempt + 1, fraction) >= delay_seconds(attempt, fraction)


@given(ATTEMPTS, FRACTIONS, st.floats(min_value=0.01, max_value=10), st.floats(min_value=10, max_value=10_000))
def test_the_longest_delay_is_the_one_given(attempt: int, fraction: float, first: float, longest: float) -> None:
    assert delay_seconds(attempt, fraction, first_seconds=first, longest_seconds=longest) <= longest
