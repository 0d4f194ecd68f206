"""The queues that the vendor gives a connector, and the temporary credentials for them.

The endpoint answers with a `Token` header whose content is JSON; its body says nothing (queue/processor.go of
opsgenie/oec and atlassian/jec). What is held is named in the query (`?<region>=<expireTimeMillis>`), and the answer
then leaves out what is still good.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

import aiohttp

from alerta_opsgenie import __version__
from alerta_opsgenie.clients.connection import clock_ahead_seconds
from alerta_opsgenie.connector.cloud import words_of
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.tasks import wait_event
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.vendor.config import JEC, OEC, EdgeConfig

PATHS: Mapping[str, str] = {OEC: "/v1/oec/credentials", JEC: "/jsm/ops/jec/v1/credentials"}
"""Where each vendor's credentials are."""

DEFAULT_REFRESH_SECONDS = 60.0
"""How often the Go connectors ask where the answer does not say (queue/processor.go)."""

REQUEST_SECONDS = 40.0
"""The Go connectors' own limit for a request (retryer/retryer.go)."""

CLIENT_INFO = f"alerta-opsgenie/{__version__}"

_MILLISECONDS = 1000.0
_LONGEST_PAUSE_SECONDS = 60.0
_SHORTEST_PAUSE_SECONDS = 0.2
_LARGEST_HEADER_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


class CredentialsError(Exception):
    """No credentials came; the text says why, without secrets. `mend` is what to do about it, if anything."""

    def __init__(self, text: str, mend: str = "") -> None:
        super().__init__(text)
        self.mend = mend


@dataclass(frozen=True)
class Grant:
    """Temporary AWS credentials; `expires_at` is in seconds since the epoch by the vendor's clock."""

    access_key_id: str
    expires_at: float
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True)
class QueuePlace:
    """One queue as the vendor names it; `grant` of None says that the held one is still good."""

    url: str
    region: str
    grant: Grant | None


@dataclass(frozen=True)
class Token:
    """One answer. `owner_id` marks the messages that are ours; the vendor's clock is `ahead_seconds` ahead of ours."""

    owner_id: str
    queues: tuple[QueuePlace, ...]
    refresh_seconds: float = DEFAULT_REFRESH_SECONDS
    error_refresh_seconds: float = DEFAULT_REFRESH_SECONDS
    ahead_seconds: float = 0.0


def parse_token(text: str, ahead_seconds: float = 0.0) -> Token:
    """Read the `Token` header. Raises `CredentialsError`."""
    try:
        value = json.loads(text)
        places = tuple(_place(entry) for entry in value.get("queueProperties") or [])
        conf = (value.get("queueProperties") or [{}])[0].get("queueConfiguration") or {}
        refresh, error_refresh = (
            float(conf.get(name) or DEFAULT_REFRESH_SECONDS)
            for name in ("credentialSuccessRefreshPeriod", "credentialErrorRefreshPeriod")
        )
        return Token(str(value.get("ownerId") or ""), places, refresh, error_refresh, ahead_seconds)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
        raise CredentialsError("the header Token of the answer cannot be read") from None


def _place(entry: Mapping[str, Any]) -> QueuePlace:
    conf = entry["queueConfiguration"]
    role = (entry.get("assumeRoleResult") or {}).get("credentials")
    return QueuePlace(str(conf["queueUrl"]), str(conf["region"]), _grant(role) if role else None)


def _grant(role: Mapping[str, Any]) -> Grant:
    return Grant(
        str(role["accessKeyId"]),
        float(role["expireTimeMillis"]) / _MILLISECONDS,
        str(role["secretAccessKey"]),
        str(role["sessionToken"]),
    )


