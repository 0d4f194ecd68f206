"""What the connector shows of itself on loopback: `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

from aiohttp import web

_OK, _UNAVAILABLE = 200, 503
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Health:
    """How it goes. `stuck` parts stand still: the process should be started anew. `troubles` are for a person.

    `ready` says that messages are being taken.
    """

    ready: bool
    stuck: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    status: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


class WebServer:
    """Serves what `render` and `health` give, at `host` and `port` (0 takes a free one, see `port` after `start`)."""

    def __init__(self, host: str, port: int, render: Callable[[], bytes], health: Callable[[], Health]) -> None:
        self.host, self.port = host, port
        self._render = render
        self._health = health
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises `OSError`."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._render(), headers={"Content-Type": _METRICS_TYPE})

    async def _healthz(self, _request: web.Request) -> web.Response:
        health = self._health()
        return _show(health, well=not health.stuck)

    async def _readyz(self, _request: web.Request) -> web.Response:
        health = self._health()
        return _show(health, well=health.ready and not health.stuck)


def _show(health: Health, *, well: bool) -> web.Response:
    body = {
        "ok": well,
        "status": health.status,
        "ready": health.ready,
        "stuck": list(health.stuck),
        "troubles": list(health.troubles),
        **health.numbers,
    }
    return web.json_response(body, status=_OK if well else _UNAVAILABLE)
