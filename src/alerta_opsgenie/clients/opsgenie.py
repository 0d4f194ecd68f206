"""Blocking calls to Opsgenie's REST API and to JSM's integration API, and the meaning of each response.

A 202 means that the vendor has accepted a request; its effect is only known by its status (`OpsgenieClient.look_up`).
"""

import json
from enum import Enum
from typing import Any, Dict, Mapping, NamedTuple, Optional, Union
from urllib.parse import quote

from alerta_opsgenie.clients.connection import (
    Address,
    Connection,
    Response,
    UnreachableError,
    read_address,
    retry_after_seconds,
)
from alerta_opsgenie.core.publish import Dialect, Request
from alerta_opsgenie.core.secret import mask

BASE_URLS: Mapping[Dialect, str] = {
    Dialect.OPSGENIE: "https://api.opsgenie.com",
    Dialect.JSM: "https://api.atlassian.com/jsm/ops/integration",
}
"""The base URLs; for EU accounts of Opsgenie it is https://api.eu.opsgenie.com."""

JSM_PATH = "/jsm/ops/integration"


class Verdict(str, Enum):
    """What to do: nothing more, retry later, retry after a person has corrected key or URL (STUCK), or give up."""

    DONE = "done"
    LATER = "later"
    STUCK = "stuck"
    FINAL = "final"


class Reason(str, Enum):
    """The reason, as shown in logs, lists and metrics."""

    ACCEPTED = "accepted"
    NETWORK = "network"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_OPSGENIE = "not-opsgenie"
    SWITCHED_OFF = "switched-off"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"


ADVICE: Mapping[Reason, str] = {
    Reason.UNAUTHORIZED: "give the key of an enabled API integration (OPSGENIE_SERVICE_KEY and its kin)",
    Reason.FORBIDDEN: "give the API integration the right to create and update alerts, without read-only access",
    Reason.NOT_OPSGENIE: "check OPSGENIE_URL: what answers there is not the alert API",
    Reason.SWITCHED_OFF: "the API is switched off for this account: move to JSM (docs/how-to/move-to-jsm.md)",
}
"""What a person has to do before a retry can succeed."""


class RequestOutcome(NamedTuple):
    """The outcome of one request, without secrets; `request_id` is for `look_up`.

    `throttled`: the vendor limits the rate of requests. `ambiguous`: no answer came, and the request may have had its
    effect.
    """

    verdict: Verdict
    reason: Reason
    detail: str = ""
    retry_after_seconds: Optional[float] = None
    request_id: str = ""
    throttled: bool = False
    ambiguous: bool = False


class Status(str, Enum):
    """The status of an accepted request."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"
    UNKNOWN = "unknown"


class RequestStatus(NamedTuple):
    """The status of an accepted request; `text` is the vendor's text, `alert_id` its id of the alert."""

    status: Status
    text: str = ""
    alert_id: str = ""


def dialect_of(url: str) -> Dialect:
    """Return the product of an API by its URL."""
    return Dialect.JSM if "api.atlassian.com" in url or "/jsm/" in url else Dialect.OPSGENIE


def address_of(url: str, dialect: Dialect) -> Address:
    """Read a base URL, with or without the path of an endpoint. Raises `AddressError`."""
    address = read_address(url, "Opsgenie", BASE_URLS[dialect], ("/alerts", "/v2"))
    if dialect is Dialect.JSM and not address.path.endswith(JSM_PATH):
        return address._replace(path=address.path + JSM_PATH)
    return address


def classify(operation: str, response: Response, *, key: str = "") -> RequestOutcome:
    """Return the outcome for each HTTP status (https://docs.opsgenie.com/docs/response)."""
    body = _json(response)
    slow = response.headers.get("x-ratelimit-state", "").upper() == "THROTTLED"
    wait = _wait_seconds(response.headers)
    detail = _detail(response.status, body, key)
    if response.status in _TAKEN and ("requestId" in body or "result" in body or "data" in body):
        request_id = str(body.get("requestId") or response.headers.get("x-request-id") or "")
        return RequestOutcome(Verdict.DONE, Reason.ACCEPTED, detail, wait if slow else None, request_id, slow)
    verdict, reason = _refusal(operation, response.status, body)
    return RequestOutcome(verdict, reason, detail, wait, throttled=slow or reason is Reason.THROTTLED)


