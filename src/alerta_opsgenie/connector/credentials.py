"""The queues that the vendor gives a connector, and the temporary credentials for them.

The endpoint answers with a `Token` header whose content is JSON; its body says nothing (queue/processor.go of
opsgenie/oec and atlassian/jec). What is held is named in the query (`?<region>=<expireTimeMillis>`), and the answer
then leaves out what is still good. Nothing in an answer is believed before it is within its bounds.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Mapping
from urllib.parse import urlencode

from alerta_opsgenie.clients.connection import AddressError, Response, clock_ahead_seconds, read_address
from alerta_opsgenie.vendor.config import JEC, OEC

PATHS: Mapping[str, str] = {OEC: "/v1/oec/credentials", JEC: "/jsm/ops/jec/v1/credentials"}
"""Where each vendor's credentials are."""

DEFAULT_REFRESH_SECONDS = 60.0
"""How often the Go connectors ask where the answer does not say (queue/processor.go)."""

_MILLISECONDS = 1000.0
_LARGEST_HEADER = 64 * 1024
_MOST_QUEUES = 50
_LONGEST_URL, _LONGEST_NAME, _LONGEST_TOKEN = 2000, 200, 16 * 1024
_LATEST_MS = 4.2e12  # the year 2103
_REFRESH_SECONDS = (1.0, 86_400.0)
_REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)

MEANINGS: Mapping[int, str] = {
    400: "the vendor does not understand the question: check baseUrl and --dialect",
    401: "check apiKey in the configuration, and that the integration is switched on",
    402: "the plan of the account does not include this integration, or the account is suspended",
    403: "check that apiKey belongs to an OEC or JEC integration",
    404: "check baseUrl and --dialect",
    405: "what answers is another API: check baseUrl and --dialect",
    410: "switched off for this account: after a move to Jira Service Management its key and baseUrl are needed",
    415: "what answers is another API: check baseUrl and --dialect",
    422: "check apiKey in the configuration: it has not the form of a key",
    501: "the vendor has no such function any more: check baseUrl and --dialect",
}
"""What each refusal means that asking again does not change."""

GONE = frozenset({404, 410, 501})
"""Refusals that may mean that version 1 of JEC's API has ended."""


class CredentialsError(Exception):
    """No queue came; the text says why, without secrets. `advice` is what to do about it, if anything.

    `permanent`: asking again does not help, a person has to change something. `gone`: another version of the API may
    have what is asked for. `status` is that of the answer; 0: none came.
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
class Grant:
    """Temporary AWS credentials; `expires_at` is in seconds since the epoch by the vendor's clock."""

    access_key_id: str
    expires_at: float
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True)
class QueuePlace:
    """One queue as the vendor names it; `grant` of None says that the held one is still good."""

    url: str
    region: str
    grant: Grant | None


@dataclass(frozen=True)
class Token:
    """One answer. `owner_id` marks the messages that are ours; the vendor's clock is `ahead_seconds` ahead of ours.

    With a `channel` of JEC's version 2 there are no queues.
    """

    owner_id: str
    queues: tuple[QueuePlace, ...] = ()
    refresh_seconds: float = DEFAULT_REFRESH_SECONDS
    error_refresh_seconds: float = DEFAULT_REFRESH_SECONDS
    ahead_seconds: float = 0.0
    channel: str = ""


def credentials_path(dialect: str, held: Mapping[str, float]) -> str:
    """Give the path to ask; `held` has the expiry (seconds since the epoch) of what is held by region."""
    query = urlencode({region: int(at * _MILLISECONDS) for region, at in held.items() if at})
    return PATHS[dialect] + (f"?{query}" if query else "")


def read_answer(url: str, response: Response) -> Token:
    """Read the answer of the endpoint at `url`. Raises `CredentialsError`."""
    refuse(url, response)
    text = response.headers.get("token", "")
    if not text or len(text) > _LARGEST_HEADER:
        raise CredentialsError(f"{url} answered without the header Token", MEANINGS[404], status=response.status)
    try:
        return read_token(text, clock_ahead_seconds(response.headers.get("date")))
    except CredentialsError as error:
        raise CredentialsError(f"{url}: {error}", gone=error.gone, status=response.status) from None


