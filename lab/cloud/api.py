"""Opsgenie's REST API and JSM's integration API over the model (contracts 3): a thin aiohttp shell."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab.cloud import views
from lab.cloud.answers import NOTED, Noted, answer, error, throttled
from lab.cloud.cloud import Cloud, Seen
from lab.cloud.heartbeats import Heartbeats
from lab.cloud.intake import Domain, Processed
from lab.cloud.integrations import Integration, Product
from lab.cloud.limits import Checked, check
from lab.cloud.model import JSON, NS_PER_MS, Actor, Alert, Command

OPSGENIE_BASE = ""
JSM_BASE = "/jsm/ops/integration"
BASES: dict[Product, str] = {"opsgenie": OPSGENIE_BASE, "jsm": JSM_BASE}

# https://docs.opsgenie.com/docs/alert-api
WRITES = {
    ("POST", ""): "create",
    ("DELETE", "/{identifier}"): "delete",
    ("POST", "/{identifier}/acknowledge"): "acknowledge",
    ("POST", "/{identifier}/unacknowledge"): "unacknowledge",
    ("POST", "/{identifier}/close"): "close",
    ("POST", "/{identifier}/snooze"): "snooze",
    ("POST", "/{identifier}/notes"): "add_note",
    ("POST", "/{identifier}/assign"): "assign",
    ("POST", "/{identifier}/escalate"): "escalate",
    ("POST", "/{identifier}/responders"): "add_responder",
    ("POST", "/{identifier}/teams"): "add_team",
    ("POST", "/{identifier}/actions/{name}"): "custom",
    ("POST", "/{identifier}/tags"): "add_tags",
    ("DELETE", "/{identifier}/tags"): "remove_tags",
    ("POST", "/{identifier}/details"): "add_details",
    ("DELETE", "/{identifier}/details"): "remove_details",
    ("PUT", "/{identifier}/priority"): "update_priority",
    ("PUT", "/{identifier}/message"): "update_message",
    ("PUT", "/{identifier}/description"): "update_description",
}
JSM_DOCUMENTED = frozenset({"create", "acknowledge", "close", "add_note"})
# These carry their fields in the query: parameter name, and whether it is a comma-separated list.
QUERY_FIELDS = {"delete": {}, "remove_tags": {"tags": "tags"}, "remove_details": {"keys": "keys"}}
UUID_LIKE = re.compile(r"[0-9a-fA-F-]{36}")
NOT_PROCESSABLE = "Request body is not processable. Please check the errors."
REQUEST_NOT_FOUND = "Request not found. It might not be processed, yet."
NO_API_KEY_RIGHTS = "To perform this action, use an API key from an API integration."

View = Callable[[web.Request, Integration], web.Response]


class Api:
    """The routes of both dialects for one `Cloud`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes to an application."""
        for product, base in BASES.items():
            alerts = f"{base}/v2/alerts"
            reads: dict[str, tuple[View, Domain]] = {
                "": (self._list, "search"),
                "/count": (self._count, "search"),
                "/requests/{request_id}": (self._request_status, "alert"),
                "/{identifier}": (self._view(views.full), "alert"),
                "/{identifier}/notes": (self._view(views.notes), "alert"),
                "/{identifier}/logs": (self._view(views.logs), "alert"),
                "/{identifier}/recipients": (self._view(views.recipients), "alert"),
                "/{identifier}/tags": (self._view(views.tags), "alert"),
                "/{identifier}/details": (self._view(views.details), "alert"),
            }
            for path, (view, domain) in reads.items():
                router.add_get(alerts + path, self._reader(view, product, domain))
            Heartbeats(self._cloud, partial(self._admit_heartbeat, product)).add_routes(router, base)
            for (method, path), action in WRITES.items():
                router.add_route(method, alerts + path, self._writer(action, product))

    def _reader(self, view: View, product: Product, domain: Domain) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def read(request: web.Request) -> web.Response:
            caller = self._admit(request, product, domain, "read")
            if isinstance(caller, web.Response):
                return caller
            return view(request, caller)

        return read

    def _writer(self, action: str, product: Product) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def write(request: web.Request) -> web.Response:
            caller = self._admit(request, product, "alert", "delete" if action == "delete" else "write")
            if isinstance(caller, web.Response):
                return caller
            missing = self._missing_in_jsm(action, product)
            if missing is not None:
                return missing
            body = await self._read_body(request, action)
            return body if isinstance(body, web.Response) else self._take(request, action, caller, body)

        return write

    def _admit(self, request: web.Request, product: Product, domain: Domain, right: str) -> Integration | web.Response:
        """Return whose key it is, or the answer that refuses it."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        caller = self._cloud.authenticate(key) if scheme == "GenieKey" and key else None
        if scheme != "GenieKey":
            self._cloud.note_violation(f"{request.method} {request.path}: Authorization is not `GenieKey <key>`")
        if caller is None:
            well_formed = UUID_LIKE.fullmatch(key) or not key
            return error(401, "Could not authenticate") if well_formed else error(422, "Key format is not valid!")
        NOTED.get().integration_id = caller.integration_id
        if not caller.enabled or caller.product != product:
            return error(401, "Could not authenticate")
        period_seconds = self._cloud.admit(domain)
        if period_seconds:
            return throttled(period_seconds, retry_after=self._cloud.switches.retry_after)
        if right not in caller.rights:
            return error(403, NO_API_KEY_RIGHTS, code=40301)
        return caller

    def _admit_heartbeat(self, product: Product, request: web.Request) -> Integration | web.Response:
        return self._admit(request, product, "alert", "read")

    def _missing_in_jsm(self, action: str, product: Product) -> web.Response | None:
        switches = self._cloud.switches
        if product != "jsm" or action in JSM_DOCUMENTED or switches.jsm_undocumented_actions:
            return None
        return error(switches.jsm_missing_status, "Resource or method is not supported")

    async def _read_body(self, request: web.Request, action: str) -> JSON | web.Response:
        """Return the fields of a request, from the query where it has them there."""
        if action in QUERY_FIELDS:
            return _read_query(request, QUERY_FIELDS[action])
        raw = await request.read()
        if not raw and not request.headers.get("Content-Type", "").startswith("application/json"):
            return {}  # acknowledge, close, ... need no body
        if request.content_type != "application/json":
            return self._refuse(request, 415, f"Content-Type {request.content_type} is not supported")
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return self._refuse(request, 400, "Could not parse request body. It should be valid JSON.")
        NOTED.get().body = body
        if not isinstance(body, dict):
            return self._refuse(request, 400, "Request body should be a JSON object.")
        return body

    def _take(self, request: web.Request, action: str, caller: Integration, body: JSON) -> web.Response:
        """Check the limits and accept the request: 202, before anything has happened (contracts 3.3)."""
        identifier_type = request.query.get("identifierType", "id")
        checked = self._check(request, action, body)
        if identifier_type not in ("id", "alias", "tiny"):
            checked.errors["identifierType"] = "should be one of [ id, alias, tiny ]"
        if checked.errors:
            return self._refuse(request, 422, NOT_PROCESSABLE, checked.errors)
        fields = _complete(checked.fields, action, request, caller)
        command = Command(
            action,
            self._actor(request, checked.fields, caller),
            identifier=request.match_info.get("identifier", ""),
            identifier_type=identifier_type,
            fields=fields,
            request_id=str(uuid.uuid4()),
        )
        self._cloud.submit(command)
        return answer(202, {"result": "Request will be processed"}, request_id=command.request_id)

    def _check(self, request: web.Request, action: str, body: JSON) -> Checked:
        switches = self._cloud.switches
        checked = check(
            action,
            body,
            now_ms=self._cloud.now_ns() // NS_PER_MS,
            utf16=switches.length_in == "utf-16",
            past_snooze=switches.past_snooze == "end",
        )
        where = f"{request.method} {request.path}"
        if checked.unknown:
            self._cloud.note_violation(f"{where}: unknown fields {', '.join(checked.unknown)} (they are ignored)")
        self._cloud.records.cuts.extend(f"{where}: {name} was cut" for name in checked.cut)
        return checked

    def _actor(self, request: web.Request, fields: JSON, caller: Integration) -> Actor:
        names = {"body": fields.get("source", request.remote or ""), "address": request.remote or "", "empty": ""}
        return Actor(
            username=fields.get("user", "Alert API"),
            source_name=names[self._cloud.switches.echo_source_name],
            source_type="API",
            integration_id=caller.integration_id,
        )

    def _refuse(
        self, request: web.Request, status: int, text: str, errors: dict[str, str] | None = None
    ) -> web.Response:
        """Refuse a request that a client should never have sent, and record that."""
        reasons = "; ".join(f"{name}: {reason}" for name, reason in (errors or {}).items())
        self._cloud.note_violation(f"{request.method} {request.path}: {status} {text} {reasons}".rstrip())
        return error(status, text, errors=errors) if errors else error(status, text)

    def _request_status(self, request: web.Request, _caller: Integration) -> web.Response:
        state = self._cloud.request_state(request.match_info["request_id"])
        if not isinstance(state, Processed):
            headers = {"X-Opsgenie-Errortype": "RequestNotProcessed"} if state else {}
            return error(404, REQUEST_NOT_FOUND, headers=headers)
        return answer(200, {"data": views.request_status(state)})

    def _view(self, view: Callable[[Alert, Cloud], Any]) -> View:
        def show(request: web.Request, _caller: Integration) -> web.Response:
            identifier_type = request.query.get("identifierType", "id")
            alert = self._cloud.alert(request.match_info["identifier"], identifier_type)
            if alert is None:
                return error(404, f"Alert with {identifier_type} [{request.match_info['identifier']}] does not exist")
            return answer(200, {"data": view(alert, self._cloud)})

        return show

    def _list(self, request: web.Request, _caller: Integration) -> web.Response:
        try:
            found = self._cloud.search(request.query)
        except views.BadQuery as problem:
            return self._refuse(request, 422, NOT_PROCESSABLE, {problem.field: str(problem)})
        return answer(200, {"data": [views.brief(alert, self._cloud) for alert in found], "paging": {}})

    def _count(self, request: web.Request, _caller: Integration) -> web.Response:
        try:
            count = self._cloud.count(request.query.get("query", ""))
        except views.BadQuery as problem:
            return self._refuse(request, 422, NOT_PROCESSABLE, {problem.field: str(problem)})
        return answer(200, {"data": {"count": count}})


