"""The door for Opsgenie's outgoing webhook: a shared secret in a header stands for the bridge's own user.

Alerta knows keys, tokens and passwords, and no shared secret. So a request to our webhook with the right secret is
given a token of Alerta's own, which is good for webhooks alone (scope `write:webhooks`) and for half a minute. The
secret is taken out of the request at once, for Alerta logs the headers of requests to webhooks.
"""

import datetime as dt

from alerta.auth.utils import create_token
from flask import Flask, g, request, request_started

from alerta_opsgenie.plugin import state

PATH = "/webhooks/opsgenie"
USER = "opsgenie-webhook"
"""Who it is in Alerta's audit trail where a message names no person."""

LIFE_SECONDS = 30


def install() -> None:
    """Watch the door in each application of this process; more calls change nothing."""
    request_started.connect(_let_in)


def _let_in(_app: Flask, **_: object) -> None:
    process = state.process()
    process.start()
    if request.path != PATH and not request.path.startswith(PATH + "/"):
        return
    settings = process.settings
    shown = request.environ.pop(_environ_name(settings.webhook_header), None)
    if shown is None:
        return
    if not settings.webhook_secret.equals(shown):
        state.LOG.warning("opsgenie: a request to the webhook from %s has the wrong secret", request.remote_addr)
        return
    g.opsgenie_webhook = True
    for name in ("HTTP_X_API_KEY", "HTTP_AUTHORIZATION"):
        request.environ.pop(name, None)
    request.environ["HTTP_AUTHORIZATION"] = f"Bearer {_token()}"


def _token() -> str:
    token = create_token(
        user_id=USER, name=USER, login=USER, provider="opsgenie", customers=[], scopes=["write:webhooks"]
    )
    token.expiration = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=LIFE_SECONDS)
    return str(token.tokenize())


def _environ_name(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def by_secret() -> bool:
    """Whether the present request came in by the shared secret."""
    return bool(g.get("opsgenie_webhook"))

