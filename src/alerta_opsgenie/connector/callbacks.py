"""Tells Opsgenie or JSM how each action ended, in the background: never in the way of the next action.

What cannot be told within a few tries is let go; the action itself is done or kept all the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import deque
from typing import Any, Callable, Mapping

import aiohttp

from alerta_opsgenie.clients.connection import retry_after_seconds
from alerta_opsgenie.connector.cloud import words_of
from alerta_opsgenie.connector.credentials import CLIENT_INFO
from alerta_opsgenie.connector.tasks import run_together
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.outcome import Kind, Outcome
from alerta_opsgenie.vendor.callback import Envelope, callback_body
from alerta_opsgenie.vendor.config import JEC, OEC, EdgeConfig

PATHS: Mapping[str, str] = {OEC: "/v1/oec/callback", JEC: "/jsm/ops/jec/v1/callback"}
"""Where each vendor takes results."""

MOST_WAITING = 1000
SENDERS = 2
TRIES = 6
"""The Go connectors' own number (retryer/retryer.go: five after the first)."""

REQUEST_SECONDS = 10.0
_LONGEST_FAILURE = 1000
_ACCEPTED = range(200, 300)
_TOO_MANY, _SERVER_ERROR = 429, 500
_log = logging.getLogger(__name__)


def result_of(dialect: str, envelope: Envelope, about: str, outcome: Outcome, *, failed: bool) -> dict[str, Any]:
    """Make the callback for an action that was relayed in this process."""
    detail = outcome.detail[:_LONGEST_FAILURE]
    if failed:
        mend = f"; {outcome.mend}" if outcome.mend else ""
        return callback_body(dialect, envelope, failure=f"{about}: {detail}{mend}")
    told = {"outcome": outcome.kind.value, "reason": outcome.reason.value, "action": about, "detail": detail}
    return callback_body(dialect, envelope, context=json.dumps(told) if dialect == JEC else "")


def is_failure(outcome: Outcome, *, safe: bool) -> bool:
    """Whether people should be told that it did not work: what is kept and goes by itself is no failure."""
    return outcome.kind is Kind.REJECTED or outcome.loud or (outcome.kind is Kind.KEPT and not safe)


class Callbacks:
    """Sends what `put` was given. `count` is called with `sent`, `refused`, `failed` or `dropped`."""

    def __init__(self, config: EdgeConfig, session: aiohttp.ClientSession, count: Callable[[str], None]) -> None:
        self._url = config.api_root + PATHS[config.dialect]
        self._headers = {
            "Authorization": f"GenieKey {config.api_key.reveal()}",
            f"X-{config.dialect.upper()}-Client-Info": CLIENT_INFO,
        }
        self._session = session
        self._count = count
        self._waiting: deque[dict[str, Any]] = deque()
        self._in_hand = 0
        self._failure = ""
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._waiting) + self._in_hand

    def put(self, body: dict[str, Any]) -> None:
        """Send this soon. Without a request id there is nobody to tell."""
        if not body.get("requestId"):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._count("dropped")
        self._waiting.append(body)
        self._empty.clear()
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        await run_together(*(self._send_all() for _ in range(SENDERS)))

    async def flush(self) -> None:
        """Wait until all is sent."""
        await self._empty.wait()

    async def _send_all(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            body = self._waiting.popleft()
            self._in_hand += 1
            try:
                self._count(await self._send(body))
            finally:
                self._in_hand -= 1
                if not len(self):
                    self._empty.set()

    async def _send(self, body: dict[str, Any]) -> str:
        """Send one result; says how that ended."""
        for tries in range(1, TRIES + 1):
            status, retry_after, words = await self._post(body)
            if status in _ACCEPTED:
                self._failure = ""
                return "sent"
            passing = not status or status == _TOO_MANY or status >= _SERVER_ERROR
            if not passing:
                break
            if tries < TRIES:
                fraction = random.random()  # noqa: S311 - jitter
                await asyncio.sleep(delay_seconds(tries, fraction, retry_after_seconds=retry_after))
        if words != self._failure:
            _log.warning("a result could not be told: %s; the action itself is not touched by this", words)
        self._failure = words
        return "failed" if passing else "refused"

    async def _post(self, body: dict[str, Any]) -> tuple[int, float | None, str]:
        """Post once: the status (0 for no answer), what Retry-After says, and words for a log."""
        try:
            async with self._session.post(
                self._url,
                data=json.dumps(body).encode("ascii"),
                headers={**self._headers, "Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            ) as response:
                retry_after = retry_after_seconds(response.headers.get("Retry-After"))
                return response.status, retry_after, f"{self._url} answered HTTP {response.status}"
        except asyncio.TimeoutError:
            return 0, None, f"{self._url} did not answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return 0, None, f"{self._url}: {words_of(error)}"
