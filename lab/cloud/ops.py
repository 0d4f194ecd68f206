"""JSM's full REST API, as far as it is read: the list of alerts, for a person's token (contracts 3.5 and 3.6)."""

from __future__ import annotations

import base64

from aiohttp import web

from lab.cloud import views
from lab.cloud.answers import error
from lab.cloud.cloud import Cloud
from lab.cloud.model import JSON, Alert

PATH = "/jsm/ops/api/{cloud_id}/v1/alerts"


class Ops:
    """The routes for one `Cloud`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes to an application."""
        router.add_get(PATH, self._list)

    async def _list(self, request: web.Request) -> web.Response:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        logins = {base64.b64encode(":".join(login).encode()).decode() for login in self._cloud.tokens.items()}
        if scheme != "Basic" or shown not in logins:
            return error(401, "Unauthorized; scope does not match")
        if self._cloud.admit("search"):
            return error(429, "Too many requests")
        wanted = {"limit" if name == "size" else name: value for name, value in request.query.items()}
        try:
            page = self._cloud.search(wanted)
            count = self._cloud.count(wanted.get("query", ""))
        except views.BadQuery as problem:
            self._cloud.note_violation(f"GET {request.path}: {problem.field} {problem}")
            return error(422, str(problem))
        return web.json_response({"values": [self._show(one) for one in page], "count": count, "links": {}})

    def _show(self, alert: Alert) -> JSON:
        """Show an alert: one word for its state, no `updatedAt`, and the misspelt name of a time."""
        shown = views.brief(alert, self._cloud)
        kept = ("id", "tinyId", "alias", "message", "source", "owner", "priority", "tags", "createdAt", "snoozedUntil")
        status = "closed" if alert.closed else "acked" if alert.acknowledged else "open"
        if alert.snoozed_until_ms is not None and not alert.closed:
            status = "snoozed"
        rest = {name: shown[name] for name in kept if name in shown}
        return {**rest, "status": status, "lastOccuredAt": shown["lastOccurredAt"]}
