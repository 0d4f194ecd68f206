"""Blocking calls to Alerta."""

import json
from typing import Any, Dict, Mapping, Optional
from urllib.parse import quote, unquote

from alerta_opsgenie.clients.connection import (
    Address,
    Connection,
    Response,
    clock_ahead_seconds,
    read_address,
    retry_after_seconds,
)
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.secret import mask
from alerta_opsgenie.core.task import Call

ON_BEHALF_OF = "X-Alerta-On-Behalf-Of"
"""The person's name, percent-encoded unless ASCII. Only our plugin returns this header."""

ALERT_STATUS = "X-Alerta-Alert-Status"
"""The alert's status after the call, set by our plugin."""
ALERT_TIMEOUT = "X-Alerta-Alert-Timeout"
"""Set by our plugin: after how many seconds Alerta ends the ack or shelve; 0: never."""


def address_of(url: str) -> Address:
    """Read the URL of Alerta's API, with or without `/alert` or a slash at its end. Raises `AddressError`."""
    return read_address(url, "Alerta", "https://alerta.example.com/api", ("/alerts", "/alert"))


class AlertaClient:
    """Calls with one API key to one Alerta. Not thread-safe. `calls` is their number."""

    def __init__(
        self, url: str, key: str, *, ca_file: Optional[str] = None, environment: Optional[Mapping[str, str]] = None
    ) -> None:
        self._connection = Connection(address_of(url), ca_file=ca_file, environment=environment)
        self._key = key
        self.calls = 0

    def send(self, call: Call, deadline: float) -> Answer:
        """Make one call until `deadline` (of `time.monotonic`). Raises `UnreachableError`."""
        if not is_sendable(self._key):
            return NO_SUCH_KEY
        body = None if call.body is None else json.dumps(call.body).encode("ascii")
        self.calls += 1
        response = self._connection.exchange(call.method, call.path, body, headers_of(call, self._key), deadline)
        return answer_of(response.status, response.headers, response.body, self._key)

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._connection.close()


NO_SUCH_KEY = Answer(401, {"status": "error", "message": "the API key has characters that no key of Alerta has"})


def is_sendable(key: str) -> bool:
    """Whether a key is valid in a header. Alerta reads a key only up to a space, and shows that part in its error."""
    return key.isascii() and key.isprintable() and " " not in key


def headers_of(call: Call, key: str) -> Dict[str, str]:
    """Return the headers of a call."""
    headers = {"Authorization": f"Key {key}", "Accept": "application/json"}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.on_behalf_of:
        headers[ON_BEHALF_OF] = quote(call.on_behalf_of, safe=" !#$&'()*+,/:;=?@[]^`{|}~")
    return headers


def answer_of(status: int, headers: Mapping[str, str], raw: bytes, key: str) -> Answer:
    """Read a response. The names of `headers` are in lower case, or are found in any case."""
    return Answer(
        status=status,
        body=_without(key, Response(status, headers, raw).json),
        on_behalf_of=unquote(headers.get(ON_BEHALF_OF.lower(), "")),
        alert_status=headers.get(ALERT_STATUS.lower(), ""),
        alert_timeout_seconds=_whole(headers.get(ALERT_TIMEOUT.lower(), "")),
        retry_after_seconds=retry_after_seconds(headers.get("retry-after")),
        clock_ahead_seconds=clock_ahead_seconds(headers.get("date")),
    )


def _whole(text: str) -> Optional[int]:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


_MOST_DIGITS = 10  # of a timeout in PostgreSQL's integer


def _without(key: str, body: Any) -> Any:
    """Hide the key in Alerta's message: the error for an unknown key contains it (9.1.0, auth/decorators.py)."""
    text = body.get("message") if isinstance(body, dict) else None
    if not key or not isinstance(text, str):
        return body
    return {**body, "message": mask(text, [key])}
