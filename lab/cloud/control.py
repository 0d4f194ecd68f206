"""Routes under `/_cloud/` that drive a stand-in which runs as a process of its own: no part of the vendor's API."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from aiohttp import web

from lab.cloud import views
from lab.cloud.cloud import Cloud
from lab.cloud.faults import CONTROL_PREFIX
from lab.cloud.integrations import Integration, Queue
from lab.cloud.model import Outcome
from lab.cloud.person import Person

FAULTS = frozenset({"hang", "delay", "status", "reset", "throttle"})


class Control:
    """The control routes of one `Cloud`; bodies and answers are JSON."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes to an application."""
        router.add_get(f"{CONTROL_PREFIX}state", self._state)
        router.add_get(f"{CONTROL_PREFIX}sent", self._sent)
        router.add_get(f"{CONTROL_PREFIX}callbacks", self._callbacks)
        router.add_post(f"{CONTROL_PREFIX}person", self._person)
        router.add_post(f"{CONTROL_PREFIX}integrations", self._integration)
        router.add_post(f"{CONTROL_PREFIX}faults", self._fault)
        router.add_delete(f"{CONTROL_PREFIX}faults", self._clear)
        router.add_post(f"{CONTROL_PREFIX}switches", self._switches)
        router.add_post(f"{CONTROL_PREFIX}advance", self._advance)

    async def _state(self, _request: web.Request) -> web.Response:
        cloud, records = self._cloud, self._cloud.records
        return web.json_response(
            {
                "alerts": [views.full(alert, cloud) | {"notes": alert.notes} for alert in cloud.alerts()],
                "violations": records.violations,
                "cuts": records.cuts,
                "undelivered": len(records.undelivered),
            }
        )

    async def _sent(self, _request: web.Request) -> web.Response:
        return web.json_response(self._cloud.sent())

    async def _callbacks(self, _request: web.Request) -> web.Response:
        return web.json_response([callback.body for callback in self._cloud.records.callbacks])

    async def _person(self, request: web.Request) -> web.Response:
        """Let someone act: {"username", "action" (a method of `Person`), "alias", and its other arguments}."""
        body = await request.json()
        action, username = str(body.pop("action")), str(body.pop("username"))
        if action.startswith("_") or not callable(getattr(Person, action, None)):
            return web.json_response({"error": f"a person has no action {action!r}"}, status=400)
        act: Callable[..., Outcome] = getattr(self._cloud.person(username), action)
        outcome = act(*body.pop("arguments", []), **body)
        return web.json_response({"success": outcome.success, "status": outcome.status})

    async def _integration(self, request: web.Request) -> web.Response:
        """Add an integration: {"kind", and fields of `Integration`}; the answer has its id and its key."""
        body: dict[str, Any] = await request.json()
        add: dict[str, Callable[..., Integration]] = {
            "api": self._cloud.add_api,
            "webhook": self._cloud.add_webhook,
            "oec": self._cloud.add_oec,
            "jec": self._cloud.add_jec,
        }
        body["queues"] = tuple(Queue(**queue) for queue in body.get("queues", []))
        integration = add[body.pop("kind")](**body)
        return web.json_response({"integrationId": integration.integration_id, "key": integration.key})

    async def _fault(self, request: web.Request) -> web.Response:
        """Switch a fault on: {"kind" (a method of `Faults` but refuse), and its arguments}."""
        body = await request.json()
        kind = body.pop("kind")
        if kind not in FAULTS:
            return web.json_response({"error": f"no fault {kind!r}; there are {sorted(FAULTS)}"}, status=400)
        getattr(self._cloud.faults, kind)(**body)
        return web.json_response({})

    async def _clear(self, _request: web.Request) -> web.Response:
        self._cloud.faults.clear()
        return web.json_response({})

    async def _switches(self, request: web.Request) -> web.Response:
        """Set fields of `Switches`; the answer has all of them."""
        for name, value in (await request.json()).items():
            if not hasattr(self._cloud.switches, name):
                return web.json_response({"error": f"there is no switch {name!r}"}, status=400)
            setattr(self._cloud.switches, name, value)
        return web.json_response(dataclasses.asdict(self._cloud.switches))

    async def _advance(self, request: web.Request) -> web.Response:
        self._cloud.advance(float((await request.json())["seconds"]))
        return web.json_response({})
