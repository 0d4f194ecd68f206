"""Pauses of a key, of the vendor's address, or of an alert, shared by all threads of the sender.

The vendor's limits are per account and not published (https://docs.opsgenie.com/docs/api-rate-limiting). So no request
is delayed until a response asks for it. Then the key, address or alert pauses, longer each time, until a success.
"""

import random
import threading
from typing import Dict, NamedTuple, Optional, Tuple

from alerta_opsgenie.clients.opsgenie import Reason, RequestOutcome, Verdict
from alerta_opsgenie.core.backoff import delay_seconds


class _Pause(NamedTuple):
    failures: int = 0
    until: float = 0.0


_ADDRESS = ("address", "")


class RateLimits:
    """The pauses, for any thread. Times are monotonic."""

    def __init__(self) -> None:
        self._pauses: Dict[Tuple[str, str], _Pause] = {}
        self._mutex = threading.Lock()

    def wait_seconds(self, route: str, now: float, alert: str = "") -> float:
        """Return how long no request may be sent by a route, or for an alert."""
        names = (_ADDRESS, ("route", route), ("alert", alert))
        with self._mutex:
            return max(0.0, *(self._pauses.get(name, _Pause()).until - now for name in names))

    def paused_keys(self) -> int:
        """Return the number of routes that a person or the vendor stopped, and that had no success since."""
        with self._mutex:
            return sum(1 for name, pause in self._pauses.items() if name[0] == "route" and pause.failures)

    def note(self, route: str, alert: str, delivery: RequestOutcome, now: float) -> None:
        """Set and end pauses by a response. After a 5xx only its alert pauses."""
        asked = delivery.retry_after_seconds
        with self._mutex:
            if delivery.reason in (Reason.NETWORK, Reason.TIMEOUT):
                self._pause(_ADDRESS, now, 0.2, 15.0)
                return
            self._pauses.pop(_ADDRESS, None)
            if delivery.reason is Reason.UNAVAILABLE:
                self._pause(("alert", alert), now, 0.2, 60.0, asked)
            else:
                self._pauses.pop(("alert", alert), None)
            if delivery.verdict is Verdict.STUCK:
                self._pause(("route", route), now, 2.0, 120.0)
            elif delivery.throttled:
                self._pause(("route", route), now, 2.0, 60.0, asked)
            elif delivery.verdict is Verdict.DONE and ("route", route) in self._pauses:
                # Requests in flight together: the pause that another response asked for stays.
                self._pauses["route", route] = self._pauses["route", route]._replace(failures=0)

    def _pause(
        self, name: Tuple[str, str], now: float, first: float, longest: float, asked: Optional[float] = None
    ) -> None:
        """Set a pause. Failures of requests that were in flight together count once."""
        before = self._pauses.get(name, _Pause())
        failures = before.failures + (now >= before.until)
        fraction = random.random()  # noqa: S311 - spreads the next attempts
        seconds = delay_seconds(
            failures, fraction, first_seconds=first, longest_seconds=longest, retry_after_seconds=asked
        )
        self._pauses[name] = _Pause(max(1, failures), max(before.until, now + seconds))
