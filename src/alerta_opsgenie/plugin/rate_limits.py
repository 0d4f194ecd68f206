"""How long nothing goes out by a key, to the vendor's address, or for an alert, as all threads of the sender know it.

The vendor's limits are per account and not published (https://docs.opsgenie.com/docs/api-rate-limiting). So nothing
is held back until an answer asks for it. Then what the answer is about pauses, longer each time, until a success.
"""

import random
import threading
from typing import Dict, NamedTuple, Optional, Tuple

from alerta_opsgenie.clients.opsgenie import Reason, RequestOutcome, Verdict
from alerta_opsgenie.core.backoff import delay_seconds


class _Pause(NamedTuple):
    failures: int = 0
    until: float = 0.0


_Name = Tuple[str, str]
_ADDRESS = ("address", "")


class RateLimits:
    """The pauses, shared by the threads. Instants are monotonic."""

    def __init__(self) -> None:
        self._pauses: Dict[_Name, _Pause] = {}
        self._mutex = threading.Lock()

    def wait_seconds(self, route: str, now: float, alert: str = "") -> float:
        """Tell how long nothing may go out by a route, or for an alert."""
        names = (_ADDRESS, ("route", route), ("alert", alert))
        with self._mutex:
            return max(0.0, *(self._pauses.get(name, _Pause()).until - now for name in names))

    def paused_keys(self) -> int:
        """Count the routes that wait for a person or for the vendor, and had no success since."""
        with self._mutex:
            return sum(1 for name, pause in self._pauses.items() if name[0] == "route" and pause.failures)

    def note(self, route: str, alert: str, delivery: RequestOutcome, now: float) -> None:
        """Learn from an answer; a 5xx holds up its alert alone."""
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
                # What the others were told still holds.
                self._pauses["route", route] = self._pauses["route", route]._replace(failures=0)

    def _pause(self, name: _Name, now: float, first: float, longest: float, asked: Optional[float] = None) -> None:
        """Pause; requests that were on their way together count once."""
        before = self._pauses.get(name, _Pause())
        failures = before.failures + (now >= before.until)
        fraction = random.random()  # noqa: S311 - spreads the next attempts
        seconds = delay_seconds(
            failures, fraction, first_seconds=first, longest_seconds=longest, retry_after_seconds=asked
        )
        self._pauses[name] = _Pause(max(1, failures), max(before.until, now + seconds))
