"""Heartbeats to Alerta, so that its own console shows when the bridge is gone.

One is sent only while the bridge does its work, so that Alerta shows a bridge that is up but cut off from its queue
as well. The API key needs the scope `write:heartbeats` for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Callable

from alerta_opsgenie import __version__
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.connector.alerta_async import AsyncAlerta
from alerta_opsgenie.core.outcome import outcome_of_refusal
from alerta_opsgenie.core.relay import Call

CALL_SECONDS = 10.0
_MISSED_BEFORE_STALE = 3
_FIRST_SECONDS = 1.0
_FORBIDDEN = 403
_log = logging.getLogger(__name__)


def heartbeat_call(origin: str, every_seconds: float, dialect: str) -> Call:
    """Make the heartbeat; Alerta shows the bridge as gone when three in a row are missing."""
    body = {
        "origin": origin,
        "tags": ["alerta-opsgenie", dialect, f"version={__version__}"],
        "timeout": max(1, int(every_seconds * _MISSED_BEFORE_STALE)),
    }
    return Call("POST", "/heartbeat", body, "")


class Heartbeat:
    """Sends heartbeats while `well` says so. `count` is called with `sent`, `failed` or `withheld`."""

    def __init__(
        self,
        alerta: AsyncAlerta,
        every_seconds: float,
        dialect: str,
        well: Callable[[], bool],
        count: Callable[[str], None],
    ) -> None:
        self._alerta = alerta
        self._every_seconds = every_seconds
        self._call = heartbeat_call(f"alerta-opsgenie/{socket.gethostname()}", every_seconds, dialect)
        self._well = well
        self._count = count
        self._failure = ""

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            if self._well():
                await self._send()
                await asyncio.sleep(self._every_seconds)
            else:
                self._count("withheld")
                await asyncio.sleep(min(_FIRST_SECONDS, self._every_seconds))

    async def _send(self) -> None:
        failure = ""
        try:
            answer = await self._alerta.send(self._call, CALL_SECONDS)
            if not answer.ok:
                failure = outcome_of_refusal(answer).detail
                if answer.status == _FORBIDDEN:
                    failure += "; give the API key the scope write:heartbeats, or set heartbeatIntervalInSeconds to 0"
        except UnreachableError as error:
            failure = str(error)
        self._count("failed" if failure else "sent")
        if failure and failure != self._failure:
            _log.warning("no heartbeat to Alerta: %s", failure)
        self._failure = failure
