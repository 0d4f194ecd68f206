"""Problems of Opsgenie or JSM are found; the queue is checked with the vendor's credentials, without a receive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from lab.cloud import Queue
from lab.cloud.queues import Double

from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.doctor import vendor_checks
from alerta_opsgenie.doctor.finding import Finding
from alerta_opsgenie.doctor.vendor_checks import compare_clocks
from tests.support.cloud import Running, RunningEdge, running_edge
from tests.support.installed import Installed

QUEUES = (Queue("http://127.0.0.1:1/q"),)


def put_key(installed: Installed, key: str) -> None:
    installed.change(lambda value: value.update(apiKey=key))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"baseUrl": "http://127.0.0.1:9"}, "baseUrl"),
        ({"apiKey": "00000000-1111-2222-3333-444444444444"}, "apiKey"),
        ({"baseUrl": "{}/elsewhere"}, "baseUrl"),
    ],
)
def test_a_vendor_that_does_not_accept_the_key_fails_until_corrected(
    installed: Installed, opsgenie: Running, change: dict[str, str], words: str
) -> None:
    """A host that does not answer, a refused key, which is not shown, and another API."""
    whole = installed.config.read_text()
    changed = {name: value.format(opsgenie.server.base_url) for name, value in change.items()}
    installed.change(lambda value: value.update(changed))
    installed.ask(limit_seconds=1.0)
    found = installed.worst("vendor")
    assert (found.level, words in found.advice) == ("fail", True)
    assert "00000000-1111" not in found.what + found.advice
    installed.config.write_text(whole)
    assert installed.worst("vendor").level == "ok"


@pytest.mark.parametrize(("ahead", "level"), [(0.9, "ok"), (-30.0, "warn"), (30.0, "warn"), (600.0, "fail")])
def test_a_difference_of_the_clocks_is_reported(ahead: float, level: str) -> None:
    (found,) = compare_clocks("Opsgenie", ahead)
    assert (found.level, found.advice) == (level, "" if level == "ok" else "timedatectl set-ntp true")


def test_another_source_of_alerts_fails_and_adding_it_corrects_that(installed: Installed, opsgenie: Running) -> None:
    opsgenie.api.create(alias="b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d60", source="Alerta-EU")
    opsgenie.api.create(alias="not-of-alerta", source="Zabbix")
    found = installed.worst("sources")
    assert (found.level, '"--source", "Alerta-EU"' in found.advice) == ("fail", True)
    assert "Zabbix" not in found.what
    installed.change(lambda value: value["globalArgs"].extend(["--source", "Alerta-EU"]))
    assert installed.worst("sources").level == "ok"


@pytest.mark.parametrize(
    ("change", "words", "others"),
    [
        ({"baseUrl": "http://no-such-host.invalid"}, "no-such-host.invalid", "refused"),
        ({"apiKey": "of-nobody"}, "the list of alerts is refused (HTTP ", "reached"),
    ],
)
def test_an_unreachable_vendor_is_not_reported_as_a_refusal(
    installed: Installed, change: dict[str, str], words: str, others: str
) -> None:
    """For example, a failing name server does not mean that this key may not list alerts."""
    installed.change(lambda value: value.update(change))
    found = installed.worst("sources")
    assert (found.level, words in found.what, others in found.what) == ("skip", True, False), found


@pytest.mark.parametrize(("days", "level"), [(400, "ok"), (100, "warn"), (0, "fail")])
def test_the_days_until_opsgenie_ends_are_counted(installed: Installed, days: int, level: str) -> None:
    installed.ask(today=END_OF_OPSGENIE - timedelta(days=days))
    found = installed.worst("end-of-opsgenie")
    assert (found.level, "--to jec" in found.advice) == (level, level != "ok")


def test_a_proxy_of_the_environment_is_used(installed: Installed) -> None:
    """So that doctor reaches what the service reaches."""
    installed.ask(environment={"http_proxy": "http://127.0.0.1:9"}, limit_seconds=1.0)
    assert installed.worst("vendor").level == "fail"


# -- The queue


@pytest.fixture
def edge() -> Iterator[RunningEdge]:
    """An integration whose queue answers, and checks the credentials."""
    with running_edge(expect_violations=True) as run:
        yield run


def test_a_queue_that_answers_is_ok_and_no_message_is_received(installed: Installed, edge: RunningEdge) -> None:
    installed.change(lambda value: value.update(apiKey=edge.integration.key, baseUrl=edge.server.base_url))
    assert isinstance(edge.host, Double)
    edge.host.sqs.queue(edge.queue.url).send("{}", {}, time.time())
    found = installed.worst("queue")
    assert (found.level, "1 messages wait, 0 are taken" in found.what) == ("ok", True)
    assert edge.host.count(edge.queue).visible == 1


@pytest.mark.parametrize(
    ("url", "check", "words"),
    [
        ("http://no-such-host.invalid/1/q", "queue", "no-such-host.invalid"),
        ("http://[::1", "vendor", ""),
        (None, "vendor", "OEC integration"),
    ],
)
def test_an_unreachable_or_missing_queue_fails(
    installed: Installed, opsgenie: Running, url: str | None, check: str, words: str
) -> None:
    put_key(installed, opsgenie.cloud.add_oec("odd", queues=(Queue(url),) if url else ()).key)
    found = installed.worst(check)
    assert (found.level, words in f"{found.what} {found.advice}") == ("fail", True), found


def judge(installed: Installed, monkeypatch: pytest.MonkeyPatch, status: int, body: object) -> Finding:
    response = Response(status, {}, json.dumps(body).encode())
    monkeypatch.setattr(vendor_checks, "_ask_attributes", lambda *_: response)
    return installed.worst("queue")


@pytest.mark.parametrize(
    ("code", "level"),
    [("AccessDenied", "skip"), ("QueueDoesNotExist", "fail"), ("InvalidClientTokenId", "fail")],
)
def test_a_refusal_fails_with_its_code_and_denied_attributes_are_skipped(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, code: str, level: str
) -> None:
    found = judge(installed, monkeypatch, 400, {"__type": f"com.amazonaws.sqs#{code}"})
    assert (found.level, found.what.startswith("not tried")) == (level, level == "skip")
    assert level == "skip" or code in found.what


@pytest.mark.parametrize("body", [None, {"Attributes": 7}])
def test_any_response_of_the_queue_is_a_finding(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, body: object
) -> None:
    assert judge(installed, monkeypatch, 200, body).level == "ok"
    assert judge(installed, monkeypatch, 500, body).level == "fail"


@pytest.mark.parametrize(
    ("status", "level", "advice"),
    [(402, "fail", "the plan of the account"), (410, "fail", "switched off"), (501, "fail", "no such function"),
     (400, "fail", "this is another API"), (429, "warn", "try again later"), (200, "fail", "sends actions to OEC")],
)  # fmt: skip
def test_a_refusal_of_the_vendor_is_reported_with_its_meaning(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, status: int, level: str, advice: str
) -> None:
    """None of them is corrected by trying again later; the 200 has an invalid token."""
    monkeypatch.setattr(VendorApi, "request", lambda *_, **__: Response(status, {"token": "[" * 5000}, b""))
    found = installed.worst("vendor")
    assert (found.level, advice in found.advice) == (level, True)


def test_a_channel_of_jec_2_is_reported(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 of the API has ended and the channel answers: that is ok for our own connector."""

    def request(_api: VendorApi, _method: str, path: str, *_: object, **__: object) -> Response:
        return Response(200, {}, b'{"channelId": "c-1", "ownerId": "me"}') if "/v2/" in path else Response(410, {}, b"")

    monkeypatch.setattr(VendorApi, "request", request)
    installed.ask(dialect="jec", edge="native")
    found = installed.worst("queue")
    assert (found.level, "channel of JEC's version 2 (c-1)" in found.what) == ("ok", True)
    installed.ask(edge="jec")
    assert installed.worst("vendor").level == "fail"
