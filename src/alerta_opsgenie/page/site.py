"""Who may see the page, and who may retry and drop with it.

| request | allowed if |
|---|---|
| any | `Host` is an address, `localhost`, or the name to listen at: against DNS rebinding |
| any, unless the server listens at loopback | it has the token, as the password of HTTP's basic authentication |
| `POST decide` | the form has the token, and `Origin` and `Sec-Fetch-Site`, which browsers send, name this page |
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from email.message import Message
from html import escape
from importlib import resources
from ipaddress import ip_address
from typing import Mapping
from urllib.parse import urlsplit

from alerta_opsgenie.core.secret import mask
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.page import screens
from alerta_opsgenie.page.markup import Html, cut, html, visible
from alerta_opsgenie.page.server import (
    FORBIDDEN,
    NOT_FOUND,
    OK,
    SEE_OTHER,
    UNAUTHORIZED,
    WRONG_METHOD,
    Request,
    Response,
    plain,
)
from alerta_opsgenie.page.view import PageInputs, View

SHORTEST_TOKEN = 16  # characters; a random token of this length cannot be guessed
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` a browser would send `Origin: null` with a form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES = {"/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8"}
_LONGEST_SEARCH = 200
_log = logging.getLogger(__name__)


class Page:
    """Responds to requests for the page; it is served at `host`."""

    def __init__(self, source: PageInputs, host: str) -> None:
        self._source = source
        self._host = host
        self._view = View(source)
        own = resources.files(__package__)
        self._files = {path: own.joinpath(path[1:]).read_bytes() for path in _FILES}

    def answer(self, request: Request) -> Response:
        """Return the response, with the security headers."""
        response = self._refusal(request) or self._answer(request)
        return response._replace(headers={**HEADERS, **response.headers})

    def _answer(self, request: Request) -> Response:
        if request.path in _FILES:
            return Response(OK, self._files[request.path], _FILES[request.path])
        shown = {"/": self._first_screen, "/alert": self._alert, "/action": self._action}.get(request.path)
        wanted = "POST" if request.path == "/decide" else "GET"
        if shown is None and wanted == "GET":
            return plain(NOT_FOUND, "not found; the page is at /")
        if request.method != wanted:
            return plain(WRONG_METHOD, f"only {wanted} is allowed")._replace(headers={"Allow": wanted})
        try:
            return shown(request.fields) if shown else self._decide(request)
        except (JournalError, OSError) as error:
            return self._show("Not well", html("<h1 class=bad>Not well</h1><p>{why}</p>", why=error))

    # -- Access

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("Host", "")
        if not _is_own_host(host, self._host):
            return plain(FORBIDDEN, "use localhost, an IP address, or the name in `listen`")
        if not is_loopback(self._host) and not self._is_token(_password(request.headers)):
            if not self._source.token():
                why = "this page needs a token, because it does not listen on loopback"
                return plain(FORBIDDEN, f"{why}. {self._source.enabling}")
            asks = {"WWW-Authenticate": 'Basic realm="alerta-opsgenie: any name, the token as password"'}
            return plain(UNAUTHORIZED, "the token is needed")._replace(headers=asks)
        return None

    def _is_token(self, given: str) -> bool:
        token = self._source.token()
        return bool(token) and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())

    # -- Screens

    def _first_screen(self, fields: Mapping[str, str]) -> Response:
        text, state = fields.get("q", "").strip()[:_LONGEST_SEARCH], fields.get("state", "")
        state = state if state in ("waiting", "in-flight", "dead") and not text else ""
        found, rows = self._view.overview(), self._view.rows(text=text, state_name=state)
        content = screens.first_screen(found, rows, text=text, state=state, done=fields.get("done", ""))
        return self._show(screens.verdict_of(found), content, text=text)

    def _alert(self, fields: Mapping[str, str]) -> Response:
        target, alert = fields.get("target", ""), fields.get("id", "")
        return self._show("Alert", screens.alert_screen(target, alert, self._view.actions_on(target, alert)))

    def _action(self, fields: Mapping[str, str], problem: str = "", status: int = OK) -> Response:
        row = self._view.action(fields.get("target", ""), fields.get("key", ""))
        if row is None:
            return self._show("Action", html("<h1>No such action</h1><p>{why}</p>", why=screens.NOTICES["gone"]))
        enabling = "" if self._source.token() else self._source.enabling
        content = screens.action_screen(row, fields.get("do", ""), enabling=enabling, problem=problem)
        return self._show("Action", content)._replace(status=status)

    def _show(self, title: str, content: Html, text: str = "") -> Response:
        secrets = list(self._source.secrets())
        made = mask(screens.page(title, content, text, self._source.directory), [*secrets, *map(escape, secrets)])
        return Response(OK, made.encode("utf-8", "replace"), "text/html; charset=utf-8")

    # -- Retry and drop

    def _decide(self, request: Request) -> Response:
        fields = request.fields
        what, target, key = (fields.get(name, "") for name in ("do", "target", "key"))
        origin_of_form = _foreign_origin(request.headers)
        if origin_of_form:
            _log.warning("the page: refused to %s, the form came from %s", cut(visible(what), 20), origin_of_form)
            return plain(FORBIDDEN, f"the form came from {origin_of_form}, not from this page")
        if what not in ("retry", "drop"):
            return plain(NOT_FOUND, "only retry and drop are allowed")
        if not self._is_token(fields.get("token", "")):
            _log.warning("the page: refused to %s, the token is wrong", what)
            return self._action(fields, "This is not the token.", FORBIDDEN)
        is_done = self._view.retry_or_drop(target, key, what)
        _log.warning("the page: %s of %s: %s", what, cut(visible(key), 80), "done" if is_done else "it has ended")
        return Response(SEE_OTHER, b"", headers={"Location": f"./?done={what if is_done else 'gone'}"})


def is_loopback(host: str) -> bool:
    """Whether only this host can reach a server that listens at `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_own_host(host: str, listen_host: str) -> bool:
    """Whether a `Host` header names this page, and cannot come from DNS rebinding."""
    name = ""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return bool(ip_address(name))
    except ValueError:
        return name in ("localhost", listen_host.lower())


def _foreign_origin(headers: Message) -> str:
    """Return the origin of a form from another page; empty if it is from this page, or not from a browser."""
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site", "same-origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("Host"):
        return cut(visible(origin), 80)
    return "" if site == "same-origin" else "another site"


def _password(headers: Message) -> str:
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2] if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
