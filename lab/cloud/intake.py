"""Requests between their 202 and their processing, and the throttle in front of them, without I/O (contracts 3.3)."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import Literal

from lab.cloud.model import Command, Outcome

NS_PER_SECOND = 1_000_000_000
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True)
class Processed:
    """A request that was processed: what `GET /v2/alerts/requests/{id}` tells."""

    command: Command
    outcome: Outcome
    at_ns: int


class Intake:
    """The queue of accepted requests: each is processed after a delay, those of one alert in the order they came.

    The delay in seconds is drawn between the two values of `delay_seconds` for each request.
    """

    def __init__(self, rng: random.Random) -> None:
        self.delay_seconds = (0.0, 0.0)
        self._rng = rng
        self._waiting: list[tuple[int, int, Command]] = []
        self._last_due_ns: dict[str, int] = {}
        self._taken = 0
        self.processed: dict[str, Processed] = {}
        self.pending: set[str] = set()

    def put(self, command: Command, alert_key: str, now_ns: int) -> None:
        """Accept `command`; it is due after its delay, and not before an earlier one of the same alert."""
        due_ns = now_ns + int(self._rng.uniform(*self.delay_seconds) * NS_PER_SECOND)
        due_ns = self._last_due_ns[alert_key] = max(due_ns, self._last_due_ns.get(alert_key, 0))
        self._taken += 1
        heapq.heappush(self._waiting, (due_ns, self._taken, command))
        self.pending.add(command.request_id)

    def take_due(self, now_ns: int) -> Command | None:
        """Return the next command whose time has come, or None."""
        if not self._waiting or self._waiting[0][0] > now_ns:
            return None
        if len(self._waiting) == 1:
            self._last_due_ns.clear()  # nothing waits behind anything any more
        return heapq.heappop(self._waiting)[2]

    def finish(self, command: Command, outcome: Outcome, now_ns: int) -> None:
        """Keep what became of `command` for its request status."""
        self.pending.discard(command.request_id)
        self.processed[command.request_id] = Processed(command, outcome, now_ns)

    def next_due_ns(self) -> int | None:
        """Return when the next command is due, or None."""
        return self._waiting[0][0] if self._waiting else None


@dataclass
class Bucket:
    """A token bucket: `size` requests in `period_seconds`, refilled evenly."""

    size: int
    period_seconds: int
    tokens: float = -1.0
    filled_at_ns: int = 0

    def refill(self, now_ns: int) -> None:
        """Add the tokens that came in until `now_ns`."""
        if self.tokens < 0:
            self.tokens = float(self.size)
        else:
            gained = (now_ns - self.filled_at_ns) / NS_PER_SECOND * self.size / self.period_seconds
            self.tokens = min(float(self.size), self.tokens + gained)
        self.filled_at_ns = now_ns


class Throttle:
    """Rate limiting of one request domain: a bucket per second and one per minute (None: no limit).

    https://docs.opsgenie.com/docs/api-rate-limiting
    """

    def __init__(self, per_second: int | None = None, per_minute: int | None = None) -> None:
        sizes = ((per_second, 1), (per_minute, SECONDS_PER_MINUTE))
        self._buckets = [Bucket(size, period) for size, period in sizes if size is not None]

    def admit(self, now_ns: int) -> int:
        """Take one token of each bucket; return 0, or the period in seconds of the bucket that is empty."""
        for bucket in self._buckets:
            bucket.refill(now_ns)
            if bucket.tokens < 1:
                return bucket.period_seconds
        for bucket in self._buckets:
            bucket.tokens -= 1
        return 0


Domain = Literal["alert", "search"]
