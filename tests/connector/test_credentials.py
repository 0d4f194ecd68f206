"""The header `Token`: every field is checked; any bytes are a token or an error."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.connector.credentials import (
    AwsCredentials,
    CredentialsError,
    QueueLocation,
    Token,
    read_answer,
    read_token,
)

URL = "https://api.opsgenie.com/v1/oec/credentials"


def described() -> dict[str, Any]:
    role = {"accessKeyId": "A", "secretAccessKey": "S", "sessionToken": "T", "expireTimeMillis": 1751623200}
    conf = {
        "queueUrl": "http://q/1",
        "region": "eu-west-1",
        "credentialSuccessRefreshPeriod": 30,
        "credentialErrorRefreshPeriod": 15,
    }
    properties = {"assumeRoleResult": {"credentials": role}, "queueConfiguration": conf}
    return {"ownerId": "me", "queueProperties": [properties]}


def changed(path: str, value: Any) -> str:
    """Return the text of a token with one field changed."""
    token = described()
    *steps, last = path.split(".")
    place: Any = token
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return json.dumps(token)


def test_a_token_is_read_with_its_refresh_periods() -> None:
    token = read_token(json.dumps(described()), ahead_seconds=2.0)
    assert token == Token(
        "me", (QueueLocation("http://q/1", "eu-west-1", AwsCredentials("A", 1751623.2, "S", "T")),), 30.0, 15.0, 2.0
    )
    assert "'T'" not in repr(token)


_CONF = "queueProperties.0.queueConfiguration"
_ROLE = "queueProperties.0.assumeRoleResult.credentials"


_BAD: list[tuple[str, Any]] = [
    *((f"{_CONF}.queueUrl", url) for url in ("http://[::1", "ftp://q/1", "http://u:p@q/1", "http://q/\n", "", None)),
    *((f"{_CONF}.region", region) for region in ("", "eu west", "../x", "eu\n", None, "a" * 41)),
    *((f"{_ROLE}.expireTimeMillis", value) for value in (math.inf, math.nan, -1, 10**400, 1e300, "soon", None, True)),
    *((f"{_ROLE}.{name}", value) for name in ("accessKeyId", "secretAccessKey", "sessionToken")
      for value in ("", "a b", "a\r\nb", "\u00fc", None, "x" * 20_000)),
    *((f"{_CONF}.credential{name}RefreshPeriod", value) for name in ("Success", "Error")
      for value in (-5, 0.001, math.inf, math.nan, 10**9, "often", True)),
    *(("ownerId", value) for value in ("", None, "a b", "x" * 201)),
    *(("queueProperties", value) for value in (None, "x", [1], [{"a": 1}], [None] * 51)),
    ("queueProperties.0.assumeRoleResult", {}),
    ("queueProperties.0.assumeRoleResult", {"credentials": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), _BAD)
def test_an_invalid_field_is_named(path: str, value: Any) -> None:
    with pytest.raises(CredentialsError) as raised:
        read_token(changed(path, value))
    assert "the header Token" in str(raised.value)


@pytest.mark.parametrize("value", [0, None, ""])
def test_a_missing_refresh_period_is_a_minute(value: Any) -> None:
    assert read_token(changed(f"{_CONF}.credentialSuccessRefreshPeriod", value)).refresh_seconds == 60


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=8,
)
_FIELDS = ["ownerId", "queueProperties", "queueProperties.0"]
_FIELDS += [f"queueProperties.0.{name}" for name in ("assumeRoleResult", "queueConfiguration")]
_FIELDS += [f"{_ROLE}.{name}" for name in ("accessKeyId", "secretAccessKey", "sessionToken", "expireTimeMillis")]
_FIELDS += [f"{_CONF}.{name}" for name in ("queueUrl", "region", "credentialSuccessRefreshPeriod")]


@given(st.sampled_from(_FIELDS), ANYTHING)
def test_anything_in_any_field_is_a_token_or_a_refusal(path: str, value: Any) -> None:
    if path == "queueProperties.0":
        path, value = "queueProperties", [value]
    try:
        token = read_token(changed(path, value))
    except CredentialsError:
        return
    assert token.refresh_seconds >= 1
    assert all(math.isfinite(place.credentials.expires_at) for place in token.queues)


@pytest.mark.parametrize("status", [204, 302, 400, 401, 402, 403, 404, 405, 410, 415, 422, 429, 500, 501, 503])
def test_only_a_permanent_refusal_has_advice(status: int) -> None:
    with pytest.raises(CredentialsError) as raised:
        read_answer(URL, Response(status, {}, b""))
    is_permanent = status in (400, 401, 402, 403, 404, 405, 410, 415, 422, 501)
    assert (raised.value.permanent, bool(raised.value.advice)) == (is_permanent, is_permanent)
    assert raised.value.gone == (status in (404, 410, 501))


def test_a_response_without_the_header_is_an_error() -> None:
    with pytest.raises(CredentialsError, match="without the header Token"):
        read_answer(URL, Response(200, {}, b"<html>"))


def test_a_response_without_a_queue_may_mean_that_this_version_has_ended() -> None:
    with pytest.raises(CredentialsError) as raised:
        read_answer(URL, Response(200, {"token": changed("queueProperties", [])}, b""))
    assert raised.value.gone
