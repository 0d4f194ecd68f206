"""Faults of the stand-in, switched on and off while it runs.

Each method of `Faults` switches one on at once and returns a handle: `handle.clear()`, or `with faults.hang(): ...`.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab.cloud.answers import error, throttled

if TYPE_CHECKING:
    from typing_extensions import Self

ANYWHERE = ""
HALF_AN_ANSWER = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{"res'
CONTROL_PREFIX = "/_cloud/"


@dataclass(eq=False)
class Fault:
    """One fault: `paths` is a regular expression, `times` how often it strikes (None: until cleared).

    `takes_effect`: the request is carried out all the same, only its answer suffers.
    """

    strike: Callable[[Fault, web.Request, Handler], Awaitable[web.StreamResponse]]
    owner: Faults
    paths: str = ANYWHERE
    times: int | None = None
    takes_effect: bool = False
    status: int = 503
    seconds: float = 0.0
    retry_after: bool = False
    struck: int = 0
    _cleared: bool = False
    _waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = field(default_factory=list)

    def clear(self) -> None:
        """Switch the fault off; what hangs in it is let go."""
        self.owner.remove(self)
        self._cleared = True
        for loop, event in [*self._waiting]:
            loop.call_soon_threadsafe(event.set)

    async def wait_cleared(self) -> None:
        """Wait until the fault is switched off."""
        event = asyncio.Event()
        self._waiting.append((asyncio.get_running_loop(), event))
        # Looked at after the event is listed, so that a clear in between is not missed.
        if not self._cleared:
            await event.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()


class Faults:
    """The faults that are switched on; the first that fits a request strikes it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._refusals: list[Fault] = []
        self.set_listening: Callable[[bool], None] = lambda _listening: None

    def hang(self, paths: str = ANYWHERE, *, takes_effect: bool = False) -> Fault:
        """Answer nothing; when cleared, answer late what took effect, and cut the other connections."""
        return self._add(Fault(_hang, self, paths, takes_effect=takes_effect))

    def delay(self, seconds: float, paths: str = ANYWHERE, times: int | None = None) -> Fault:
        """Answer `seconds` later."""
        return self._add(Fault(_delay, self, paths, times, seconds=seconds))

    def status(
        self, status: int, paths: str = ANYWHERE, times: int | None = None, *, takes_effect: bool = False
    ) -> Fault:
        """Answer with an error status (500, 503, ...)."""
        return self._add(Fault(_status, self, paths, times, takes_effect, status=status))

    def switch_off_opsgenie(self) -> Fault:
        """Answer 410 to all of Opsgenie's own paths; JSM's go on. What it will answer then is UNCONFIRMED."""
        return self.status(410, r"^/v[12]/")

    def reset(self, paths: str = ANYWHERE, times: int | None = None, *, takes_effect: bool = False) -> Fault:
        """Reset the connection in the middle of the answer."""
        return self._add(Fault(_reset, self, paths, times, takes_effect))

    def throttle(
        self, paths: str = ANYWHERE, times: int | None = None, *, period_seconds: int = 60, retry_after: bool = False
    ) -> Fault:
        """Answer 429 with the throttle headers."""
        return self._add(Fault(_throttle, self, paths, times, seconds=period_seconds, retry_after=retry_after))

    def refuse(self) -> Fault:
        """Take the server away: connections are refused and open ones reset, until cleared."""
        fault = Fault(_reset, self, "(?!)")
        self._refusals.append(fault)
        self.set_listening(False)
        return fault

    def clear(self) -> None:
        """Switch all faults off."""
        for fault in [*self._faults, *self._refusals]:
            fault.clear()

    def remove(self, fault: Fault) -> None:
        """Forget a fault; `Fault.clear` calls it."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)
        if fault in self._refusals:
            self._refusals.remove(fault)
            self.set_listening(True)

    def take(self, path: str) -> Fault | None:
        """Return the fault that strikes a request for `path`, counted, or None."""
        with self._lock:
            for fault in self._faults:
                if re.search(fault.paths, path):
                    fault.struck += 1
                    if fault.times == fault.struck:
                        self._faults.remove(fault)
                    return fault
        return None

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault


def inject(faults: Faults) -> Middleware:
    """Return the middleware that lets `faults` strike; the control routes are spared."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = None if request.path.startswith(CONTROL_PREFIX) else faults.take(request.path)
        return await (handler(request) if fault is None else fault.strike(fault, request, handler))

    return strike


def abort(transport: asyncio.Transport | None) -> None:
    """End a connection with a reset instead of an orderly close."""
    if transport is None:
        return
    link = transport.get_extra_info("socket")
    if link is not None:
        # Zero linger time makes close() send RST (socket(7)).
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _hang(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request) if fault.takes_effect else None
    await fault.wait_cleared()
    if response is None:
        abort(request.transport)
        return web.Response()
    return response


async def _delay(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    await asyncio.sleep(fault.seconds)
    return await handler(request)


async def _status(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    if fault.takes_effect:
        await handler(request)
    return error(fault.status, "Something went wrong, please try again.")


async def _reset(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    if fault.takes_effect:
        await handler(request)
    if request.transport is not None:
        request.transport.write(HALF_AN_ANSWER)
    abort(request.transport)
    return web.Response()


async def _throttle(fault: Fault, _request: web.Request, _handler: Handler) -> web.StreamResponse:
    return throttled(int(fault.seconds), retry_after=fault.retry_after)
