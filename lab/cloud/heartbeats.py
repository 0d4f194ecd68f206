"""Heartbeats of Opsgenie and JSM: made in the account first; a ping is taken for any name (contracts 3.7)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from lab.cloud.answers import error
from lab.cloud.cloud import Cloud
from lab.cloud.integrations import Integration

PATH = "/v2/heartbeats/{name}"

Admit = Callable[[web.Request], "Integration | web.Response"]


class Heartbeats:
    """The routes for one `Cloud`, below one base; `admit` checks the key."""

    def __init__(self, cloud: Cloud, admit: Admit) -> None:
        self._cloud, self._admit = cloud, admit

    def add_routes(self, router: web.UrlDispatcher, base: str) -> None:
        """Add the routes to an application."""
        router.add_get(base + PATH, self._guard(self._look))
        for method in ("GET", "PUT", "POST"):
            router.add_route(method, f"{base}{PATH}/ping", self._guard(self._ping))

    def _guard(self, view: Callable[[str], web.Response]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            caller = self._admit(request)
            return caller if isinstance(caller, web.Response) else view(request.match_info["name"])

        return answer

    def _look(self, name: str) -> web.Response:
        if not self._cloud.switches.has_heartbeats:
            return error(402, "Your plan does not support this")
        if name not in self._cloud.heartbeats:
            return error(404, f"Heartbeat with name [{name}] does not exist")
        shown = {"data": {"name": name, "enabled": True}, "took": 0.01, "requestId": str(uuid.uuid4())}
        return web.json_response(shown)

    def _ping(self, name: str) -> web.Response:
        if not self._cloud.switches.has_heartbeats:
            return error(402, "Your plan does not support this")
        self._cloud.heartbeats.get(name, []).append(self._cloud.now_ns())
        said = {"result": "PONG - Heartbeat received", "took": 0.01, "requestId": str(uuid.uuid4())}
        return web.json_response(said, status=202)
