"""A dead man's switch at the vendor: the heartbeat that it expects stops when Alerta or the bridge is dead.

A ping goes out only while Alerta's database answers, the outbox moves, the key is taken, and what people do over
there arrives here. https://docs.opsgenie.com/docs/heartbeat-api
"""

import contextlib
import time
from typing import Optional

from alerta.models.alert import Alert

from alerta_opsgenie.clients.opsgenie import Reason, RequestOutcome, Verdict
from alerta_opsgenie.core import routing
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG, state, way_back
from alerta_opsgenie.plugin.sender import Duty

LEASE = "heartbeat"
STUCK_SECONDS = 300.0
"""What has waited longer than that does not move: longer than any pause after one failed attempt."""

_LOOK_SECONDS = 3600.0
_NOBODY = "00000000-0000-4000-8000-000000000000"


class Heartbeat:
    """Pings the heartbeat that the settings name."""

    def __init__(self, process: state.Process) -> None:
        self._process, self._settings = process, process.settings
        self._look_at = 0.0
        self._logged = ""

    def run(self) -> None:
        """Ping, unless something is wrong or another process does; log it when that changes."""
        settings = self._settings
        if not self._process.lease(LEASE, 1.5 * settings.heartbeat_seconds):
            return
        problem = self._problem() or self._ping()
        self._process.sender.gauges["heartbeat_withheld"] = float(bool(problem))
        if problem != self._logged:
            self._logged = problem
            if problem:
                LOG.error("opsgenie: no ping to the heartbeat %s: %s", settings.heartbeat, problem)
            else:
                LOG.warning("opsgenie: the heartbeat %s is pinged", settings.heartbeat)

    def _problem(self) -> str:
        """Name what does not work on our side; empty: nothing."""
        try:
            with self._process.app.app_context():
                Alert.find_by_id(_NOBODY)
        except Exception as error:  # noqa: BLE001 - the driver's own kinds of error are none of our imports
            return f"Alerta's database does not answer: {' '.join(str(error).split())}"
        try:
            oldest = self._process.outbox.journal.counts(time.time()).oldest_waiting_seconds
            if oldest > STUCK_SECONDS:
                return f"the outbox does not move: the oldest request has waited for {oldest:.0f} s"
            if self._process.outbox.memory:
                return "requests wait in memory, for the outbox cannot be used"
            return way_back.problem(self._process)
        except JournalError as error:
            return f"the outbox cannot be read: {error}"

    def _ping(self) -> str:
        """Look now and then that the heartbeat exists, and ping it; gives what went wrong."""
        settings, client = self._settings, self._settings.client()
        deadline = time.monotonic() + settings.timeout_seconds
        with contextlib.closing(client):
            try:
                key = settings.key_of(routing.DEFAULT).reveal()
            except OSError as error:
                return f"the key file cannot be read: {error.strerror}"
            if time.monotonic() >= self._look_at:
                found = client.has_heartbeat(settings.heartbeat, key, deadline)
                if found is False:
                    return "there is no heartbeat of that name: make it there, with an interval longer than ours"
                self._look_at = time.monotonic() + _LOOK_SECONDS if found else 0.0
            return _explained(client.ping(settings.heartbeat, key, deadline))


def _explained(delivery: RequestOutcome) -> str:
    if delivery.verdict is Verdict.DONE:
        return ""
    hint = "; the plan has no heartbeats, take OPSGENIE_HEARTBEAT out" if delivery.reason is Reason.UNSUPPORTED else ""
    return delivery.detail + hint


def duty(process: state.Process) -> Optional[Duty]:
    """Have the heartbeat pinged by the process that sends, where the settings name one."""
    if not process.settings.heartbeat:
        return None
    return Duty("heartbeat", lambda: process.settings.heartbeat_seconds, Heartbeat(process).run)
