"""Requests with doctor's proxies and time limit, and Alerta's list of alerts."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Callable, Mapping

from alerta_opsgenie.clients.connection import AddressError, Connection, Response, UnreachableError, read_address
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.task import Call
from alerta_opsgenie.doctor.installation import Installation

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404
NO_ANSWER = (UnreachableError, AddressError)

_LIST = "/alerts?status!=closed&status!=expired&sort-by=createTime&show-history=true&page-size=100"


class IncompleteError(Exception):
    """A list of alerts is not complete; the text is the reason."""


def ask(inst: Installation, url: str, path: str, headers: Mapping[str, str], body: bytes | None = None,
        *, method: str = "GET", ca_file: str = "") -> Response:  # fmt: skip
    """Make one request to the API at the base `url`. Raises the errors of `NO_ANSWER`."""
    address = read_address(url, "the API", "https://api.example.com")
    with closing(Connection(address, ca_file=ca_file or None, environment=inst.request.environment)) as connection:
        return connection.exchange(method, path, body, headers, time.monotonic() + inst.request.limit_seconds)


def vendor_api(inst: Installation) -> closing[VendorApi]:
    """Open a connection to the vendor's API with the connector's key. Raises `AddressError`."""
    return closing(VendorApi(inst.config, inst.request.environment))


def ask_vendor(inst: Installation, path: str) -> Response:
    """Make one GET with the connector's key. Raises the errors of `NO_ANSWER`."""
    with vendor_api(inst) as api:
        return api.request("GET", path, seconds=inst.request.limit_seconds)


def read_alerts(send: Callable[[Call], Answer], advance: Callable[[int], None]) -> list[dict[str, Any]]:
    """Return Alerta's alerts that are not closed or expired; `advance` gets their number. Raises `IncompleteError`."""
    found: dict[str, dict[str, Any]] = {}
    totals, page, is_last = set(), 0, False
    while not is_last:
        page += 1
        answer = send(Call("GET", f"{_LIST}&page={page}", None, ""))
        if not answer.ok:
            raise IncompleteError(f"Alerta answered HTTP {answer.status} {answer.message}".rstrip())
        found.update({str(one.get("id")): one for one in answer.body.get("alerts") or [] if isinstance(one, dict)})
        totals.add(answer.body.get("total"))
        is_last = not answer.body.get("more")
        advance(len(found))
    if totals != {len(found)}:
        counted = " and then ".join(map(str, totals))
        raise IncompleteError(f"Alerta lists {len(found)} alerts and counts {counted}")
    return list(found.values())


def wait(seconds: float) -> bool:
    """Sleep. Return False, which lets `list_open` continue."""
    time.sleep(seconds)
    return False
