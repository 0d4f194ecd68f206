"""Sends the result of each action to Opsgenie or JSM, in the background. Failures are counted."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from typing import Any, Callable, Mapping

from alerta_opsgenie.agent.target import jitter
from alerta_opsgenie.clients.connection import UnreachableError, retry_after_seconds
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.outcome import Kind, Outcome
from alerta_opsgenie.vendor.callback import Envelope, callback_body
from alerta_opsgenie.vendor.config import JEC, OEC

PATHS: Mapping[str, str] = {OEC: "/v1/oec/callback", JEC: "/jsm/ops/jec/v1/callback"}  # Endpoints for results
MOST_WAITING = 1000
SENDERS = 2
TRIES = 6  # As the Go connectors (retryer/retryer.go: five retries)
REQUEST_SECONDS = 10.0
_LONGEST_FAILURE = 1000
_ACCEPTED, _TOO_MANY, _SERVER_ERROR = range(200, 300), 429, 500
_log = logging.getLogger(__name__)


def result_of(dialect: str, envelope: Envelope, about: str, outcome: Outcome) -> dict[str, Any]:
    """Return the callback body for an action. A kept action that is retried is no failure."""
    detail = outcome.detail[:_LONGEST_FAILURE]
    if outcome.kind is Kind.REJECTED or outcome.needs_person:
        advice = f"; {outcome.advice}" if outcome.advice else ""
        return callback_body(dialect, envelope, failure=f"{about}: {detail}{advice}")
    context = {"outcome": outcome.kind.value, "reason": outcome.reason.value, "action": about, "detail": detail}
    return callback_body(dialect, envelope, context=json.dumps(context) if dialect == JEC else "")


class Callbacks:
    """Sends callbacks. `count` is called with `sent`, `refused`, `failed` or `dropped`."""

    def __init__(self, dialect: str, make_api: Callable[[], VendorApi], count: Callable[[str], None]) -> None:
        self._path = PATHS[dialect]
        self._make_api = make_api
        self._count = count
        self._waiting: deque[dict[str, Any]] = deque()
        self._sending = 0
        self._failure = ""
        self._changed = threading.Condition()
        self._stopping = threading.Event()

    def __len__(self) -> int:
        return len(self._waiting) + self._sending

    def put(self, body: dict[str, Any]) -> None:
        """Queue a callback body. One without a request id is ignored: the vendor could not assign it."""
        if not body.get("requestId"):
            return
        with self._changed:
            is_full = len(self._waiting) >= MOST_WAITING
            if is_full:
                self._waiting.popleft()
            self._waiting.append(body)
            self._changed.notify()
        if is_full:
            self._count("dropped")

    def run(self) -> None:
        """Send until `stop`. Run it in `SENDERS` threads."""
        api = self._make_api()
        while (body := self._next()) is not None:
            how = self._send(api, body)
            with self._changed:
                self._sending -= 1
                self._changed.notify_all()
            self._count(how)
        api.close()

    def stop(self, seconds: float) -> None:
        """Send the waiting callbacks for so long, and end."""
        with self._changed:
            self._changed.wait_for(lambda: not len(self), seconds)
            self._waiting.clear()
            self._stopping.set()
            self._changed.notify_all()

    def _next(self) -> dict[str, Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
            if not self._waiting:
                return None
            self._sending += 1
            return self._waiting.popleft()

    def _send(self, api: VendorApi, body: dict[str, Any]) -> str:
        problem, is_temporary = "", True
        for tries in range(1, TRIES + 1):
            retry_after = None
            try:
                response = api.request("POST", self._path, body, seconds=REQUEST_SECONDS)
            except UnreachableError as error:
                problem, is_temporary = str(error), True
            else:
                if response.status in _ACCEPTED:
                    self._failure = ""
                    return "sent"
                problem = f"{api.url(self._path)} answered HTTP {response.status}"
                is_temporary = response.status == _TOO_MANY or response.status >= _SERVER_ERROR
                retry_after = retry_after_seconds(response.headers.get("retry-after"))
            if not is_temporary or self._stopping.is_set() or tries == TRIES:
                break
            self._stopping.wait(delay_seconds(tries, jitter(), retry_after_seconds=retry_after))
        if problem != self._failure:
            _log.warning("a result could not be sent: %s; the action itself is not affected", problem)
        self._failure = problem
        return "failed" if is_temporary else "refused"