def record_requests(cloud: Cloud) -> Middleware:
    """Return the middleware that dates and records each request, and unknown paths and methods as violations."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        noted = Noted()
        NOTED.set(noted)
        try:
            response = await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as problem:
            cloud.note_violation(f"{request.method} {request.path}: {problem.status}, there is no such request")
            response = error(problem.status, "No handler found" if problem.status == 404 else "Method not allowed")  # noqa: PLR2004
        except Exception as problem:
            cloud.note_violation(f"{request.method} {request.path}: the stand-in itself failed: {problem!r}")
            raise
        # The vendor's clock is the cloud's, also after `advance`.
        response.headers["Date"] = formatdate(cloud.now_ns() / 1e9, usegmt=True)
        whose, body = noted.integration_id, noted.body
        cloud.note(Seen(request.method, request.path_qs, response.status, whose, body, cloud.now_ns()))
        return response

    return record


def _read_query(request: web.Request, lists: dict[str, str]) -> JSON:
    fields: JSON = {}
    for name, value in request.query.items():
        if name != "identifierType":
            fields[name] = value.split(",") if name in lists else value
    return fields


def _complete(fields: JSON, action: str, request: web.Request, caller: Integration) -> JSON:
    """Fill in what the vendor derives: the source's default, the team of a team's key, the custom action's name."""
    if action == "create":
        team = {"responders": [{"type": "team", "name": caller.team}]} if caller.team else {}
        return {"source": request.remote or "", **fields, **team}
    return {**fields, "name": request.match_info["name"]} if action == "custom" else fields