_TAKEN = frozenset({200, 201, 202})
_LATER: Mapping[int, Reason] = {408: Reason.UNAVAILABLE, 425: Reason.UNAVAILABLE, 429: Reason.THROTTLED}
_FORBIDDEN, _NOT_FOUND, _WRONG_METHOD, _UNPROCESSABLE, _CLIENT_ERROR, _SERVER_ERROR = 403, 404, 405, 422, 400, 500
_UNAUTHORIZED, _NOT_IN_PLAN, _GONE, _NOT_IMPLEMENTED = 401, 402, 410, 501
_UNSUPPORTED_CODE = 40302


def _refusal(operation: str, status: int, body: Mapping[str, Any]) -> "tuple[Verdict, Reason]":
    if status in _LATER:
        return Verdict.LATER, _LATER[status]
    if status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED:
        return Verdict.LATER, Reason.UNAVAILABLE
    if status == _UNAUTHORIZED or (status == _UNPROCESSABLE and _is_about_key(body)):
        return Verdict.STUCK, Reason.UNAUTHORIZED
    if status == _FORBIDDEN and body.get("code") != _UNSUPPORTED_CODE:
        return Verdict.STUCK, Reason.FORBIDDEN
    if status == _GONE:  # whether an ended Opsgenie answers this is not known; requests can go to another URL
        return Verdict.STUCK, Reason.SWITCHED_OFF
    if status < _CLIENT_ERROR or (status in (_NOT_FOUND, _WRONG_METHOD) and operation == "create"):
        return Verdict.STUCK, Reason.NOT_OPSGENIE
    if status in (_NOT_IN_PLAN, _FORBIDDEN, _NOT_FOUND, _WRONG_METHOD, _NOT_IMPLEMENTED):
        return Verdict.FINAL, Reason.UNSUPPORTED
    return Verdict.FINAL, Reason.REFUSED


def _is_about_key(body: Mapping[str, Any]) -> bool:
    """Whether a 422 is about the key. One about fields has `errors`, one about a key has none."""
    return "errors" not in body and "key" in str(body.get("message", "")).lower()


