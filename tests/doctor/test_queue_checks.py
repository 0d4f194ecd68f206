"""The queue is tried: with the vendor's credentials, and without a receive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.cloud import Queue
from lab.cloud.queues import Double

from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.doctor import queue_checks
from alerta_opsgenie.doctor.finding import Finding
from alerta_opsgenie.doctor.http import Asked
from tests.support.cloud import Running, RunningEdge, running_edge
from tests.support.patient import Patient


@pytest.fixture
def edge() -> Iterator[RunningEdge]:
    """An integration whose queue answers, and checks the credentials."""
    with running_edge(expect_violations=True) as run:
        yield run


def use(patient: Patient, edge: RunningEdge) -> None:
    patient.change(lambda value: value.update(apiKey=edge.integration.key, baseUrl=edge.server.base_url))


def test_a_queue_that_answers_is_well_and_nothing_is_received(patient: Patient, edge: RunningEdge) -> None:
    use(patient, edge)
    assert isinstance(edge.host, Double)
    edge.host.sqs.queue(edge.queue.url).send("{}", {}, time.time())
    found = patient.worst("queue")
    assert (found.level, "1 messages wait, 0 are taken" in found.what) == ("ok", True)
    assert edge.host.count(edge.queue).visible == 1


def test_a_queue_whose_host_does_not_answer_fails(patient: Patient) -> None:
    """Version 1 said: credentials are given for 1 queue, ok."""
    found = patient.worst("queue")
    assert (found.level, "not reached" in found.what) == ("fail", True)


def test_a_queue_whose_host_has_no_address_fails(patient: Patient, opsgenie: Running) -> None:
    key = opsgenie.cloud.add_oec("dns", queues=(Queue("http://no-such-host.invalid/1/q"),)).key
    patient.change(lambda value: value.update(apiKey=key))
    found = patient.worst("queue")
    assert (found.level, "no-such-host.invalid" in found.what) == ("fail", True)


def test_an_integration_without_a_queue_fails(patient: Patient, opsgenie: Running) -> None:
    patient.change(lambda value: value.update(apiKey=opsgenie.cloud.add_oec("without a queue").key))
    found = patient.worst("vendor")
    assert (found.level, "OEC integration" in found.advice) == ("fail", True)


def judge(patient: Patient, monkeypatch: pytest.MonkeyPatch, status: int, body: object) -> Finding:
    response = Response(status, {}, json.dumps(body).encode())
    monkeypatch.setattr(queue_checks, "_ask_attributes", lambda *_: Asked("queue", response))
    return patient.worst("queue")


def test_attributes_that_are_denied_are_not_tried_and_not_ok(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    found = judge(patient, monkeypatch, 403, {"__type": "com.amazonaws.sqs#AccessDenied"})
    assert (found.level, found.what.startswith("not tried")) == ("skip", True)


@pytest.mark.parametrize("code", ["QueueDoesNotExist", "InvalidClientTokenId", "SignatureDoesNotMatch"])
def test_any_other_refusal_fails_by_its_code(patient: Patient, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    found = judge(patient, monkeypatch, 400, {"__type": f"com.amazonaws.sqs#{code}"})
    assert (found.level, code in found.what) == ("fail", True)


@pytest.mark.parametrize("body", [None, [], {"Attributes": 7}, {"Attributes": {"ApproximateNumberOfMessages": []}}])
def test_whatever_the_queue_answers_is_a_finding(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, body: object
) -> None:
    assert judge(patient, monkeypatch, 200, body).level == "ok"
    assert judge(patient, monkeypatch, 500, body).level == "fail"


@pytest.mark.parametrize(
    ("status", "level", "advice"),
    [(402, "fail", "the plan of the account"), (410, "fail", "switched off"), (501, "fail", "no such function"),
     (405, "fail", "another API"), (400, "fail", "does not understand"), (415, "fail", "another API"),
     (429, "warn", "try again later"), (200, "fail", "sends actions to OEC")],
)  # fmt: skip
def test_what_the_vendor_refuses_is_said_with_what_it_means(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, status: int, level: str, advice: str
) -> None:
    """Version 1 said "try again later", with no failure, to all of them; 200 comes with a token that is none."""
    monkeypatch.setattr(VendorApi, "request", lambda *_, **__: Response(status, {"token": "[" * 5000}, b""))
    found = patient.worst("vendor")
    assert (found.level, advice in found.advice) == (level, True)


def test_a_channel_of_jec_2_is_named(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 of the API has ended and the channel answers: that is well for our own connector, and it is said."""

    def request(_api: VendorApi, _method: str, path: str, *_: object, **__: object) -> Response:
        return Response(200, {}, b'{"channelId": "c-1", "ownerId": "me"}') if "/v2/" in path else Response(410, {}, b"")

    monkeypatch.setattr(VendorApi, "request", request)
    patient.ask(dialect="jec", edge="native")
    found = patient.worst("queue")
    assert (found.level, "channel of JEC's version 2 (c-1)" in found.what) == ("ok", True)
    patient.ask(edge="jec")
    assert patient.worst("vendor").level == "fail"


def test_the_url_of_a_queue_that_cannot_be_read_fails(patient: Patient, opsgenie: Running, tmp_path: Path) -> None:
    key = opsgenie.cloud.add_oec("bad", queues=(Queue("http://[::1"),)).key
    patient.change(lambda value: value.update(apiKey=key))
    assert patient.worst("vendor").level == "fail"
