"""How fast each key may be used and whether the address answers, as all threads of the sender know it.

The vendor's limits are per account and not published (https://docs.opsgenie.com/docs/api-rate-limiting). So nothing
is held back until a 429 or a header says THROTTLED; then the key pauses, and goes on more slowly, faster again with
each success, and without a limit once it was not throttled for some time.
"""

import random
import threading
from dataclasses import dataclass
from typing import Dict, Optional

from alerta_opsgenie.clients.opsgenie import Delivery, Reason, Verdict
from alerta_opsgenie.core.backoff import delay_seconds

LONGEST_INTERVAL_SECONDS = 5.0
_FIRST_INTERVAL_SECONDS = 0.05
_FASTEST_INTERVAL_SECONDS = 0.005
_RECOVERY = 0.95
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
CALM_SECONDS = 60.0
LONGEST_ADDRESS_PAUSE_SECONDS = 15.0
LONGEST_KEY_PAUSE_SECONDS = 120.0
LONGEST_ALERT_PAUSE_SECONDS = 60.0


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


class RateLimits:
    """How fast each route may be used, shared by the threads."""

    def __init__(self) -> None:
        self._alert_failures: Dict[str, int] = {}
        self._limits: Dict[str, RateLimit] = {}
        self._address = RateLimit()
        self._network_failures = 0
        self._stuck: Dict[str, int] = {}
        self._mutex = threading.Lock()

    def reserve(self, route: str, now: float) -> float:
        """Take the next place: the instant (monotonic) at which a request may go out."""
        with self._mutex:
            return max(self._limit(route).reserve(now), self._address.paused_until)

    def wait_seconds(self, route: str, now: float) -> float:
        """Tell how long nothing may go out by a route."""
        with self._mutex:
            return max(0.0, self._limit(route).paused_until - now, self._address.paused_until - now)

    def pause_address(self, until: float) -> None:
        """Send nothing at all before that instant."""
        with self._mutex:
            self._address.pause(until)

    def paused_keys(self, now: float) -> int:
        """Count the routes that wait, for a person or for the vendor."""
        with self._mutex:
            return sum(1 for route, limit in self._limits.items() if route in self._stuck or limit.paused_until > now)

    def throttled_lately(self, route: str, now: float) -> bool:
        """Whether the vendor asked for fewer requests, and not long ago."""
        with self._mutex:
            return self._limit(route).is_slow(now)

    def retry_seconds(self, route: str, alert: str, delivery: Delivery, now: float) -> float:
        """Tell after how long a request may be tried again; a 5xx holds up its alert alone, ever longer."""
        if delivery.reason is not Reason.UNAVAILABLE:
            return self.wait_seconds(route, now) + random.random() / 4  # noqa: S311
        with self._mutex:
            failures = self._alert_failures[alert] = self._alert_failures.get(alert, 0) + 1
        return delay_seconds(
            failures,
            random.random(),  # noqa: S311
            longest_seconds=LONGEST_ALERT_PAUSE_SECONDS,
            retry_after_seconds=delivery.retry_after_seconds,
        )

    def forget_failures(self, alert: str) -> None:
        """Note that a request of an alert was taken."""
        with self._mutex:
            self._alert_failures.pop(alert, None)

    def note(self, route: str, delivery: Delivery, now: float) -> None:
        """Learn from an answer."""
        with self._mutex:
            limit = self._limit(route)
            if delivery.reason in (Reason.NETWORK, Reason.TIMEOUT):
                self._note_network(now)
                return
            self._network_failures = 0
            if delivery.verdict is Verdict.STUCK:
                self._note_stuck(route, limit, now)
                return
            self._stuck.pop(route, None)
            if delivery.throttled:
                limit.slow_down(now, delivery.retry_after_seconds)
            elif delivery.verdict is Verdict.DONE:
                limit.speed_up()

    def _note_network(self, now: float) -> None:
        """Pause the address; requests that were on their way together count once."""
        if now < self._address.paused_until:
            return
        self._network_failures += 1
        self._address.pause(
            now
            + delay_seconds(
                self._network_failures,
                random.random(),  # noqa: S311
                longest_seconds=LONGEST_ADDRESS_PAUSE_SECONDS,
            )
        )

    def _note_stuck(self, route: str, limit: RateLimit, now: float) -> None:
        if now < limit.paused_until:
            return
        times = self._stuck[route] = self._stuck.get(route, 0) + 1
        pause = delay_seconds(
            times,
            random.random(),  # noqa: S311
            first_seconds=2.0,
            longest_seconds=LONGEST_KEY_PAUSE_SECONDS,
        )
        limit.pause(now + pause)

    def _limit(self, route: str) -> RateLimit:
        return self._limits.setdefault(route, RateLimit())
