"""Authenticates requests to the webhook: by the shared secret, or by an API key that may write alerts.

Without `AUTH_REQUIRED` Alerta authenticates nothing. So the plugin does it, before Alerta's own check, and replaces the
secret or key by a token of Alerta with the caller's customers. The secret must not stay in the request, because Alerta
logs the headers of requests to webhooks.
"""

import datetime as dt
import re
from typing import Any, Iterable, NamedTuple, Optional, Sequence, Tuple

from alerta.auth.utils import create_token
from alerta.exceptions import AlertaException
from alerta.models.enums import Scope
from alerta.models.key import ApiKey
from alerta.models.permission import Permission
from flask import Flask, g, request, request_started

from alerta_opsgenie.plugin import LOG, guard, state
from alerta_opsgenie.plugin.keys import BRIDGE_SCOPE

AS_BRIDGE = "alerta_opsgenie.as_bridge"
"""True in the environment of a request that the plugin itself makes for the bridge (`plugin.inprocess`)."""
_KEY = re.compile(r"Key (\S+)")

PATH = "/webhooks/opsgenie"
USER = "opsgenie-webhook"
"""The login in Alerta's audit trail if a message names no person."""

LIFE_SECONDS = 30

_HOW = (
    "send the secret of OPSGENIE_WEBHOOK_SECRET_FILE in the header {header}, or an API key of Alerta's with the scope"
    " write:alerts in the header Authorization"
)


class Caller(NamedTuple):
    """Who posts to the webhook, and what it may do in Alerta.

    `is_bridge`: it acts as the bridge, so its names of people are used, and its actions are not sent back.
    """

    login: str
    customers: Tuple[str, ...] = ()
    is_bridge: bool = False
    scopes: Tuple[str, ...] = (Scope.read_alerts, Scope.write_alerts, Scope.delete_alerts)


def install() -> None:
    """Run `_start` at each request of this process. A second call changes nothing."""
    request_started.connect(_guarded_start)


def caller() -> Caller:
    """Return who makes the current request. Raises AlertaException (401 or 403) for an unknown caller."""
    found: Optional[Caller] = g.get("opsgenie_caller")
    if found is not None:
        return found
    how = _HOW.format(header=state.settings().webhook_header)
    if g.get("opsgenie_poor_key"):
        raise AlertaException(f"the API key lacks the scope write:alerts; {how}", code=403)
    if not state.settings().webhook_secret:
        LOG.warning("opsgenie: the webhook refuses a request: no secret is set; %s", how)
    raise AlertaException(f"the webhook refuses unknown callers; {how}", code=401)


def _guarded_start(_app: Flask, **_: object) -> None:
    guard.attempt("the start of a request", _start)


def _start() -> None:
    state.process().start()
    if request.path == PATH or request.path.startswith(PATH + "/"):
        found = _by_secret() or _by_key()
        if found is not None:
            g.opsgenie_caller = found
            for name in ("HTTP_X_API_KEY", "HTTP_AUTHORIZATION"):
                request.environ.pop(name, None)
            request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token_of(found, [Scope.write_webhooks])}"


def _by_secret() -> Optional[Caller]:
    settings = state.settings()
    shown = request.environ.pop("HTTP_" + settings.webhook_header.upper().replace("-", "_"), None)
    if shown is None:
        return None
    if not settings.webhook_secret.equals(shown):
        LOG.warning("opsgenie: a request to the webhook from %s has the wrong secret", request.remote_addr)
        return None
    return Caller(USER, settings.webhook_customers, is_bridge=True)


def _by_key() -> Optional[Caller]:
    key = key_in_headers()
    known = ApiKey.verify_key(key) if key else None
    if known is None:
        return None
    if not Permission.is_in_scope(Scope.write_alerts, have_scopes=known.scopes):
        g.opsgenie_poor_key = True
        return None
    customers = (known.customer,) if known.customer else ()
    return Caller(known.user, customers, is_bridge_key(key, known.scopes), tuple(known.scopes))


def token_of(found: Caller, scopes: Iterable[str]) -> str:
    """Return a token of Alerta that is valid for `LIFE_SECONDS`."""
    token = create_token(
        user_id=found.login,
        name=found.login,
        login=found.login,
        provider="opsgenie",
        customers=list(found.customers),
        scopes=list(scopes),
    )
    token.expiration = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=LIFE_SECONDS)
    return str(token.tokenize())


# -- The API key: never a login or an e-mail address, which anybody can register


def key_in_headers() -> str:
    """Return the API key in the current request's headers, or an empty text."""
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Key "):
        match = _KEY.match(authorization)
        return match.group(1) if match else ""
    return str(request.headers.get("X-API-Key", ""))


def shown_key() -> str:
    """Return the API key by which Alerta authenticated the request (9.1.0, auth/decorators.py), or an empty text."""
    if request.headers.get("Authorization", "").startswith("Key ") or "X-API-Key" in request.headers:
        return key_in_headers()
    return request.args.get("api-key", "")


def is_bridge_key(key: str, scopes: Sequence[Any]) -> bool:
    """Whether a valid API key with these scopes is the bridge's."""
    if not key:
        return False
    return BRIDGE_SCOPE in scopes or state.settings().bridge_keys.include(key, lambda: _id_of(key))


def _id_of(key: str) -> str:
    found = ApiKey.find_by_id(key)
    return str(found.id) if found else ""
