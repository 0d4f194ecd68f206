"""Heartbeats to Alerta while the connector works. Alerta's console shows when they stop.

The API key needs the scope `write:heartbeats`.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Callable, Sequence

from alerta_opsgenie import __version__
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.core.outcome import outcome_of_refusal
from alerta_opsgenie.core.task import Call

CALL_SECONDS = 10.0
_MISSED_BEFORE_STALE = 3  # Alerta shows the bridge as stale when so many in a row are missing
_FIRST_SECONDS = 1.0
_FORBIDDEN = 403
_log = logging.getLogger(__name__)


class Heartbeat:
    """Sends heartbeats to each Alerta while `is_well()`. `count` is called with `sent`, `failed`, `withheld`."""

    def __init__(
        self, clients: Sequence[AlertaClient], every_seconds: float, dialect: str, is_well: Callable[[], bool],
        count: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._clients = clients
        self._every_seconds = every_seconds
        body = {
            "origin": f"alerta-opsgenie/{socket.gethostname()}",
            "tags": ["alerta-opsgenie", dialect, f"version={__version__}"],
            "timeout": max(1, int(every_seconds * _MISSED_BEFORE_STALE)),
        }
        self._call = Call("POST", "/heartbeat", body, "")
        self._is_well = is_well
        self._count = count
        self._failure = ""
        self.sent_at = 0.0  # When all Alertas accepted the last one, in seconds since the epoch

    def run(self, stopping: threading.Event) -> None:
        """Send until `stopping` is set."""
        pause = 0.0
        while not stopping.wait(pause):
            if self._is_well():
                failure = next(filter(None, [self._send(client) for client in self._clients]), "")
                if failure and failure != self._failure:
                    _log.warning("no heartbeat to Alerta: %s", failure)
                self._failure, self.sent_at = failure, self.sent_at if failure else time.time()
                pause = self._every_seconds
            else:
                self._count("withheld")
                pause = min(_FIRST_SECONDS, self._every_seconds)
        for client in self._clients:
            client.close()

    def _send(self, client: AlertaClient) -> str:
        failure = ""
        try:
            answer = client.send(self._call, time.monotonic() + CALL_SECONDS)
            if not answer.ok:
                failure = outcome_of_refusal(answer).detail
                if answer.status == _FORBIDDEN:
                    failure += "; give the API key the scope write:heartbeats, or set heartbeatIntervalInSeconds to 0"
        except UnreachableError as error:
            failure = str(error)
        self._count("failed" if failure else "sent")
        return failure
