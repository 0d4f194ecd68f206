"""Starts the stand-in: its API, the edge routes and the deliveries, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from lab.cloud.api import JSM_BASE, Api, record_requests
from lab.cloud.cloud import Cloud
from lab.cloud.delivery import Delivery
from lab.cloud.edge import Edge
from lab.cloud.faults import inject
from lab.cloud.ops import Ops
from lab.cloud.serving import AppThread
from lab.ports import Service

NS_PER_SECOND = 1_000_000_000


class CloudServer(Service):
    """Serves `cloud` on loopback, from `start` to `stop`, or as a context manager; `port` 0 takes a free one."""

    def __init__(self, cloud: Cloud, port: int = 0) -> None:
        self.cloud = cloud
        self._thread = AppThread(self._build, port=port)
        cloud.faults.set_listening = self._thread.set_listening

    @property
    def base_url(self) -> str:
        """Return what stands in for https://api.opsgenie.com and https://api.atlassian.com (edge connectors)."""
        return self._thread.base_url

    @property
    def jsm_url(self) -> str:
        """Return the base of JSM's integration API, without `/v2/alerts`."""
        return self.base_url + JSM_BASE

    def start(self) -> None:
        """Serve; returns when connections are taken."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; messages that are not delivered stay undelivered."""
        self.cloud.faults.clear()
        self.cloud.attach(None, lambda: None)
        self._thread.stop()

    def _build(self, _base_url: str) -> web.Application:
        app = web.Application(middlewares=[record_requests(self.cloud), inject(self.cloud.faults)])
        Api(self.cloud).add_routes(app.router)
        Edge(self.cloud).add_routes(app.router)
        Ops(self.cloud).add_routes(app.router)
        app.cleanup_ctx.append(self._run)
        return app

    async def _run(self, _app: web.Application) -> AsyncIterator[None]:
        """Deliver messages, and process what becomes due, while the application runs."""
        loop, due = asyncio.get_running_loop(), asyncio.Event()
        delivery = Delivery(self.cloud)

        def wake() -> None:
            loop.call_soon_threadsafe(due.set)

        self.cloud.attach(delivery.put, wake)
        ticker = asyncio.create_task(self._tick(due))
        yield
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)
        await delivery.stop()

    async def _tick(self, due: asyncio.Event) -> None:
        while True:
            due.clear()
            next_ns = self.cloud.run_due()
            wait_seconds = None if next_ns is None else max(next_ns - self.cloud.clock(), 0) / NS_PER_SECOND
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(due.wait(), wait_seconds)
