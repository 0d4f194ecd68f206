"""Requests with a time limit of one second, which end by then and never show a secret."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from alerta_opsgenie.clients.connection import Connection, Response, UnreachableError, read_address

LIMIT_SECONDS = 1.0
GRACE_SECONDS = 30.0  # the servers here hang or drip for much longer

SECRET = "s3cret-key"
HEADERS = {"Authorization": f"Key {SECRET}"}

TIMED_OUT = "did not answer in time"

NO_PROXIES: Mapping[str, str] = {}


def connect(url: str, *, environment: Mapping[str, str] = NO_PROXIES, **options: Any) -> Connection:
    return Connection(read_address(url, "Alerta", "https://alerta.example.com"), environment=environment, **options)


def get(connection: Connection, path: str = "/x", body: bytes | None = None) -> Response:
    """Make a request, and see that it ends by the deadline."""
    began = time.monotonic()
    try:
        return connection.exchange("GET", path, body, HEADERS, began + LIMIT_SECONDS)
    finally:
        assert time.monotonic() - began < LIMIT_SECONDS + GRACE_SECONDS


def failure(connection: Connection, **options: Any) -> UnreachableError:
    """Make a request that fails, and see that its error is one line without the secret."""
    with pytest.raises(UnreachableError) as caught:
        get(connection, **options)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.timed_out is (TIMED_OUT in str(caught.value))
    return caught.value
