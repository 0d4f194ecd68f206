"""The attackers: a stranger who signs up, holders of keys, the vendor's webhook, and anybody with the URL."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.support.console import Console
from tests.support.plugin import JSON, SECRET, SECRET_HEADER, Plugged

ALICE = "alice@example.com"
BOSS = "ceo@example.com"
BRIDGE_LOGIN = "opsgenie-bridge@example.com"
DAY_NS = 86_400 * 10**9
POISON_NS = 2**63 - 1
BULK = pytest.mark.since("9.0.0", "its bulk views fail: `QueryBuilder` has no `from_params`")


@dataclass
class Site:
    """One Alerta with the plugin, and its entrances."""

    run: Plugged

    @property
    def console(self) -> Console:
        """An operator with the administrator's key."""
        return self.run.console

    def new_alert(self, **fields: Any) -> str:
        return str(self.console.create_alert(**fields)["id"])

    def key(self, *scopes: str, user: str = "mallory@example.com", customer: str | None = None) -> Console:
        """Return a user's key, made by the administrator."""
        return Console(self.run.alerta.url, self.run.alerta.create_key(user, list(scopes), customer))

    def sign_up(self, email: str) -> tuple[str, Console]:
        """Sign up. Return the token and a key that the new user made with it."""
        body = {"name": "Mallory", "email": email, "login": email, "password": secrets.token_urlsafe(12)}
        _, answer = self.raw("POST", "/auth/signup", body)
        token = str(answer["token"])
        status, made = self.raw(
            "POST", "/key", {"user": email, "scopes": ["read", "write"], "text": ""}, Authorization=f"Bearer {token}"
        )
        assert status == 201, made
        return token, Console(self.run.alerta.url, str(made["key"]))

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, JSON]:
        """Send a request without any key; `headers` with dashes for underscores."""
        address = urlsplit(self.run.alerta.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, dict(json.loads(answer.read()))
        finally:
            connection.close()

    def webhook(self, body: JSON, query: str = "", **headers: str) -> tuple[int, JSON]:
        """Post to the webhook with these headers only."""
        return self.raw("POST", f"/webhooks/opsgenie{query}", body, **headers)

    def vendor(self, body: JSON) -> JSON:
        """Post as Opsgenie does, with the secret."""
        status, answer = self.webhook(body, **{SECRET_HEADER.replace("-", "_"): SECRET})
        assert status == 200, answer
        return answer


def message(alert_id: str, action: str, **alert: Any) -> JSON:
    fields = {"alias": alert_id, "source": "Alerta", "username": ALICE, "updatedAt": time.time_ns(), **alert}
    return {"action": action, "source": {"name": "", "type": "web"}, "alert": fields, "integrationType": "Webhook"}


def again(alert: JSON) -> JSON:
    """Return the fields by which Alerta recognises the same alert."""
    return {name: alert[name] for name in ("resource", "event", "environment", "service", "severity")}


def pose(caller: Console, alert_id: str, action: str, *, person: str = BOSS, **bridge: Any) -> tuple[int, JSON, JSON]:
    """Act with a key and the bridge's header. Return status, headers and response."""
    fields = {"text": f"{action} in Opsgenie", "updatedAt": time.time_ns(), "key": secrets.token_hex(4), **bridge}
    body = {"action": action, "text": f"{action} by {person}", "bridge": fields}
    return caller.exchange("PUT", f"/alert/{alert_id}/action", body, X_Alerta_On_Behalf_Of=quote(person, safe="@"))


def users_of(site: Site, alert_id: str) -> set[str]:
    """Return the users in the alert's history."""
    return {str(line["user"]) for line in site.console.history(alert_id)}


def scopes_of(names: Sequence[str]) -> str:
    """Return the name of a test with these scopes."""
    return " ".join(names)
