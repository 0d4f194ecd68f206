"""Looks up the status of requests for which a 202 is no proof.

The vendor accepts an acknowledge, close or snooze of an alert that it does not have; only the request's status shows
the failure. At most `MOST_PER_SECOND` are looked up, and none while the vendor throttles the key.
"""

import collections
import contextlib
import time
from typing import Callable, Deque, NamedTuple, Optional

from alerta_opsgenie.clients.opsgenie import OpsgenieClient, Status
from alerta_opsgenie.core.refusals import changed_nothing, is_of_plan
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.outbox import Outbox, OutgoingRequest
from alerta_opsgenie.plugin.plan_limits import PlanLimits
from alerta_opsgenie.plugin.rate_limits import RateLimits
from alerta_opsgenie.plugin.settings import Settings

CONFIRMED = frozenset({"create", "acknowledge", "unacknowledge", "close", "snooze", "assign", "priority"})
MOST_WAITING = 500
MOST_PER_SECOND = 5
FIRST_LOOK_SECONDS = 1.0
MOST_LOOKS = 6
MOST_REPEATS = 2
_REPEATED = "~"
CROSSING = "crossing-"
"""The key prefix of requests that repeat an action of one product to both. There it may have no effect: no error."""


class Pending(NamedTuple):
    """A request whose status is looked up at `due_at` (monotonic), after `looks` look-ups."""

    outgoing: OutgoingRequest
    request_id: str
    due_at: float
    looks: int = 0


class StatusLookups:
    """The pending look-ups. The working threads add them, and the leading thread makes them."""

    def __init__(
        self, settings: Settings, limits: RateLimits, report: Callable[[str, str], None], outbox: Outbox,
        plan: PlanLimits, created: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self._created = created
        self._plan = plan
        self._settings = settings
        self._limits = limits
        self._report = report
        self._outbox = outbox
        self._pending: Deque[Pending] = collections.deque(maxlen=MOST_WAITING)
        self._next_at = 0.0

    def add(self, outgoing: OutgoingRequest, request_id: str) -> None:
        """Add an accepted request, if its operation needs a look-up."""
        operation = outgoing.request.operation
        linked = bool(self._settings.alert_link) and operation == "create"
        wanted = linked or (self._settings.confirm and operation in CONFIRMED)
        if operation == "create" and len(self._pending) > MOST_WAITING / 2:
            return  # the rest of the queue is for the actions of people
        if request_id and wanted:
            self._pending.append(Pending(outgoing, request_id, time.monotonic() + FIRST_LOOK_SECONDS))

    def next_look_seconds(self, longest: float) -> float:
        """Return the seconds until the next look-up, at most `longest`."""
        first = self._first()
        return max(0.01, min(longest, max(first.due_at, self._next_at) - time.monotonic())) if first else longest

    def _first(self) -> Optional[Pending]:
        """Return the next one. The working threads may append meanwhile."""
        return min(list(self._pending), key=lambda one: one.due_at, default=None)

    def look(self, client: OpsgenieClient) -> None:
        """Make one look-up, if one is due."""
        now, pending = time.monotonic(), self._first()
        if pending is None or max(pending.due_at, self._next_at) > now:
            return
        self._next_at = now + 1.0 / MOST_PER_SECOND
        with contextlib.suppress(ValueError):  # a full queue has dropped it
            self._pending.remove(pending)
        pause = self._limits.wait_seconds(pending.outgoing.route, now)
        if pause > 0:
            self._pending.append(pending._replace(due_at=now + pause))
            return
        try:
            key = self._settings.key_of(pending.outgoing.route).reveal()
        except OSError:
            return
        found = client.look_up(pending.request_id, key, time.monotonic() + self._settings.timeout_seconds)
        if found.status is Status.PENDING and pending.looks + 1 < MOST_LOOKS:
            due_at = time.monotonic() + FIRST_LOOK_SECONDS * 2**pending.looks
            self._pending.append(pending._replace(due_at=due_at, looks=pending.looks + 1))
        elif found.status is Status.SUCCEEDED and pending.outgoing.request.operation == "create":
            self._created(pending.outgoing.alert, found.alert_id)
        elif found.status is Status.FAILED:
            self._report_failure(pending.outgoing, found.text)

    def _report_failure(self, outgoing: OutgoingRequest, text: str) -> None:
        """Repeat a request that was processed before its create; else report that it had no effect."""
        if changed_nothing(text):
            return
        if is_of_plan(text):
            noted = self._plan.learn(outgoing, text)
            self._plan.correct(outgoing)
            if noted is not None:
                self._outbox.repeat(noted._replace(key=f"{outgoing.key}{_REPEATED}"), 0.0)
                return
        repeats = outgoing.key.count(_REPEATED)
        if "not exist" in text.lower() and repeats < MOST_REPEATS:
            again = outgoing._replace(key=outgoing.key + _REPEATED)
            self._outbox.repeat(again, FIRST_LOOK_SECONDS * 2**repeats)
            return
        if outgoing.request.operation == "create":
            self._plan.correct(outgoing)
        if outgoing.request.operation == "close" or outgoing.key.startswith(CROSSING):
            return  # an alert that does not exist needs no close
        LOG.warning("opsgenie: %s of alert %s had no effect: %s", outgoing.request.operation, outgoing.alert, text)
        self._report(outgoing.alert, f"{self._settings.vendor} did not do this ({outgoing.request.operation}): {text}")
