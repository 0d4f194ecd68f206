"""The delay before the next attempt: exponential backoff with jitter, a maximum, and `Retry-After`."""

from typing import Optional

LONGEST_RETRY_AFTER_SECONDS = 3600.0
"""The maximum for a `Retry-After`, so that a broken or hostile response cannot stop deliveries for ever."""


def delay_seconds(
    attempt: int,
    fraction: float,
    *,
    first_seconds: float = 0.2,
    longest_seconds: float = 300.0,
    retry_after_seconds: Optional[float] = None,
) -> float:
    """Return the seconds to wait after the given number of failed attempts (1 is the first).

    `fraction` is a random number in [0, 1). Half of the delay is fixed and half is jitter, so that deliveries that
    failed at the same time are not retried at the same time. `retry_after_seconds` is a lower bound.
    """
    doublings = min(max(attempt, 1) - 1, 30)
    ceiling = min(first_seconds * 2.0**doublings, longest_seconds)
    delay = ceiling * (0.5 + 0.5 * fraction)
    if retry_after_seconds is not None and retry_after_seconds > 0:
        return max(delay, min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS))
    return delay
