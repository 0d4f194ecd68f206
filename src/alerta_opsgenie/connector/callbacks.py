"""Tells Opsgenie or JSM how each action ended, in the background; what cannot be told is dropped and counted."""

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

PATHS: Mapping[str, str] = {OEC: "/v1/oec/callback", JEC: "/jsm/ops/jec/v1/callback"}  # Where each vendor takes results
MOST_WAITING = 1000
SENDERS = 2
TRIES = 6  # The Go connectors' own number (retryer/retryer.go: five after the first)
REQUEST_SECONDS = 10.0
_LONGEST_FAILURE = 1000
_ACCEPTED, _TOO_MANY, _SERVER_ERROR = range(200, 300), 429, 500
_log = logging.getLogger(__name__)


def result_of(dialect: str, envelope: Envelope, about: str, outcome: Outcome) -> dict[str, Any]:
    """Make the callback for an action that was relayed here. What is kept and goes by itself is no failure."""
    detail = outcome.detail[:_LONGEST_FAILURE]
    if outcome.kind is Kind.REJECTED or outcome.needs_person:
        advice = f"; {outcome.advice}" if outcome.advice else ""
        return callback_body(dialect, envelope, failure=f"{about}: {detail}{advice}")
    told = {"outcome": outcome.kind.value, "reason": outcome.reason.value, "action": about, "detail": detail}
    return callback_body(dialect, envelope, context=json.dumps(told) if dialect == JEC else "")


class Callbacks:
    """Sends what `put` was given. `count` is called with `sent`, `refused`, `failed` or `dropped`."""

    def __init__(self, dialect: str, make_api: Callable[[], VendorApi], count: Callable[[str], None]) -> None:
        self._path = PATHS[dialect]
        self._make_api = make_api
        self._count = count
        self._waiting: deque[dict[str, Any]] = deque()
        self._in_hand = 0
        self._failure = ""
        self._changed = threading.Condition()
        self._stopping = threading.Event()

    def __len__(self) -> int:
        return len(self._waiting) + self._in_hand

    def put(self, body: dict[str, Any]) -> None:
        """Send this soon. Without a request id there is nobody to tell."""
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
        """Send until `stop`; in as many threads as there are `SENDERS`."""
        api = self._make_api()
        while (body := self._next()) is not None:
            how = self._send(api, body)
            with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()
            self._count(how)
        api.close()

    def stop(self, seconds: float) -> None:
        """Send what waits, for so long, and end."""
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
            self._in_hand += 1
            return self._waiting.popleft()

    def _send(self, api: VendorApi, body: dict[str, Any]) -> str:
        words, is_passing = "", True
        for tries in range(1, TRIES + 1):
            retry_after = None
            try:
                response = api.request("POST", self._path, body, seconds=REQUEST_SECONDS)
            except UnreachableError as error:
                words, is_passing = str(error), True
            else:
                if response.status in _ACCEPTED:
                    self._failure = ""
                    return "sent"
                words = f"{api.url(self._path)} answered HTTP {response.status}"
                is_passing = response.status == _TOO_MANY or response.status >= _SERVER_ERROR
                retry_after = retry_after_seconds(response.headers.get("retry-after"))
            if not is_passing or self._stopping.is_set() or tries == TRIES:
                break
            self._stopping.wait(delay_seconds(tries, jitter(), retry_after_seconds=retry_after))
        if words != self._failure:
            _log.warning("a result could not be told: %s; the action itself is not touched by this", words)
        self._failure = words
        return "failed" if is_passing else "refused"
