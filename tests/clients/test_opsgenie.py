"""Calls to Opsgenie and JSM: the meaning of each response, hidden keys, and the calls to the stand-in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from alerta_opsgenie.clients.connection import AddressError, Response
from alerta_opsgenie.clients.opsgenie import (
    ADVICE,
    BASE_URLS,
    OpsgenieClient,
    Reason,
    Status,
    Verdict,
    address_of,
    classify,
    dialect_of,
)
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.publish import AlertEvent, Dialect, Policy, Request, publish
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry
from tests.support.cloud import Running, running_cloud

ID = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
ALERT = AlertValues(
    ID, resource="web01", event="E", severity="major", history=(HistoryEntry("new", "open", "major", ID),)
)
STUCK_OR_FINAL = {Verdict.STUCK, Verdict.FINAL}


@pytest.fixture(scope="module")
def run() -> Iterator[Running]:
    with running_cloud() as run:
        yield run


@pytest.fixture
def client(run: Running) -> Iterator[OpsgenieClient]:
    client = OpsgenieClient(run.server.base_url, Dialect.OPSGENIE, environment={})
    yield client
    client.close()


def soon() -> float:
    return time.monotonic() + 5


def request(event: Event = Event.RAISED, alert_id: str = ID, text: str = "") -> Request:
    alert = ALERT._replace(id=alert_id)
    return publish(alert, [AlertEvent(event, "alice@example.com", text)], Policy()).requests[0]


def answer(status: int, body: object = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


TAKEN = {"result": "Request will be processed", "requestId": "r1"}
LATER = {408, 425, 429} | (set(range(500, 600)) - {501})
STUCK = {401, 403, 410} | (set(range(100, 400)) - {200, 201, 202})


@pytest.mark.parametrize("operation", ["create", "acknowledge", "note"])
def test_every_status_has_its_meaning(operation: str) -> None:
    for status in range(100, 600):
        verdict = classify(operation, answer(status, TAKEN)).verdict
        if status in (200, 201, 202):
            expected = Verdict.DONE
        elif status in LATER:
            expected = Verdict.LATER
        elif status in STUCK or (status in (404, 405) and operation == "create"):
            expected = Verdict.STUCK
        else:
            expected = Verdict.FINAL
        assert verdict is expected, status


def test_an_outcome_that_needs_a_person_has_advice() -> None:
    for status in range(100, 600):
        delivery = classify("create", answer(status))
        if delivery.verdict is Verdict.STUCK:
            assert delivery.reason in ADVICE


def test_a_proxy_s_page_is_no_success() -> None:
    delivery = classify("close", answer(200, b"<html>hello</html>"))
    assert (delivery.verdict, delivery.reason) == (Verdict.STUCK, Reason.NOT_OPSGENIE)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (403, {"message": "no rights", "code": 40301}, Verdict.STUCK),
        (403, {"message": "not supported", "code": 40302}, Verdict.FINAL),
        (422, {"message": "Key format is not valid!"}, Verdict.STUCK),
        (422, {"message": "not processable", "errors": {"message": "can not be empty."}}, Verdict.FINAL),
    ],
)
def test_two_meanings_of_one_status_are_distinguished(status: int, body: object, verdict: Verdict) -> None:
    assert classify("close", answer(status, body)).verdict is verdict


def test_the_throttle_s_headers_are_read_on_any_answer() -> None:
    headers = {"x_ratelimit_state": "THROTTLED", "x_ratelimit_period_in_sec": "60"}
    slow, refused = classify("note", answer(202, TAKEN, **headers)), classify("note", answer(429, {}, **headers))
    assert (slow.verdict, slow.throttled, slow.retry_after_seconds) == (Verdict.DONE, True, 60.0)
    assert (refused.verdict, refused.throttled, refused.retry_after_seconds) == (Verdict.LATER, True, 60.0)
    assert classify("note", answer(429, {}, retry_after="7", **headers)).retry_after_seconds == 7.0


def test_the_vendor_s_words_and_errors_are_given_and_the_key_is_not() -> None:
    body = {"message": "bad key K-123\nsecond", "errors": {"message": "too long"}}
    detail = classify("create", answer(422, body), key="K-123").detail
    assert detail == "HTTP 422, bad key *** second, message: too long"


@pytest.mark.parametrize(
    ("url", "dialect", "expected"),
    [
        ("https://api.opsgenie.com", Dialect.OPSGENIE, "https://api.opsgenie.com:443"),
        ("https://api.eu.opsgenie.com/v2/alerts/", Dialect.OPSGENIE, "https://api.eu.opsgenie.com:443"),
        ("https://api.atlassian.com", Dialect.JSM, "https://api.atlassian.com:443/jsm/ops/integration"),
        ("https://api.atlassian.com/jsm/ops/integration/v2", Dialect.JSM,
         "https://api.atlassian.com:443/jsm/ops/integration"),
    ],
)  # fmt: skip
def test_a_base_url_may_end_as_the_documentation_shows_it(url: str, dialect: Dialect, expected: str) -> None:
    assert (str(address_of(url, dialect)), dialect_of(url)) == (expected, dialect)


# -- Against the stand-in


def test_a_create_and_what_follows_are_taken_and_looked_up(run: Running, client: OpsgenieClient) -> None:
    taken = [client.send(request(event), run.key.key, soon()) for event in (Event.RAISED, Event.ACKED, Event.CLOSED)]
    assert [delivery.verdict for delivery in taken] == [Verdict.DONE] * 3
    assert [client.look_up(one.request_id, run.key.key, soon()).status for one in taken] == [Status.SUCCEEDED] * 3


def test_a_202_for_an_unknown_alias_is_found_out(run: Running, client: OpsgenieClient) -> None:
    delivery = client.send(request(Event.ACKED, "unknown"), run.key.key, soon())
    assert delivery.verdict is Verdict.DONE
    lookup = client.look_up(delivery.request_id, run.key.key, soon())
    assert (lookup.status, lookup.text) == (Status.FAILED, "Alert does not exist")


def test_before_it_is_processed_a_request_is_pending(run: Running, client: OpsgenieClient) -> None:
    run.cloud.set_processing_delay(5)
    try:
        delivery = client.send(request(alert_id="late"), run.key.key, soon())
        assert client.look_up(delivery.request_id, run.key.key, soon()).status is Status.PENDING
    finally:
        run.cloud.set_processing_delay(0)
        run.cloud.advance(6)
    assert client.look_up("no-such-request", run.key.key, soon()).status is Status.UNKNOWN


def test_notes_can_be_read_back(run: Running, client: OpsgenieClient) -> None:
    client.send(request(alert_id="noted"), run.key.key, soon())
    client.send(request(Event.NOTED, "noted", text="hello"), run.key.key, soon())
    assert [note["note"] for note in client.read("noted", "/notes", run.key.key, soon())] == ["hello"]
    assert client.read("absent", "", run.key.key, soon()) is None


def test_silence_ends_at_the_deadline_and_is_ambiguous(run: Running, client: OpsgenieClient) -> None:
    with run.cloud.faults.hang():
        start = time.monotonic()
        delivery = client.send(request(alert_id="hangs"), run.key.key, start + 0.3)
        assert time.monotonic() - start < 8
    assert (delivery.verdict, delivery.reason, delivery.ambiguous) == (Verdict.LATER, Reason.TIMEOUT, True)
    with run.cloud.faults.refuse():
        assert client.send(request(alert_id="hangs"), run.key.key, soon()).reason is Reason.NETWORK


def test_an_invalid_url_is_reported() -> None:
    with pytest.raises(AddressError, match="the URL of Opsgenie"):
        address_of("api.opsgenie.com", Dialect.OPSGENIE)
    assert set(BASE_URLS) == set(Dialect)


def test_jsm_accepts_the_same_create_at_its_own_path(run: Running) -> None:
    client = OpsgenieClient(run.server.base_url, Dialect.JSM, environment={})
    assert client.send(request(alert_id="jsm"), run.jsm_key.key, soon()).verdict is Verdict.DONE
    assert client.read("jsm", "", run.jsm_key.key, soon())["alias"] == "jsm"
    client.close()
