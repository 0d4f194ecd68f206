"""Pings a heartbeat at the vendor, which alerts people when the pings stop.

A ping is sent only while Alerta's database answers, the outbox is being sent, the vendor accepts the key, and actions
from the vendor arrive. https://docs.opsgenie.com/docs/heartbeat-api
"""

import contextlib
import math
import time
from typing import Optional

from alerta.models.alert import Alert

from alerta_opsgenie.clients.opsgenie import Reason, Verdict
from alerta_opsgenie.core import routing
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG, arrivals, state
from alerta_opsgenie.plugin.sender import Duty

LEASE = "heartbeat"
STUCK_SECONDS = 300.0
"""A request that has waited longer is stuck: our own pauses are shorter, those by `Retry-After` may be longer."""

_LOOK_SECONDS = 3600.0
_NO_ALERT = "00000000-0000-4000-8000-000000000000"


class Heartbeat:
    """Pings the heartbeat that the settings name."""

    def __init__(self, process: state.Process) -> None:
        self._process, self._settings = process, process.settings
        self._look_at = 0.0
        self._logged = ""

    def run(self) -> None:
        """Ping, unless there is a problem or another process pings. Log when that changes."""
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
        """Return what does not work on Alerta's side, or an empty text."""
        try:
            with self._process.app.app_context():
                Alert.find_by_id(_NO_ALERT)
        except Exception as error:  # noqa: BLE001 - the database driver's own errors, which are not imported here
            return f"Alerta's database does not answer: {' '.join(str(error).split())}"
        try:
            oldest = self._process.outbox.journal.counts(time.time()).oldest_waiting_seconds
            if oldest > STUCK_SECONDS:
                return f"the outbox is not sent: the oldest request has waited for {oldest:.0f} s"
            if self._process.outbox.memory:
                return "requests wait in memory, because the outbox cannot be used"
            return arrivals.problem(self._process)
        except JournalError as error:
            return f"the outbox cannot be read: {error}"

    def _ping(self) -> str:
        """Ping, and once an hour check that the heartbeat exists. Return what failed, or an empty text."""
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
                    minutes = math.ceil(max(300.0, 5 * settings.heartbeat_seconds) / 60)
                    what = "there is no heartbeat of that name: create it at the vendor, with an interval of"
                    return f"{what} {minutes} minutes or more"
                self._look_at = time.monotonic() + _LOOK_SECONDS if found else 0.0
            delivery = client.ping(settings.heartbeat, key, deadline)
        if delivery.verdict is Verdict.DONE:
            return ""
        hint = "; the plan has no heartbeats, remove OPSGENIE_HEARTBEAT"
        return delivery.detail + (hint if delivery.reason is Reason.UNSUPPORTED else "")


def duty(process: state.Process) -> Optional[Duty]:
    """Return the duty that pings the heartbeat; None if the settings name none."""
    if not process.settings.heartbeat:
        return None
    return Duty("heartbeat", lambda: process.settings.heartbeat_seconds, Heartbeat(process).run)
