"""Credentials are fetched again and again, with pauses, and from JEC's version 2 where version 1 has ended."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lab.cloud import Cloud, CloudServer, Queue

from alerta_opsgenie.clients.connection import Response
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.connector.credentials import Token
from alerta_opsgenie.connector.refresher import Refresher
from alerta_opsgenie.connector.threads import Threads
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.config import EdgeConfig
from tests.connector.rig import wait_until
from tests.connector.test_credentials import changed

PLACE = Queue("http://127.0.0.1:1/000000000000/alerta", "eu-west-1")


class Run:
    """A refresher with the stand-in cloud."""

    def __init__(self, dialect: str, cloud: Cloud, server: CloudServer) -> None:
        self.cloud = cloud
        add = cloud.add_oec if dialect == "oec" else cloud.add_jec
        self.integration = add(queues=(PLACE,))
        self.tokens: queue.Queue[Token] = queue.Queue()
        config = EdgeConfig(dialect, Secret(self.integration.key), server.base_url, {})
        self.refresher = Refresher(VendorApi(config, {}), dialect, self.tokens.put, Threads())
        threading.Thread(target=self.refresher.run, daemon=True).start()

    def next(self) -> Token:
        return self.tokens.get(timeout=120)


@pytest.fixture(params=["oec", "jec"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    cloud = Cloud()
    with CloudServer(cloud) as server:
        running = Run(request.param, cloud, server)
        yield running
        running.refresher.stop()


def test_credentials_come_with_the_queue_and_its_owner(run: Run) -> None:
    token = run.next()
    assert token.owner_id == run.integration.owner_id
    assert token.queues[0].url == PLACE.url
    assert token.queues[0].credentials is not None
    assert run.cloud.records.client_infos[0].startswith("alerta-opsgenie/")


def test_they_are_renewed_before_they_expire(run: Run) -> None:
    run.next()
    run.cloud.credentials.lifetime_seconds, run.cloud.credentials.renew_before_seconds = 10.0, 9.0
    run.cloud.credentials.expire()
    run.refresher.refresh()
    first = run.next().queues[0].credentials
    wait_until(lambda: run.next().queues[0].credentials != first)


def test_refused_credentials_are_replaced(run: Run) -> None:
    first = run.next().queues[0].credentials
    run.cloud.credentials.expire()
    run.refresher.refresh()
    assert run.next().queues[0].credentials not in (None, first)


def test_an_error_is_logged_once_and_the_request_repeated(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.next()
    with run.cloud.faults.status(503, "credentials"):
        run.refresher.refresh()
        wait_until(lambda: run.refresher.failures >= 2)
        assert "HTTP 503" in run.refresher.failure
    run.next()
    wait_until(lambda: not run.refresher.failure)
    errors = [record for record in caplog.records if "no credentials" in record.getMessage()]
    assert len(errors) == 1
    assert run.integration.key not in caplog.text


# -- Invalid responses, and version 2


class FakeApi:
    """Responds by path; keeps the requested paths."""

    def __init__(self, **answers: Response) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"https://api.example.com{path.partition('?')[0]}"

    def request(self, _method: str, path: str, _body: Any = None, *, seconds: float) -> Response:  # noqa: ARG002
        self.asked.append(path)
        return self.answers["v2" if "/v2/" in path else "v1"]


def fetched(
    transport: str = "auto", dialect: str = "jec", **answers: Response
) -> tuple[Refresher, FakeApi, list[Token]]:
    """Let a refresher fetch once."""
    api, tokens = FakeApi(**answers), list[Token]()
    refresher: Refresher

    def use(token: Token) -> None:
        tokens.append(token)
        refresher.stop()

    refresher = Refresher(api, dialect, use, Threads(), transport)  # type: ignore[arg-type]
    refresher._pause = lambda pause: refresher.stop()  # type: ignore[method-assign]  # noqa: ARG005
    refresher.run()
    return refresher, api, tokens


def ok(text: str) -> Response:
    return Response(200, {"token": text}, b"")


V2 = Response(200, {}, json.dumps({"channelId": "c-1", "ownerId": "o-1", "ownerType": "x"}).encode())


@pytest.mark.parametrize(
    "v1", [Response(404, {}, b""), Response(410, {}, b""), Response(501, {}, b""), ok(changed("queueProperties", []))]
)
def test_where_version_1_has_ended_version_2_takes_over(v1: Response) -> None:
    refresher, api, (token,) = fetched(v1=v1, v2=V2)
    assert (token.channel, token.owner_id, token.queues) == ("c-1", "o-1", ())
    assert api.asked == ["/jsm/ops/jec/v1/credentials", "/jsm/ops/jec/v2/authenticate"]
    assert refresher.source == "channel"


@pytest.mark.parametrize("status", [401, 402, 500])
def test_no_other_refusal_switches_to_version_2(status: int) -> None:
    refresher, api, tokens = fetched(v1=Response(status, {}, b""), v2=V2)
    assert tokens == []
    assert str(status) in refresher.failure
    assert len(api.asked) == 1


@pytest.mark.parametrize("v2", [Response(401, {}, b""), Response(404, {}, b""), Response(200, {}, b"{}")])
def test_an_error_of_version_2_switches_nothing(v2: Response) -> None:
    refresher, _, tokens = fetched(v1=Response(404, {}, b""), v2=v2)
    assert tokens == []
    assert "/v1/credentials answered HTTP 404" in refresher.failure


@pytest.mark.parametrize(("transport", "asked"), [("channel", "v2"), ("sqs", "v1")])
def test_the_setting_transport_fixes_the_version(transport: str, asked: str) -> None:
    _, api, _ = fetched(transport=transport, v1=Response(404, {}, b""), v2=V2)
    assert [f"/{asked}/" in path for path in api.asked] == [True]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"channelId": 5}', b'{"channelId": "a/../b"}', b"[" * 100_000])
def test_a_channel_that_cannot_be_is_refused(raw: bytes) -> None:
    refresher, _, tokens = fetched(transport="channel", v2=Response(200, {}, raw))
    assert tokens == []
    assert "$.channelId" in refresher.failure


def pauses(api: FakeApi, rounds: int) -> list[float]:
    """Return the pauses after the first requests."""
    found: list[float] = []
    refresher = Refresher(api, "oec", lambda _token: None, Threads())  # type: ignore[arg-type]

    def rest(pause: float) -> None:
        found.append(pause)
        if len(found) == rounds:
            refresher.stop()

    refresher._pause = rest  # type: ignore[method-assign]
    refresher.run()
    return found


ROLE = "queueProperties.0.assumeRoleResult"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: ok("{"),
        lambda: ok(changed(f"{ROLE}.credentials.expireTimeMillis", 5)),
        lambda: ok(changed(ROLE, {})),
        lambda: ok(changed("queueProperties.0.queueConfiguration.credentialSuccessRefreshPeriod", -1)),
        lambda: Response(500, {}, b""),
        lambda: Response(401, {}, b""),
    ],
    ids=["no JSON", "expired already", "no credentials", "negative period", "500", "401"],
)
def test_no_answer_makes_a_fast_loop(answer: Callable[[], Response]) -> None:
    assert min(pauses(FakeApi(v1=answer()), 5)) >= 0.5
    assert sum(pauses(FakeApi(v1=answer()), 5)) >= 10
