"""An aiohttp application on a loopback port, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

from lab.cloud.faults import abort
from lab.ports import LOOPBACK, Port, Service

T = TypeVar("T")
START_SECONDS = 120
BACKLOG = 512


class AppThread(Service):
    """Serves the application that `build` makes for its base URL, from `start` to `stop`, or as a context manager.

    `port` 0 takes a free one. It can stop and start to listen on its port in between (`set_listening`).
    """

    def __init__(self, build: Callable[[str], web.Application], host: str = LOOPBACK, port: int = 0) -> None:
        self._build = build
        self._port = Port(port, host)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloud", daemon=True)
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    @property
    def base_url(self) -> str:
        """Return scheme, host and port."""
        return f"http://{self._port.host}:{self._port.number}"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of the thread."""
        return self._loop

    def start(self) -> None:
        """Serve; returns when connections are taken."""
        self._thread.start()
        self.call(self._start())

    def stop(self) -> None:
        """Stop serving and end the thread; open connections are cut."""
        if self._thread.is_alive():
            self._end()
        self._port.close()

    def _end(self) -> None:
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop from another thread and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    def set_listening(self, listening: bool) -> None:
        """Refuse connections and reset the open ones, or take connections again on the same port."""
        self.call(self._listen() if listening else self._refuse())

    async def _start(self) -> None:
        app = self._build(self.base_url)
        # A receiver that hangs up must not take messages with it.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        self._site = web.SockSite(self._runner, self._port.listen(), backlog=BACKLOG)
        await self._site.start()

    async def _stop(self) -> None:
        if self._runner is not None:
            self._cut()
            await self._runner.cleanup()
        await self._loop.shutdown_asyncgens()

    async def _listen(self) -> None:
        if self._site is None and self._runner is not None:
            self._site = web.SockSite(self._runner, self._port.listen(), backlog=BACKLOG)
            await self._site.start()

    async def _refuse(self) -> None:
        if self._site is not None:
            # SockSite.stop would wait for handlers that hang; closing the sockets refuses at once.
            site, self._site = self._site, None
            await site.stop()
            self._port.hold()
        self._cut()

    def _cut(self) -> None:
        server = self._runner.server if self._runner is not None else None
        for protocol in server.connections if server is not None else []:
            abort(protocol.transport)
