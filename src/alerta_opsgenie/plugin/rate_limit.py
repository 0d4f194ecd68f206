"""How fast requests may go out by one key, learned from the vendor's throttling: pure, with the time as an argument.

The vendor's limits are per account and not published (https://docs.opsgenie.com/docs/api-rate-limiting). So nothing
is held back until a 429 or a header says THROTTLED; then the key pauses, and goes on more slowly, faster again with
each success, and without a limit once it was not throttled for some time.
"""

from dataclasses import dataclass
from typing import Optional

LONGEST_INTERVAL_SECONDS = 5.0
_FIRST_INTERVAL_SECONDS = 0.05
_FASTEST_INTERVAL_SECONDS = 0.005
_RECOVERY = 0.95
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
CALM_SECONDS = 60.0


@dataclass
class RateLimit:
    """The rate of one key. Not for use by two threads at once."""

    interval_seconds: float = 0.0
    paused_until: float = 0.0
    next_at: float = 0.0
    throttles: int = 0
    throttled_at: float = 0.0

    def reserve(self, now: float) -> float:
        """Take the next place: the instant (monotonic) at which the request may go out."""
        if not self.is_slow(now):
            self.interval_seconds = 0.0
        at = max(now, self.paused_until, self.next_at)
        self.next_at = at + self.interval_seconds
        return at

    def is_slow(self, now: float) -> bool:
        """Whether the last throttling was too recent to go on without a limit."""
        return self.interval_seconds > 0 and now < max(self.throttled_at, self.paused_until) + CALM_SECONDS

    def speed_up(self) -> None:
        """Note a success."""
        self.throttles = 0
        self.interval_seconds *= _RECOVERY
        if self.interval_seconds < _FASTEST_INTERVAL_SECONDS:
            self.interval_seconds = 0.0

    def slow_down(self, now: float, asked_seconds: Optional[float]) -> None:
        """Note a throttled request; several that were on their way together count once."""
        if now >= self.paused_until:
            self.throttles += 1
            doubled = max(self.interval_seconds * 2, _FIRST_INTERVAL_SECONDS)
            self.interval_seconds = min(doubled, LONGEST_INTERVAL_SECONDS)
        self.throttled_at = now
        grown = _FIRST_PAUSE_SECONDS * 2.0 ** min(self.throttles - 1, 6)
        self.pause(now + min(max(asked_seconds or 0.0, grown), _LONGEST_PAUSE_SECONDS))

    def pause(self, until: float) -> None:
        """Send nothing before that instant."""
        self.paused_until = max(self.paused_until, until)
