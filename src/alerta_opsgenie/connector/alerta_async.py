"""Calls to Alerta on kept connections, and the driver that runs a relay over them."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from typing import Awaitable, Callable, Mapping

import aiohttp
from yarl import URL

from alerta_opsgenie.clients.alerta import NO_SUCH_KEY, address_of, answer_of, headers_of, is_sendable
from alerta_opsgenie.clients.connection import (
    LARGEST_RESPONSE_BYTES,
    LONGEST_IDLE_SECONDS,
    AddressError,
    UnreachableError,
    proxy_for,
)
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Call, Steps

_CHUNK_BYTES = 64 * 1024


class _CutError(aiohttp.ClientError):
    """A connection ended without an answer."""


class AsyncAlerta:
    """Calls of one API key to one Alerta; any number at once, on up to `connections` connections.

    `open` must be called on the event loop before the first call. `environment` names the proxies.
    Raises `AddressError` where the URL, the proxy or the CA file cannot be used.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        ca_file: str | None = None,
        environment: Mapping[str, str] | None = None,
        connections: int = 16,
    ) -> None:
        self.address = address_of(url)
        proxy = proxy_for(self.address, os.environ if environment is None else environment)
        self._proxy = f"http://{proxy[0]}:{proxy[1]}" if proxy else None
        self._key = key
        self._ssl = _context(ca_file) if self.address.scheme == "https" else None
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make the session."""
        connector = aiohttp.TCPConnector(
            limit=self._connections, keepalive_timeout=LONGEST_IDLE_SECONDS, ssl=self._ssl or True
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            middlewares=(_send_once,),
        )

    async def send(self, call: Call, seconds: float) -> Answer:
        """Make one call, ended within `seconds`. Raises `UnreachableError`; nothing is sent a second time."""
        if self._session is None:
            raise RuntimeError("open was not called")
        if not is_sendable(self._key):
            return NO_SUCH_KEY
        if seconds <= 0:
            raise UnreachableError(f"{self.address} did not answer in time", timed_out=True)
        try:
            async with self._session.request(
                call.method,
                URL(f"{self.address}{call.path}", encoded=True),
                data=None if call.body is None else json.dumps(call.body).encode("ascii"),
                headers=headers_of(call, self._key),
                proxy=self._proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                return answer_of(response.status, response.headers, await _read(response), self._key)
        except asyncio.TimeoutError:
            raise UnreachableError(f"{self.address} did not answer in time", timed_out=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError(f"{self.address}: {_words(error)}", timed_out=False) from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def drive(steps: Steps, send: Callable[[Call], Awaitable[Answer]]) -> Outcome:
    """Run a relay over `send`; what keeps an answer from coming makes the action KEPT."""
    try:
        call = next(steps)
        while True:
            call = steps.send(await send(call))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    except UnreachableError as error:
        return Outcome(Kind.KEPT, Reason.TIMEOUT if error.timed_out else Reason.NETWORK, str(error))


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again where a kept connection ends without an answer.

    It does so for PUT, which it takes for idempotent; Alerta's notes and actions are PUT, and may have been done.
    """
    try:
        return await handler(request)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise _CutError("the connection was closed before an answer came") from error


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise AddressError(f"the CA file {ca_file} cannot be read as PEM certificates") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    while chunk := await response.content.read(_CHUNK_BYTES):
        raw += chunk
        if len(raw) > LARGEST_RESPONSE_BYTES:
            raise ValueError(f"the answer is larger than {LARGEST_RESPONSE_BYTES} bytes")
    return bytes(raw)


def _words(error: Exception) -> str:
    """Say what went wrong on one line; a certificate's trouble in its own words."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection was closed in the middle of the answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is not HTTP"
    verify = getattr(getattr(error, "certificate_error", None), "verify_message", "")
    if verify:
        return f"its certificate is not trusted: {verify}"
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
