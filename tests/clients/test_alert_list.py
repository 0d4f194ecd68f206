"""Lists of open alerts: from the stand-in, and each cause of an incomplete list."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from alerta_opsgenie.clients.alert_list import MOST_ALERTS, OPS_PATHS, OPSGENIE_PATHS, OpsApi, Paths, list_open
from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.clients.opsgenie import OpsgenieClient, Reason, RequestOutcome, Verdict
from alerta_opsgenie.core.publish import Dialect
from alerta_opsgenie.core.snapshot import own_open_alerts
from tests.support.cloud import Running, running_cloud

JSON = dict[str, Any]
PERSON = "alice@example.com"


@pytest.fixture
def run() -> Iterator[Running]:
    with running_cloud() as run:
        yield run


def names(many: int) -> list[str]:
    return [f"{number:08}-1111-4111-8111-111111111111" for number in range(many)]


def lists_asked(run: Running) -> int:
    return sum(seen.method == "GET" for seen in run.cloud.records.requests)


def never(_seconds: float) -> bool:
    raise AssertionError("nobody asked to wait")


def test_lists_all_that_is_open_and_of_our_source_page_by_page(run: Running) -> None:
    for alias in names(230):
        run.cloud.person(PERSON).create("m", alias, source="Alerta")
    run.cloud.person(PERSON).close(names(1)[0])
    run.cloud.person(PERSON).create("m", names(240)[-1], source="Zabbix")
    client = OpsgenieClient(run.server.base_url, Dialect.OPSGENIE)
    time.sleep(0.002)  # alerts of the same millisecond are left out

    found = list_open(lambda path: client.get(path, run.api.key, time.monotonic() + 5), "Alerta", never)

    assert (found.problem, len(found.alerts), lists_asked(run)) == ("", 229, 5)
    assert set(own_open_alerts((("default", data) for data in found.alerts), "Alerta")) == set(names(230)[1:])


def test_a_throttled_list_waits_as_long_as_the_vendor_asks(run: Running) -> None:
    run.cloud.faults.throttle("/v2/alerts$", times=2, period_seconds=7)
    client = OpsgenieClient(run.server.base_url, Dialect.OPSGENIE)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    found = list_open(lambda path: client.get(path, run.api.key, time.monotonic() + 5), "Alerta", wait)
    assert (found.problem, waits) == ("", [7.0, 7.0])


def test_a_wait_that_is_cut_short_leaves_an_incomplete_list(run: Running) -> None:
    run.cloud.faults.throttle("/v2/alerts$")
    client = OpsgenieClient(run.server.base_url, Dialect.OPSGENIE)
    found = list_open(lambda path: client.get(path, run.api.key, time.monotonic() + 5), "Alerta", lambda _: True)
    assert "throttles" in found.problem


def test_a_lookup_finds_the_alert_or_none_or_is_unknown(run: Running) -> None:
    client, (alias, unknown) = OpsgenieClient(run.server.base_url, Dialect.OPSGENIE), names(2)
    run.cloud.person(PERSON).create("m", alias, source="Alerta")
    found = client.find(alias, run.api.key, time.monotonic() + 5)
    assert found is not None
    assert found["alias"] == alias
    assert client.find(unknown, run.api.key, time.monotonic() + 5) == {}
    with run.cloud.faults.status(500):
        assert client.find(alias, run.api.key, time.monotonic() + 5) is None


def test_jsms_full_api_is_read_with_a_persons_token(run: Running) -> None:
    for alias in names(130):
        run.cloud.person(PERSON).create("m", alias, source="Alerta")
    run.cloud.person(PERSON).acknowledge(names(1)[0])
    run.cloud.person(PERSON).snooze_for(names(2)[1], 3600)
    run.cloud.add_token("admin@example.com", "a-token")
    api = OpsApi(f"{run.server.base_url}/jsm/ops/api/cloud-1", "admin@example.com:a-token", 5)
    time.sleep(0.002)  # as above

    found = list_open(api.get, "Alerta", never, OPS_PATHS)

    assert (found.problem, lists_asked(run)) == ("", 2)
    seen = own_open_alerts((("default", data) for data in found.alerts), "Alerta")
    assert len(seen) == 130
    assert seen[names(1)[0]].acknowledged
    assert seen[names(2)[1]].snoozed_until is not None


def test_a_wrong_token_leaves_an_incomplete_list(run: Running) -> None:
    api = OpsApi(f"{run.server.base_url}/jsm/ops/api/cloud-1", "admin@example.com:wrong", 5)
    assert "HTTP 401" in list_open(api.get, "Alerta", never, OPS_PATHS).problem


# -- Answers of a broken vendor


class Vendor:
    """Answers from lists: `totals` to the counts in turn (then always the last), and pages of `alerts`."""

    def __init__(self, alerts: Sequence[Any], totals: Sequence[Any], paths: Paths = OPSGENIE_PATHS) -> None:
        self.alerts, self.totals, self.paths, self.asked = alerts, list(totals), paths, 0

    def get(self, path: str) -> Response | RequestOutcome:
        self.asked += 1
        total = self.totals.pop(0) if len(self.totals) > 1 else self.totals[0]
        parts = urlsplit(path)
        if parts.path == self.paths.counter:
            return answer({"data": {"count": total}})
        query = parse_qs(parts.query)
        first, many = int(query["offset"][0]), int(query[self.paths.size][0])
        page = self.alerts[first : first + many]
        return answer({self.paths.field: page, **({} if self.paths.counter else {"count": total})})


def answer(body: object, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def alerts(many: int) -> list[JSON]:
    return [{"id": str(number), "alias": name} for number, name in enumerate(names(many))]


BROKEN = [
    (Vendor([], [3]), "has 0 alerts, and the vendor counts 3"),
    (Vendor(alerts(100), [200]), "has 100 alerts, and the vendor counts 200"),
    (Vendor(alerts(3), [3, 3, 4, 3, 3, 4]), "has 3 alerts, and the vendor counts 3 and then 4"),
    (Vendor(alerts(1), [MOST_ALERTS + 1]), "20001 alerts are open"),
    (Vendor(alerts(100) + alerts(100), [200]), "listed twice"),
    (Vendor([7], [1]), "has no id"),
    (Vendor(alerts(1), ["1"]), "does not say how many"),
    (Vendor(alerts(150), [150, 151, 150, 152], OPS_PATHS), "counts 150 and then 152"),
]


@pytest.mark.parametrize(("vendor", "problem"), BROKEN)
def test_an_incomplete_list_has_its_reason(vendor: Vendor, problem: str) -> None:
    assert problem in list_open(vendor.get, "Alerta", never, vendor.paths).problem


def test_a_list_that_changed_while_it_was_read_is_read_again() -> None:
    vendor = Vendor(alerts(3), [4, 4, 3])
    found = list_open(vendor.get, "Alerta", never)
    assert (found.problem, len(found.alerts), vendor.asked) == ("", 3, 6)


ANSWERS = [
    (Response(200, {}, b"<html>"), "not JSON"),
    (answer([]), "not JSON"),
    (answer({}, 500), "HTTP 500"),
    (answer({}, 404), "HTTP 404"),
    (RequestOutcome(Verdict.LATER, Reason.NETWORK, "no route"), "no route"),
    (answer({"data": {"count": 1}}), "no list of alerts"),
]


@pytest.mark.parametrize(("given", "problem"), ANSWERS)
def test_a_missing_answer_makes_the_list_incomplete(given: Response | RequestOutcome, problem: str) -> None:
    assert problem in list_open(lambda _path: given, "Alerta", never).problem


def test_the_source_cannot_leave_its_quotes() -> None:
    asked: list[str] = []

    def get(path: str) -> Response:
        asked.append(path)
        return answer({"data": {"count": 0}})

    list_open(get, 'A" OR source: "B', never)
    (query,) = parse_qs(urlsplit(asked[0]).query)["query"]
    assert query.startswith('source: "A\\" OR source: \\"B" AND status: open AND createdAt < ')


def test_twenty_thousand_are_all_that_can_be_listed() -> None:
    vendor = Vendor(alerts(MOST_ALERTS), [MOST_ALERTS])
    found = list_open(vendor.get, "Alerta", never)
    assert (found.problem, len(found.alerts), vendor.asked) == ("", MOST_ALERTS, 202)
