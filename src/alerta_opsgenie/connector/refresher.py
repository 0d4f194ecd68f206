"""Fetches queues with their credentials, or JEC's channel, from the vendor, again and again.

For JSM, version 1 of JEC's API is tried first. Where it has ended (404, 410, 501, or no queue), version 2 is tried;
only a 200 switches to it. A refused key (401, 403) switches nothing. Version 1 is tried again each day.
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
from alerta_opsgenie.connector.threads import Threads
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.vendor.config import JEC

SQS, CHANNEL = "sqs", "channel"  # Values of the setting `transport` and of the health page
PART = "credentials"
REQUEST_SECONDS = 40.0  # The Go connectors' own limit for a request (retryer/retryer.go)
LONGEST_PAUSE_SECONDS = 60.0
SHORTEST_PAUSE_SECONDS = 1.0  # Whatever the responses contain

_PERMANENT_FIRST_SECONDS = 10.0
_log = logging.getLogger(__name__)


def fetch(api: VendorApi, dialect: str, transport: str, seconds: float) -> Token:
    """Fetch once, with so many seconds for each request. `transport` is `auto`, `sqs` or `channel`.

    The request names no held credentials, so the response has all queues. Raises `CredentialsError`.
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
        of_version_1 = error
    try:
        return authenticate(api, seconds)
    except CredentialsError as error:
        text, permanent = f"{of_version_1}; and {error}", of_version_1.permanent
        raise CredentialsError(text, of_version_1.advice, permanent=permanent, status=of_version_1.status) from None


class Refresher:
    """Fetches until `stop`, and calls `use` with each token. `failure` is the current error."""

    def __init__(
        self, api: VendorApi, dialect: str, use: Callable[[Token], None], threads: Threads, transport: str = "auto"
    ) -> None:
        self._api = api
        self._dialect = dialect
        self._use = use
        self._threads = threads
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
        """Fetch new credentials soon: the held ones were refused."""
        self._asked.set()

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._asked.set()

    def run(self) -> None:
        """Fetch until `stop`."""
        while not self._stopping:
            self._threads.report_alive(PART, REQUEST_SECONDS * 2 + 1)
            try:
                pause = self._succeed(fetch(self._api, self._dialect, self._transport, REQUEST_SECONDS))
            except CredentialsError as error:
                pause = self._fail(error)
            self._threads.report_alive(PART, pause + REQUEST_SECONDS)
            self._pause(pause)

    def _pause(self, pause: float) -> None:
        self._asked.wait(pause)
        if not self._stopping:
            self._asked.clear()
            time.sleep(min(SHORTEST_PAUSE_SECONDS, pause))

    def _succeed(self, token: Token) -> float:
        """Use a token. Return the pause: as the response demands, and well before the credentials expire."""
        if self.failure:
            _log.info("the vendor names its queues again")
        source = CHANNEL if token.channel else SQS
        if self.source and source != self.source:
            _log.warning("messages come by another way from now on: %s, until now %s", source, self.source)
        self.failure = self.advice = ""
        self.permanent, self.failures, self.fetched_at, self.source = False, 0, time.time(), source
        self._error_refresh_seconds = min(token.error_refresh_seconds, LONGEST_PAUSE_SECONDS)
        ends = [place.credentials.expires_at for place in token.queues]
        self.expires_at = min(ends) - token.ahead_seconds if ends else 0.0
        self._use(token)
        left = self.expires_at - time.time() if self.expires_at else 0.0  # ignore credentials that have expired already
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