class OpsgenieClient:
    """Calls to one base URL. Not thread-safe. `environment` has the proxies."""

    def __init__(
        self, url: str, dialect: Dialect, *, ca_file: Optional[str] = None,
        environment: Optional[Mapping[str, str]] = None,
    ) -> None:  # fmt: skip
        self.address = address_of(url, dialect)
        self._connection = Connection(self.address, ca_file=ca_file, environment=environment)

    def send(self, request: Request, key: str, deadline: float) -> RequestOutcome:
        """Make one request until `deadline` (of `time.monotonic`)."""
        body = None if request.method == "DELETE" else json.dumps(request.body).encode("ascii")
        response = self._exchange(request.method, request.path, body, key, deadline)
        return response if isinstance(response, RequestOutcome) else classify(request.operation, response, key=key)

    def look_up(self, request_id: str, key: str, deadline: float) -> RequestStatus:
        """Read the status of an accepted request."""
        response = self.get(f"/v2/alerts/requests/{quote(request_id, safe='')}", key, deadline)
        if isinstance(response, RequestOutcome):
            return RequestStatus(Status.UNKNOWN, response.detail)
        data = _json(response).get("data")
        if response.status in _TAKEN and isinstance(data, dict):
            succeeded = bool(data.get("isSuccess", data.get("success")))
            status = Status.SUCCEEDED if succeeded else Status.FAILED
            return RequestStatus(status, _line(data.get("status")), _line(data.get("alertId")))
        # On this header https://github.com/opsgenie/opsgenie-go-sdk-v2 asks again.
        waits = response.headers.get("x-opsgenie-errortype", "") == "RequestNotProcessed"
        return RequestStatus(Status.PENDING if waits else Status.UNKNOWN, f"HTTP {response.status}")

    def read(self, alias: str, what: str, key: str, deadline: float) -> Any:
        """Read an alert (`what` is empty) or its `/notes`. Return `data`, or None if the vendor has none.

        Return a `RequestOutcome` if it could not be read.
        """
        path = f"/v2/alerts/{quote(alias, safe='')}{what}?identifierType=alias"
        response = self.get(path, key, deadline)
        if isinstance(response, RequestOutcome):
            return response
        if response.status in _TAKEN:
            return _json(response).get("data")
        judged = classify("read", response, key=key)
        return None if judged.verdict is Verdict.FINAL else judged

    def get(self, path: str, key: str, deadline: float) -> Union[Response, RequestOutcome]:
        """Make one GET; a `RequestOutcome` if no answer came."""
        return self._exchange("GET", path, None, key, deadline)

    def find(self, alias: str, key: str, deadline: float) -> Optional[Mapping[str, Any]]:
        """Look an alert up: its data, empty if the vendor answers that it has none, None if unknown."""
        return self._find(f"/v2/alerts/{quote(alias, safe='')}?identifierType=alias", key, deadline)

    def has_heartbeat(self, name: str, key: str, deadline: float) -> Optional[bool]:
        """Whether the vendor has a heartbeat of that name; None if unknown."""
        found = self._find(f"/v2/heartbeats/{quote(name, safe='')}", key, deadline)
        return None if found is None else bool(found)

    def _find(self, path: str, key: str, deadline: float) -> Optional[Mapping[str, Any]]:
        answer = self.get(path, key, deadline)
        if isinstance(answer, RequestOutcome):
            return None
        body = _json(answer)
        data = body.get("data")
        if answer.status in _TAKEN and isinstance(data, dict):
            return data or None
        return {} if answer.status == _NOT_FOUND and "message" in body else None

    def ping(self, name: str, key: str, deadline: float) -> RequestOutcome:
        """Ping a heartbeat. A 202 does not prove that it exists (https://docs.opsgenie.com/docs/heartbeat-api)."""
        return self.send(Request("heartbeat", "POST", f"/v2/heartbeats/{quote(name, safe='')}/ping", {}), key, deadline)

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._connection.close()

    @staticmethod
    def unreachable(error: UnreachableError) -> RequestOutcome:
        """Return the outcome of a request without an answer."""
        reason = Reason.TIMEOUT if error.timed_out else Reason.NETWORK
        return RequestOutcome(Verdict.LATER, reason, str(error), ambiguous=True)

    def _exchange(
        self, method: str, path: str, body: Optional[bytes], key: str, deadline: float
    ) -> Union[Response, RequestOutcome]:
        headers: Dict[str, str] = {"Authorization": f"GenieKey {key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            return self._connection.exchange(method, path, body, headers, deadline)
        except UnreachableError as error:
            return self.unreachable(error)


def _json(response: Response) -> Mapping[str, Any]:
    body = response.json
    return body if isinstance(body, dict) else {}


def _wait_seconds(headers: Mapping[str, str]) -> Optional[float]:
    """Return how long to wait. `Retry-After` is not documented, the period of the rate limit is."""
    asked = retry_after_seconds(headers.get("retry-after"))
    if asked is not None:
        return asked
    period = headers.get("x-ratelimit-period-in-sec", "")
    return float(period) if period.isascii() and period.isdigit() and len(period) < 6 else None  # noqa: PLR2004


def _detail(status: int, body: Mapping[str, Any], key: str) -> str:
    errors = body.get("errors")
    parts = [_line(body.get("message"))]
    if isinstance(errors, dict):
        parts += [f"{_line(name)}: {_line(reason)}" for name, reason in errors.items()]
    detail = f"HTTP {status}" + "".join(f", {part}" for part in parts if part)
    return mask(detail, [key])


def _line(value: Any) -> str:
    return " ".join(str(value).split())[:200] if value is not None else ""
