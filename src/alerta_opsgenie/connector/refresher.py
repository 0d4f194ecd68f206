"""Asks the vendor where the messages are, for as long as it runs: queues with their credentials, or JEC's channel.

For JSM, version 1 of JEC's API is asked first. Where it has ended (404, 410, 501, or no queue), version 2 is tried;
only a 200 switches over. A refused key (401, 403) switches nothing. Version 1 is asked again each day.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable

from alerta_opsgenie.agent.target import jitter
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.connector.channel import authenticate
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.connector.credentials import PATHS, CredentialsError, Token, read_answer
from alerta_opsgenie.connector.parts import Parts
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.vendor.config import JEC

SQS, CHANNEL = "sqs", "channel"  # Where messages come from, as the setting `transport` and the pages name it
PART = "credentials"
REQUEST_SECONDS = 40.0  # The Go connectors' own limit for a request (retryer/retryer.go)
LONGEST_PAUSE_SECONDS = 60.0
SHORTEST_PAUSE_SECONDS = 1.0  # Whatever the answers say, the endpoint is not asked more often

_PERMANENT_FIRST_SECONDS = 10.0
_log = logging.getLogger(__name__)


def fetch(api: VendorApi, dialect: str, transport: str, seconds: float) -> Token:
    """Ask once, with so many seconds for each request. `transport` is `auto`, `sqs` or `channel`.

    Nothing is named as held, so the answer leaves nothing out. Raises `CredentialsError`.
    """
    if transport == CHANNEL:
        return authenticate(api, seconds)
    path = PATHS[dialect]
    try:
        return read_answer(api.url(path), api.request("GET", path, seconds=seconds))
    except UnreachableError as error:
        raise CredentialsError(str(error)) from None
    except CredentialsError as error:
        if not error.gone or dialect != JEC or transport == SQS:
            raise
        of_queues = error
    try:
        return authenticate(api, seconds)
    except CredentialsError as error:
        text, permanent = f"{of_queues}; and {error}", of_queues.permanent
        raise CredentialsError(text, of_queues.advice, permanent=permanent, status=of_queues.status) from None


class Refresher:
    """Asks for as long as it runs, and hands each answer to `use`. `failure` is what is wrong now."""

    def __init__(
        self, api: VendorApi, dialect: str, use: Callable[[Token], None], parts: Parts, transport: str = "auto"
    ) -> None:
        self._api = api
        self._dialect = dialect
        self._use = use
        self._parts = parts
        self._transport = transport
        self._asked = threading.Event()
        self._stopping = False
        self._error_refresh_seconds = LONGEST_PAUSE_SECONDS
        self.failure = self.advice = ""
        self.permanent = False
        self.failures = 0
        self.fetched_at = 0.0
        self.expires_at = 0.0
        self.source = ""

    def refresh(self) -> None:
        """Ask for new credentials soon: the held ones were refused."""
        self._asked.set()

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._asked.set()

    def run(self) -> None:
        """Ask until `stop`."""
        while not self._stopping:
            self._parts.beat(PART, REQUEST_SECONDS * 2 + 1)
            try:
                pause = self._succeed(fetch(self._api, self._dialect, self._transport, REQUEST_SECONDS))
            except CredentialsError as error:
                pause = self._fail(error)
            self._parts.beat(PART, pause + REQUEST_SECONDS)
            self._rest(pause)

    def _rest(self, pause: float) -> None:
        self._asked.wait(pause)
        if not self._stopping:
            self._asked.clear()
            time.sleep(min(SHORTEST_PAUSE_SECONDS, pause))

    def _succeed(self, token: Token) -> float:
        """Hand on what came; gives how long to wait: as told, and well before what is held expires."""
        if self.failure:
            _log.info("the vendor names its queues again")
        source = CHANNEL if token.channel else SQS
        if self.source and source != self.source:
            _log.warning("messages come by another way from now on: %s, until now %s", source, self.source)
        self.failure = self.advice = ""
        self.permanent, self.failures, self.fetched_at, self.source = False, 0, time.time(), source
        self._error_refresh_seconds = min(token.error_refresh_seconds, LONGEST_PAUSE_SECONDS)
        ends = [place.grant.expires_at for place in token.queues]
        self.expires_at = min(ends) - token.ahead_seconds if ends else 0.0
        self._use(token)
        left = self.expires_at - time.time() if self.expires_at else 0.0  # what has expired already says nothing
        seconds = min(token.refresh_seconds, left / 2) if left > 0 else token.refresh_seconds
        return max(seconds, SHORTEST_PAUSE_SECONDS)

    def _fail(self, error: CredentialsError) -> float:
        self.failures += 1
        if str(error) != self.failure:
            _log.error("no credentials: %s%s", error, f"; {error.advice}" if error.advice else "")
        self.failure, self.advice, self.permanent = str(error), error.advice, error.permanent
        return delay_seconds(
            self.failures,
            jitter(),
            first_seconds=_PERMANENT_FIRST_SECONDS if error.permanent else SHORTEST_PAUSE_SECONDS,
            longest_seconds=self._error_refresh_seconds,
        )