def refuse(url: str, response: Response) -> None:
    """Raise `CredentialsError` for any status but 200."""
    status = response.status
    if status != 200:  # noqa: PLR2004
        advice, text = MEANINGS.get(status, ""), f"{url} answered HTTP {status}"
        raise CredentialsError(text, advice, permanent=bool(advice), gone=status in GONE, status=status)


def read_token(text: str, ahead_seconds: float = 0.0) -> Token:
    """Read the `Token` header. Raises `CredentialsError`, which names the field."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise CredentialsError("the header Token is not JSON") from None
    owner = _text(value, "ownerId", "$", _LONGEST_NAME)
    entries = _of(value, "queueProperties", "$")
    if not isinstance(entries, list) or len(entries) > _MOST_QUEUES:
        raise _bad("$.queueProperties", f"is no list of up to {_MOST_QUEUES} queues")
    if not entries:
        raise CredentialsError("the header Token names no queue", gone=True)
    places = tuple(_place(entry, f"$.queueProperties[{index}]") for index, entry in enumerate(entries))
    conf, path = entries[0]["queueConfiguration"], "$.queueProperties[0].queueConfiguration"
    refresh = _seconds(conf, "credentialSuccessRefreshPeriod", path)
    return Token(owner, places, refresh, _seconds(conf, "credentialErrorRefreshPeriod", path), ahead_seconds)


def _place(entry: Any, path: str) -> QueuePlace:
    conf = _of(entry, "queueConfiguration", path)
    conf_path = f"{path}.queueConfiguration"
    url = _text(conf, "queueUrl", conf_path, _LONGEST_URL)
    try:
        read_address(url, "the queue", "https://sqs.eu-west-1.amazonaws.com/123/name")
    except AddressError:
        raise _bad(f"{conf_path}.queueUrl", "is no URL of a queue") from None
    region = _text(conf, "region", conf_path, _LONGEST_NAME)
    if not _REGION.fullmatch(region):
        raise _bad(f"{conf_path}.region", "is no name of a region")
    role = entry.get("assumeRoleResult") or {}
    credentials = role.get("credentials") if isinstance(role, dict) else role
    return QueuePlace(url, region, _grant(credentials, f"{path}.assumeRoleResult.credentials") if credentials else None)


def _grant(role: Any, path: str) -> Grant:
    expires_ms = read_number(_of(role, "expireTimeMillis", path))
    if expires_ms is None or not 0 <= expires_ms <= _LATEST_MS:
        raise _bad(f"{path}.expireTimeMillis", "is no instant in milliseconds")
    names = ("accessKeyId", "secretAccessKey", "sessionToken")
    access_key_id, secret, token = (_text(role, name, path, _LONGEST_TOKEN) for name in names)
    return Grant(access_key_id, expires_ms / _MILLISECONDS, secret, token)


def _of(owner: Any, name: str, path: str) -> Any:
    if not isinstance(owner, dict):
        raise _bad(path, "is no object")
    return owner.get(name)


def _text(owner: Any, name: str, path: str, longest: int) -> str:
    """Give a text that can stand in a header or a URL."""
    value = _of(owner, name, path)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise _bad(f"{path}.{name}", f"is no text of 1 to {longest} characters")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise _bad(f"{path}.{name}", "has characters that it cannot have")
    return value


def _seconds(owner: Any, name: str, path: str) -> float:
    """Give a period; the default where it is absent or 0."""
    value = _of(owner, name, path)
    if value in (None, 0, ""):
        return DEFAULT_REFRESH_SECONDS
    seconds, (least, most) = read_number(value), _REFRESH_SECONDS
    if seconds is None or not least <= seconds <= most:
        raise _bad(f"{path}.{name}", f"is no number of seconds from {least:g} to {most:g}")
    return seconds


def read_number(value: Any) -> float | None:
    """Give a finite number, which may stand as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _bad(path: str, what: str) -> CredentialsError:
    return CredentialsError(f"the header Token cannot be used: {path} {what}")
