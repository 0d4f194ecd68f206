"""Who may use Opsgenie's outgoing webhook: whoever has the shared secret, or an API key that may write alerts.

Alerta asks for nothing at all where `AUTH_REQUIRED` is off. So the caller is found out here, before Alerta looks at
the request, and is given a token of Alerta's own with the customers that it is bound to. The secret or key is taken
out of the request, because Alerta logs the headers of requests to webhooks.
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
"""Where it is true in a request's environment, the plugin itself makes the request (`plugin.inprocess`)."""
_KEY = re.compile(r"Key (\S+)")

PATH = "/webhooks/opsgenie"
USER = "opsgenie-webhook"
"""Who it is in Alerta's audit trail where a message names no person."""

LIFE_SECONDS = 30

_HOW = (
    "send the secret of OPSGENIE_WEBHOOK_SECRET_FILE in the header {header}, or an API key of Alerta's with the scope"
    " write:alerts in the header Authorization"
)


class Caller(NamedTuple):
    """Who posts to the webhook, and what it may do in Alerta.

    `lends_names`: what it says of people is believed, and Opsgenie is not told of it.
    """

    login: str
    customers: Tuple[str, ...] = ()
    lends_names: bool = False
    scopes: Tuple[str, ...] = (Scope.read_alerts, Scope.write_alerts, Scope.delete_alerts)


def install() -> None:
    """Look at each request of this process's applications; more calls change nothing."""
    request_started.connect(_look)


def caller() -> Caller:
    """Give who makes the present request. Raises AlertaException (401 or 403) for whoever may not."""
    found: Optional[Caller] = g.get("opsgenie_caller")
    if found is not None:
        return found
    how = _HOW.format(header=state.settings().webhook_header)
    if g.get("opsgenie_poor_key"):
        raise AlertaException(f"the API key lacks the scope write:alerts; {how}", code=403)
    if not state.settings().webhook_secret:
        LOG.warning("opsgenie: the webhook refuses a request: no secret is set; %s", how)
    raise AlertaException(f"the webhook takes nothing from unknown callers; {how}", code=401)


def _look(_app: Flask, **_: object) -> None:
    guard.attempt("the start of a request", _start)


def _start() -> None:
    process = state.process()
    process.start()
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
    return Caller(USER, settings.webhook_customers, lends_names=True)


def _by_key() -> Optional[Caller]:
    key = key_in_headers()
    known = ApiKey.verify_key(key) if key else None
    if known is None:
        return None
    if not Permission.is_in_scope(Scope.write_alerts, have_scopes=known.scopes):
        g.opsgenie_poor_key = True
        return None
    customers = (known.customer,) if known.customer else ()
    return Caller(known.user, customers, is_bridge(key, known.scopes), tuple(known.scopes))


def token_of(found: Caller, scopes: Iterable[str]) -> str:
    """Make a token of Alerta's own that is good for half a minute."""
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


# -- By which key: never by a login or an e-mail address, which anybody can register


def key_in_headers() -> str:
    """Give the API key that the present request shows in a header; an empty string where there is none."""
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Key "):
        match = _KEY.match(authorization)
        return match.group(1) if match else ""
    return str(request.headers.get("X-API-Key", ""))


def shown_key() -> str:
    """Give the API key by which Alerta has let the present request in (9.1.0, auth/decorators.py), or nothing."""
    if request.headers.get("Authorization", "").startswith("Key ") or "X-API-Key" in request.headers:
        return key_in_headers()
    return request.args.get("api-key", "")


def is_bridge(key: str, scopes: Sequence[Any]) -> bool:
    """Whether a good API key with these scopes is the bridge's."""
    if not key:
        return False
    return BRIDGE_SCOPE in scopes or state.settings().bridge_keys.include(key, lambda: _id_of(key))


def _id_of(key: str) -> str:
    found = ApiKey.find_by_id(key)
    return str(found.id) if found else ""
