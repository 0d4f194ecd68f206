"""What edge connectors ask of the cloud: queue credentials, and the results of their scripts (contracts 1.5 and 2)."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from lab.cloud.answers import NOTED, answer, error
from lab.cloud.channel import PATHS
from lab.cloud.cloud import Callback, Cloud
from lab.cloud.integrations import Integration, Kind
from lab.cloud.model import JSON

# The older path is in OEC's public sources, the newer one in its current releases.
CREDENTIALS: dict[str, Kind] = {
    "/v1/oec/credentials": "oec",
    "/v2/integrations/oec/credentials": "oec",
    "/jsm/ops/jec/v1/credentials": "jec",
}
CALLBACKS: dict[str, Kind] = {"/v1/oec/callback": "oec", "/jsm/ops/jec/v1/callback": "jec"}

# opsgenie/oec and atlassian/jec, runbook/sender.go
TEXTS = frozenset({"requestId", "entityId", "entityType", "action", "actionType", "failureMessage"})
HTTP_RESULT = frozenset({"headers", "body", "statusCode"})
NEEDED = ("requestId", "action", "actionType")


class Edge:
    """The routes for edge connectors of one `Cloud`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes to an application."""
        for path, kind in CREDENTIALS.items():
            router.add_get(path, self._guard(kind, self._credentials))
        for path, kind in CALLBACKS.items():
            router.add_post(path, self._guard(kind, self._callback))
        for what, path in PATHS.items():
            router.add_route("*", path, self._guard("jec", functools.partial(self._channel, what)))

    def _guard(
        self, kind: Kind, handle: Callable[[web.Request, Integration], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            caller = self._cloud.authenticate(key) if scheme == "GenieKey" else None
            if caller is None or caller.kind != kind or not caller.enabled:
                return error(401, "Could not authenticate")
            NOTED.get().integration_id = caller.integration_id
            return await handle(request, caller)

        return guarded

    async def _credentials(self, request: web.Request, caller: Integration) -> web.Response:
        """Answer with the `Token` header; the body says nothing (queue/processor.go of both connectors)."""
        if caller.kind == "jec" and self._cloud.channel is not None:
            return error(410, "this version of the API has ended")
        client = request.headers.get(f"X-{caller.type_name}-Client-Info")
        if client:
            self._cloud.records.client_infos.append(client)
        held = {region: int(expiry) for region, expiry in request.query.items() if expiry.isdigit()}
        always = self._cloud.switches.fresh_credentials == "always"
        token = self._cloud.credentials.describe(caller, held, always=always)
        return answer(200, {}, headers={"Token": json.dumps(token)})

    async def _channel(self, what: str, request: web.Request, caller: Integration) -> web.Response:
        """Answer as version 2 of JEC's API where it is switched on, else as today: there is none."""
        channel = self._cloud.channel
        if channel is None:
            return error(404, "Not Found")
        handle = channel.authenticate if what == "authenticate" else channel.messages
        return await handle(request, caller)

    async def _callback(self, request: web.Request, caller: Integration) -> web.Response:
        if request.content_type != "application/json":
            return self._refuse(request, 415, f"Content-Type {request.content_type} is not supported")
        try:
            body = json.loads(await request.read())
        except ValueError:
            return self._refuse(request, 400, "Could not parse request body. It should be valid JSON.")
        NOTED.get().body = body
        problem = find_fault(body, caller.kind)
        if problem:
            return self._refuse(request, 422, problem)
        if not self._cloud.sent_request(body["requestId"], caller):
            self._cloud.note_violation(f"POST {request.path}: requestId is of no message to this integration")
        self._cloud.note(Callback(caller.integration_id, body, self._cloud.now_ns()))
        return answer(202, {"result": "Request will be processed"})

    def _refuse(self, request: web.Request, status: int, text: str) -> web.Response:
        self._cloud.note_violation(f"{request.method} {request.path}: {status} {text}")
        return error(status, text)


def find_fault(body: Any, kind: Kind) -> str:
    """Return what is wrong with the body of a callback, or ""."""
    if not isinstance(body, dict):
        return "the body should be a JSON object"
    texts = TEXTS | {"callbackContext"} if kind == "jec" else TEXTS
    unknown = sorted(set(body) - texts - HTTP_RESULT - {"isSuccessful"})
    if unknown:
        return f"unknown fields {', '.join(unknown)}"
    missing = [name for name in NEEDED if not body.get(name)]
    if missing:
        return f"{', '.join(missing)} can not be empty"
    wrong = [name for name in sorted(texts & set(body)) if not isinstance(body[name], str)]
    if wrong:
        return f"{', '.join(wrong)} should be strings"
    return _find_result_fault(body)


def _find_result_fault(body: JSON) -> str:
    successful = body.get("isSuccessful", False)
    if not isinstance(successful, bool):
        return "isSuccessful should be a boolean"
    if not successful and not body.get("failureMessage"):
        return "a failure needs a failureMessage"
    if successful and body.get("failureMessage"):
        return "a success has no failureMessage"
    return ""
