"""The queues that the vendor gives a connector, and the temporary credentials for them.

The answer is the JSON in its header `Token` (queue/processor.go of opsgenie/oec and atlassian/jec).
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Mapping

from alerta_opsgenie.clients.connection import AddressError, Response, clock_ahead_seconds, read_address
from alerta_opsgenie.vendor.config import JEC, OEC

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

PATHS: Mapping[str, str] = {OEC: "/v1/oec/credentials", JEC: "/jsm/ops/jec/v1/credentials"}
"""The vendor's endpoint for credentials."""

DEFAULT_REFRESH_SECONDS = 60.0  # As the Go connectors, where the response has no period (queue/processor.go)

_MILLISECONDS = 1000.0
_LARGEST_HEADER = 64 * 1024
_OTHER_API = "this is another API, or it has no such function: check baseUrl and --dialect"

ADVICE: Mapping[int, str] = {
    **dict.fromkeys((400, 404, 405, 415, 501), _OTHER_API),
    401: "check apiKey in the configuration, and that the integration is switched on",
    402: "the plan of the account does not include this integration, or the account is suspended",
    403: "check that apiKey belongs to an OEC or JEC integration",
    410: "switched off for this account: after a move to Jira Service Management its key and baseUrl are needed",
    422: "check apiKey in the configuration: it has not the form of a key",
}
"""The advice for each status that a retry does not change."""

_GONE = frozenset({404, 410, 501})


def _text(longest: int, pattern: str = r"^[!-~]+\Z") -> dict[str, Any]:
    return {"type": "string", "maxLength": longest, "pattern": pattern}


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


_PERIOD = {"enum": [None, 0, ""]}, {"type": "number", "minimum": 1, "maximum": 86_400}
_SCHEMA = _object(
    "ownerId", "queueProperties",
    ownerId=_text(200),
    queueProperties={"type": "array", "maxItems": 50, "items": _object(
        "queueConfiguration", "assumeRoleResult",
        queueConfiguration=_object(
            "queueUrl", "region",
            queueUrl=_text(2000),
            region=_text(40, r"^[a-z0-9-]+\Z"),
            credentialSuccessRefreshPeriod={"anyOf": _PERIOD},
            credentialErrorRefreshPeriod={"anyOf": _PERIOD},
        ),
        assumeRoleResult=_object("credentials", credentials=_object(
            "accessKeyId", "secretAccessKey", "sessionToken", "expireTimeMillis",
            **dict.fromkeys(("accessKeyId", "secretAccessKey", "sessionToken"), _text(16 * 1024)),
            expireTimeMillis={"type": "number", "minimum": 0, "maximum": 4.2e12},  # the year 2103
        )),
    )},
)  # fmt: skip


@functools.cache
def _validator() -> Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 80 ms

    return Draft202012Validator(_SCHEMA)


class CredentialsError(Exception):
    """The vendor named no queue; `advice` is what to do. `permanent`: a person has to change something.

    `gone`: another version of the API may name one. `status`: of the response, 0 without one.
    """

    def __init__(
        self, text: str, advice: str = "", *, permanent: bool = False, gone: bool = False, status: int = 0
    ) -> None:
        super().__init__(text)
        self.advice = advice
        self.permanent = permanent
        self.gone = gone
        self.status = status


@dataclass(frozen=True)
class AwsCredentials:
    """Temporary AWS credentials; `expires_at` is in seconds since the epoch by the vendor's clock."""

    access_key_id: str
    expires_at: float
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True)
class QueueLocation:
    """One queue as the vendor names it."""

    url: str
    region: str
    credentials: AwsCredentials


@dataclass(frozen=True)
class Token:
    """One response, with queues or a `channel`. The vendor's clock is `ahead_seconds` ahead of ours."""

    owner_id: str
    queues: tuple[QueueLocation, ...] = ()
    refresh_seconds: float = DEFAULT_REFRESH_SECONDS
    error_refresh_seconds: float = DEFAULT_REFRESH_SECONDS
    ahead_seconds: float = 0.0
    channel: str = ""


def read_answer(url: str, response: Response) -> Token:
    """Read the response of the endpoint at `url`. Raises `CredentialsError`."""
    raise_for_status(url, response)
    text = response.headers.get("token", "")
    if not text or len(text) > _LARGEST_HEADER:
        raise CredentialsError(f"{url} answered without the header Token", _OTHER_API, status=response.status)
    try:
        return read_token(text, clock_ahead_seconds(response.headers.get("date")))
    except CredentialsError as error:
        raise CredentialsError(f"{url}: {error}", gone=error.gone, status=response.status) from None


def raise_for_status(url: str, response: Response) -> None:
    """Raise `CredentialsError` for any status but 200."""
    status = response.status
    if status != 200:  # noqa: PLR2004
        advice, text = ADVICE.get(status, ""), f"{url} answered HTTP {status}"
        raise CredentialsError(text, advice, permanent=bool(advice), gone=status in _GONE, status=status)


def read_token(text: str, ahead_seconds: float = 0.0) -> Token:
    """Read the `Token` header. Raises `CredentialsError`, which names the field."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise CredentialsError("the header Token is not JSON") from None
    for wrong in _validator().iter_errors(value):
        raise CredentialsError(f"the header Token cannot be used: {wrong.json_path} is not as expected")
    entries = value["queueProperties"]
    if not entries:
        raise CredentialsError("the header Token names no queue", gone=True)
    conf = entries[0]["queueConfiguration"]
    return Token(
        value["ownerId"],
        tuple(map(_place, entries)),
        conf.get("credentialSuccessRefreshPeriod") or DEFAULT_REFRESH_SECONDS,
        conf.get("credentialErrorRefreshPeriod") or DEFAULT_REFRESH_SECONDS,
        ahead_seconds,
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _place(entry: Any) -> QueueLocation:
    conf, role = entry["queueConfiguration"], entry["assumeRoleResult"]["credentials"]
    try:
        read_address(conf["queueUrl"], "the queue", "https://sqs.eu-west-1.amazonaws.com/123/name")
    except AddressError as error:
        raise CredentialsError(f"the header Token cannot be used: $.queueProperties: {error}") from None
    expires_at = role["expireTimeMillis"] / _MILLISECONDS
    credentials = AwsCredentials(role["accessKeyId"], expires_at, role["secretAccessKey"], role["sessionToken"])
    return QueueLocation(conf["queueUrl"], conf["region"], credentials)
