"""One HTTP request, with the proxies and the time limit that doctor was given."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Mapping

from alerta_opsgenie.clients.connection import AddressError, Connection, Response, UnreachableError, read_address
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.doctor.installation import Installation

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404
NO_ANSWER = (UnreachableError, AddressError)


def ask(inst: Installation, url: str, path: str, headers: Mapping[str, str], body: bytes | None = None,
        *, method: str = "GET", ca_file: str = "") -> Response:  # fmt: skip
    """Make one request to an API; `url` is its base. Raises what is in `NO_ANSWER`."""
    address = read_address(url, "the API", "https://api.example.com")
    with closing(Connection(address, ca_file=ca_file or None, environment=inst.request.environment)) as connection:
        return connection.exchange(method, path, body, headers, time.monotonic() + inst.request.limit_seconds)


def vendor_api(inst: Installation) -> closing[VendorApi]:
    """Open a connection to the vendor's API with the connector's key. Raises `AddressError`."""
    return closing(VendorApi(inst.needed_config, inst.request.environment))


def ask_vendor(inst: Installation, path: str) -> Response:
    """Make one GET with the connector's key. Raises what is in `NO_ANSWER`."""
    with vendor_api(inst) as api:
        return api.request("GET", path, seconds=inst.request.limit_seconds)
