"""Requests to the vendor's API with the integration's key: credentials, results, and JEC's channel."""

from __future__ import annotations

import json
import time
from typing import Any, Mapping

from alerta_opsgenie import __version__
from alerta_opsgenie.clients.connection import Connection, Response, read_address
from alerta_opsgenie.core.secret import redact_text
from alerta_opsgenie.vendor.config import DEFAULT_BASE_URLS, EdgeConfig

CLIENT_INFO = f"alerta-opsgenie/{__version__}"

_LONGEST_WORDS = 200


class VendorApi:
    """A kept connection to the vendor. Not thread-safe. Raises `AddressError`."""

    def __init__(self, config: EdgeConfig, environment: Mapping[str, str]) -> None:
        address = read_address(config.api_root, "Opsgenie or JSM (baseUrl)", DEFAULT_BASE_URLS[config.dialect])
        self._connection = Connection(address, environment=environment)
        self._root = str(address)
        self._headers = {
            "Authorization": f"GenieKey {config.api_key.reveal()}",
            f"X-{config.dialect.upper()}-Client-Info": CLIENT_INFO,
        }

    def url(self, path: str) -> str:
        """Return the URL of a path without its query, for messages."""
        return self._root + path.partition("?")[0]

    def request(self, method: str, path: str, body: Any = None, *, seconds: float) -> Response:
        """Send one request. Raises `UnreachableError`."""
        headers, raw = self._headers, None
        if body is not None:
            headers, raw = {**headers, "Content-Type": "application/json"}, json.dumps(body).encode("ascii")
        return self._connection.exchange(method, path, raw, headers, time.monotonic() + seconds)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def error_text(error: Exception) -> str:
    """Return an error as one line without secrets; botocore would show the password of a proxy."""
    text = str(getattr(error, "strerror", None) or error)
    return redact_text(" ".join(text.split()))[:_LONGEST_WORDS]