class CredentialsKeeper:
    """Fetches credentials for as long as it runs, and hands each answer to `use`.

    A refused or silent endpoint is asked again for ever; `failure` says what was wrong the last time, and is empty
    after a success. `refresh` asks at once, with nothing named as held: what was held has been refused.
    """

    def __init__(
        self, config: EdgeConfig, session: aiohttp.ClientSession, use: Callable[[Token], None], progress: Progress
    ) -> None:
        self._url = config.api_root + PATHS[config.dialect]
        self._headers = {
            "Authorization": f"GenieKey {config.api_key.reveal()}",
            f"X-{config.dialect.upper()}-Client-Info": CLIENT_INFO,
        }
        self._session = session
        self._use = use
        self._progress = progress
        self._held: dict[str, tuple[str, float]] = {}
        self._asked = asyncio.Event()
        self.failure = ""
        self.failures = 0
        self.fetched_at = 0.0
        self.expires_at = 0.0

    def refresh(self) -> None:
        """Ask for new credentials soon: the held ones were refused."""
        self._held.clear()
        self._asked.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        token: Token | None = None
        while True:
            self._progress.beat("credentials")
            try:
                token = await self._fetch()
                self._succeed(token)
                pause = self._pause(token)
            except CredentialsError as error:
                self._fail(error)
                longest = token.error_refresh_seconds if token else _LONGEST_PAUSE_SECONDS
                pause = delay_seconds(
                    self.failures,
                    random.random(),  # noqa: S311 - jitter
                    first_seconds=0.5,
                    longest_seconds=min(longest, _LONGEST_PAUSE_SECONDS),
                )
            self._progress.beat("credentials", pause + REQUEST_SECONDS * 2)
            await self._rest(pause)

    async def _rest(self, pause: float) -> None:
        """Wait for the next time, or until new ones are asked for; never so little that the endpoint is pestered."""
        if await wait_event(self._asked, pause):
            await asyncio.sleep(_SHORTEST_PAUSE_SECONDS)
        self._asked.clear()

    async def _fetch(self) -> Token:
        query = [(region, str(int(expires_at * _MILLISECONDS))) for region, expires_at in self._held.values()]
        try:
            async with self._session.get(
                self._url,
                params=query,
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            ) as response:
                return _read(response)
        except asyncio.TimeoutError:
            raise CredentialsError(f"{self._url} did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CredentialsError(f"{self._url}: {words_of(error)}") from None

    def _succeed(self, token: Token) -> None:
        if self.failure:
            _log.info("credentials come again from %s", self._url)
        self.failure, self.failures, self.fetched_at = "", 0, time.time()
        self._use(token)
        held = {}
        for place in token.queues:
            expires_at = place.grant.expires_at if place.grant else self._held.get(place.url, ("", 0.0))[1]
            held[place.url] = (place.region, expires_at)
        self._held = held
        ends = [expires_at for _, expires_at in held.values() if expires_at]
        self.expires_at = min(ends) - token.ahead_seconds if ends else 0.0

    def _fail(self, error: CredentialsError) -> None:
        self.failures += 1
        # Said again only when it is another trouble: it may go on for days.
        if str(error) != self.failure:
            _log.error("no credentials: %s%s", error, f"; {error.mend}" if error.mend else "")
        self.failure = str(error)

    def _pause(self, token: Token) -> float:
        """Ask again as told, and well before what is held expires."""
        left = self.expires_at - time.time() if self.expires_at else token.refresh_seconds * 2
        return max(min(token.refresh_seconds, left / 2), _SHORTEST_PAUSE_SECONDS)


_MENDS = {
    401: "check apiKey in the configuration, and that the integration is switched on",
    403: "check that apiKey belongs to an OEC or JEC integration",
    404: "check baseUrl and --dialect",
}


def _read(response: aiohttp.ClientResponse) -> Token:
    if response.status != 200:  # noqa: PLR2004
        raise CredentialsError(
            f"{response.url.origin()}{response.url.path} answered HTTP {response.status}",
            _MENDS.get(response.status, ""),
        )
    text = response.headers.get("Token", "")
    if not text or len(text) > _LARGEST_HEADER_BYTES:
        raise CredentialsError(
            f"{response.url.origin()}{response.url.path} answered without the header Token", _MENDS[404]
        )
    return parse_token(text, clock_ahead_seconds(response.headers.get("Date")))
