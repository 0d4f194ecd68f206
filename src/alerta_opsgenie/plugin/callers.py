"""Who calls: by the API key that a request shows, never by a login or an e-mail address, which anybody can register."""

import re
from typing import Any, Sequence

from alerta.models.key import ApiKey
from flask import request

from alerta_opsgenie.plugin import state
from alerta_opsgenie.plugin.keys import BRIDGE_SCOPE

AS_BRIDGE = "alerta_opsgenie.as_bridge"
"""Where it is true in a request's environment, the plugin itself makes the request (`plugin.inprocess`)."""

_KEY = re.compile(r"Key (\S+)")


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
