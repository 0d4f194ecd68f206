"""One HTTP request, with the proxies and the time limit that doctor was given."""

from __future__ import annotations

import time
from typing import Mapping, NamedTuple

from alerta_opsgenie.clients.connection import AddressError, Connection, Response, UnreachableError, read_address
from alerta_opsgenie.doctor.installation import Installation

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404


class Asked(NamedTuple):
    """The answer to one request; `error` says why there is none."""

    where: str
    response: Response | None = None
    error: str = ""

    @property
    def status(self) -> int:
        """The HTTP status; 0 where there is no answer."""
        return self.response.status if self.response else 0


def ask(inst: Installation, url: str, path: str, headers: Mapping[str, str], body: bytes | None = None,
        *, method: str = "GET", ca_file: str = "") -> Asked:  # fmt: skip
    """Make one request to an API; `url` is its base."""
    try:
        address = read_address(url, "the API", "https://api.example.com")
    except AddressError as error:
        return Asked(url, error=str(error))
    connection = Connection(address, ca_file=ca_file or None, environment=inst.request.environment)
    try:
        deadline = time.monotonic() + inst.request.limit_seconds
        return Asked(str(address), connection.exchange(method, path, body, headers, deadline))
    except UnreachableError as error:
        return Asked(str(address), error=str(error))
    finally:
        connection.close()
