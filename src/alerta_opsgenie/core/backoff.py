"""How long to wait before the next attempt: exponential, jittered, capped; what the other side asks for is obeyed."""

from typing import Optional

LONGEST_RETRY_AFTER_SECONDS = 3600.0
"""A larger `Retry-After` is taken as this much, so that a broken or hostile answer cannot stop a lane for good."""


def delay_seconds(
    attempt: int,
    fraction: float,
    *,
    first_seconds: float = 0.2,
    longest_seconds: float = 300.0,
    retry_after_seconds: Optional[float] = None,
) -> float:
    """Give the seconds to wait after the given number of failed attempts (1 is the first).

    `fraction` in [0, 1) is the caller's random number: half of the delay is fixed, half is jitter, so that many lanes
    that failed together do not come back together. A `retry_after_seconds` is a lower bound.
    """
    doublings = min(max(attempt, 1) - 1, 30)
    ceiling = min(first_seconds * 2.0**doublings, longest_seconds)
    delay = ceiling * (0.5 + 0.5 * fraction)
    if retry_after_seconds is not None and retry_after_seconds > 0:
        return max(delay, min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS))
    return delay
