"""Read all open alerts of one source from Opsgenie or JSM, or report why the list is incomplete.

https://docs.opsgenie.com/docs/alert-api, List Alerts: pages of at most 100, up to the 20,000th alert. JSM's full API:
https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v2/api-group-alerts/
"""

import base64
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Union
from urllib.parse import quote, urlencode

from alerta_opsgenie.clients.connection import Connection, Response, UnreachableError, clock_ahead_seconds, read_address
from alerta_opsgenie.clients.opsgenie import OpsgenieClient, RequestOutcome, classify

PAGE = 100
MOST_ALERTS = 20_000
MOST_WAITS = 10
LONGEST_WAIT_SECONDS = 60.0
_OK, _THROTTLED = 200, 429

Fetch = Callable[[str], Union[Response, RequestOutcome]]
Wait = Callable[[float], bool]  # Waits that many seconds; True: stop now


class Paths(NamedTuple):
    """Where an API has the list: path, parameter of the page size, field of the alerts, path of the count."""

    pages: str
    size: str
    field: str
    counter: str = ""


OPSGENIE_PATHS = Paths("/v2/alerts", "limit", "data", "/v2/alerts/count")
OPS_PATHS = Paths("/v1/alerts", "size", "values")


class AlertList(NamedTuple):
    """The vendor's alerts. `problem`: why some may be missing. `changed`: they changed while they were read."""

    alerts: List[Mapping[str, Any]]
    problem: str = ""
    clock_ahead_seconds: float = 0.0
    changed: bool = False


class OpsApi:
    """Reads from JSM's full REST API. `url` ends in the cloud id, `login` is `E-MAIL:TOKEN`."""

    def __init__(
        self, url: str, login: str, timeout_seconds: float, *, ca_file: Optional[str] = None,
        environment: Optional[Mapping[str, str]] = None,
    ) -> None:  # fmt: skip
        self._connection = Connection(read_address(url, "JSM", OPS_URL), ca_file=ca_file, environment=environment)
        self._authorization = "Basic " + base64.b64encode(login.encode("utf-8")).decode("ascii")
        self._timeout_seconds = timeout_seconds

    def get(self, path: str) -> Union[Response, RequestOutcome]:
        """Make one GET."""
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        deadline = time.monotonic() + self._timeout_seconds
        try:
            return self._connection.exchange("GET", path, None, headers, deadline)
        except UnreachableError as error:
            return OpsgenieClient.unreachable(error)

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._connection.close()


OPS_URL = "https://api.atlassian.com/jsm/ops/api/CLOUD-ID"


def list_open(fetch: Fetch, source: str, wait: Wait, paths: Paths = OPSGENIE_PATHS) -> AlertList:
    """List the open alerts of a source. Calls `wait` on a rate limit. Reads the list again if it changed meanwhile."""
    found = _Listing(fetch, source, wait, paths).run()
    return _Listing(fetch, source, wait, paths).run() if found.changed else found


class _Listing:
    def __init__(self, fetch: Fetch, source: str, wait: Wait, paths: Paths) -> None:
        self._fetch, self._wait, self._paths = fetch, wait, paths
        quoted = source.replace("\\", "\\\\").replace('"', '\\"')
        # Alerts created from now on would shift the pages; they are younger than any grace period.
        self._query = f'source: "{quoted}" AND status: open AND createdAt < {int(time.time() * 1000)}'
        self._found: Dict[str, Mapping[str, Any]] = {}
        self._ahead = 0.0

    def run(self) -> AlertList:
        try:
            self._read_all()
            problem, changed = "", False
        except _IncompleteError as error:
            problem, changed = str(error), isinstance(error, _ChangedError)
        return AlertList(list(self._found.values()), problem, self._ahead, changed)

    def _read_all(self) -> None:
        totals = {self._count()} if self._paths.counter else set()
        is_last = False
        while not is_last and len(self._found) + PAGE <= MOST_ALERTS:
            query = {"query": self._query, self._paths.size: PAGE, "offset": len(self._found),
                     "sort": "createdAt", "order": "asc"}  # fmt: skip
            body = self._get(f"{self._paths.pages}?{urlencode(query, quote_via=quote)}")
            if not self._paths.counter:
                totals.add(_number(body, "count"))
            page = body.get(self._paths.field)
            if not isinstance(page, list) or len(page) > PAGE:
                raise _IncompleteError("a page is no list of alerts")
            self._add(page)
            is_last = len(page) < PAGE
        if self._paths.counter:
            totals.add(self._count())
        if totals != {len(self._found)}:
            counted = " and then ".join(map(str, sorted(totals)))
            raise _ChangedError(f"the list has {len(self._found)} alerts, and the vendor counts {counted}")

    def _count(self) -> int:
        data = self._get(f"{self._paths.counter}?{urlencode({'query': self._query}, quote_via=quote)}").get("data")
        return _number(data, "count")

    def _add(self, page: List[Any]) -> None:
        for alert in page:
            name = alert.get("id") if isinstance(alert, dict) else None
            if not isinstance(name, str):
                raise _IncompleteError("an alert in the list has no id")
            if name in self._found:
                raise _ChangedError("an alert is listed twice: the list changed while it was read")
            self._found[name] = alert

    def _get(self, path: str) -> Mapping[str, Any]:
        for tried in range(MOST_WAITS):
            answer = self._fetch(path)
            if isinstance(answer, RequestOutcome):
                raise _IncompleteError(f"a page did not come: {answer.detail}")
            if answer.status != _THROTTLED:
                return self._read(answer)
            asked = classify("list", answer).retry_after_seconds
            if self._wait(min(LONGEST_WAIT_SECONDS, 2.0**tried if asked is None else asked)):
                break
        raise _IncompleteError("the vendor throttles this key (HTTP 429)")

    def _read(self, answer: Response) -> Mapping[str, Any]:
        if answer.status != _OK:
            raise _IncompleteError(f"a page did not come: HTTP {answer.status}")
        self._ahead = clock_ahead_seconds(answer.headers.get("date"))
        body = answer.json
        if not isinstance(body, dict):
            raise _IncompleteError("a page is not JSON")
        return body


class _IncompleteError(Exception):
    """The list is incomplete, and why."""


class _ChangedError(_IncompleteError):
    """The list changed while it was read."""


def _number(where: Any, name: str) -> int:
    value = where.get(name) if isinstance(where, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _IncompleteError("the vendor does not say how many alerts there are")
    if value > MOST_ALERTS:
        raise _IncompleteError(f"{value} alerts are open; the vendor lists {MOST_ALERTS}")
    return value
