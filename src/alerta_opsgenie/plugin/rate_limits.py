"""How fast each key may be used and whether the address answers, as all threads of the sender know it."""

import random
import threading
from typing import Dict

from alerta_opsgenie.clients.opsgenie import Delivery, Reason, Verdict
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.plugin.rate_limit import RateLimit

LONGEST_ADDRESS_PAUSE_SECONDS = 15.0
LONGEST_KEY_PAUSE_SECONDS = 120.0


class RateLimits:
    """How fast each route may be used, shared by the threads."""

    def __init__(self) -> None:
        self.alert_failures: Dict[str, int] = {}
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
