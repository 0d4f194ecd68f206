"""The vendor is asked again for ever, never in a hurry, and by JEC's version 2 where version 1 has ended."""

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
from alerta_opsgenie.connector.parts import Parts
from alerta_opsgenie.connector.refresher import Refresher
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.config import EdgeConfig
from tests.connector.rig import wait_until
from tests.connector.test_credentials import changed

PLACE = Queue("http://127.0.0.1:1/000000000000/alerta", "eu-west-1")


class Run:
    """A keeper at work on a stand-in."""

    def __init__(self, dialect: str, cloud: Cloud, server: CloudServer) -> None:
        self.cloud = cloud
        add = cloud.add_oec if dialect == "oec" else cloud.add_jec
        self.integration = add(queues=(PLACE,))
        self.tokens: queue.Queue[Token] = queue.Queue()
        config = EdgeConfig(dialect, Secret(self.integration.key), server.base_url, {})
        self.keeper = Refresher(VendorApi(config, {}), dialect, self.tokens.put, Parts())
        threading.Thread(target=self.keeper.run, daemon=True).start()

    def next(self) -> Token:
        return self.tokens.get(timeout=120)


@pytest.fixture(params=["oec", "jec"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    cloud = Cloud()
    with CloudServer(cloud) as server:
        running = Run(request.param, cloud, server)
        yield running
        running.keeper.stop()


def test_credentials_come_with_the_queue_and_its_owner(run: Run) -> None:
    token = run.next()
    assert token.owner_id == run.integration.owner_id
    assert token.queues[0].url == PLACE.url
    assert token.queues[0].grant is not None
    assert run.cloud.records.client_infos[0].startswith("alerta-opsgenie/")


def test_they_are_renewed_before_they_expire(run: Run) -> None:
    run.next()
    run.cloud.credentials.lifetime_seconds, run.cloud.credentials.renew_before_seconds = 10.0, 9.0
    run.cloud.credentials.expire()
    run.keeper.refresh()
    first = run.next().queues[0].grant
    wait_until(lambda: run.next().queues[0].grant != first)


def test_what_was_refused_is_asked_for_anew(run: Run) -> None:
    first = run.next().queues[0].grant
    run.cloud.credentials.expire()
    run.keeper.refresh()
    assert run.next().queues[0].grant not in (None, first)


def test_a_refused_endpoint_is_asked_again_and_said_once(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.next()
    with run.cloud.faults.status(503, "credentials"):
        run.keeper.refresh()
        wait_until(lambda: run.keeper.failures >= 2)
        assert "HTTP 503" in run.keeper.failure
    run.next()
    wait_until(lambda: not run.keeper.failure)
    said = [record for record in caplog.records if "no credentials" in record.getMessage()]
    assert len(said) == 1
    assert run.integration.key not in caplog.text


# -- Answers of a vendor that is broken, or has gone on to version 2


class FakeApi:
    """Answers by path; counts what it was asked."""

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
    """Let a keeper ask once."""
    api, tokens = FakeApi(**answers), list[Token]()
    keeper: Refresher

    def use(token: Token) -> None:
        tokens.append(token)
        keeper.stop()

    keeper = Refresher(api, dialect, use, Parts(), transport)  # type: ignore[arg-type]
    keeper._rest = lambda pause: keeper.stop()  # type: ignore[method-assign]  # noqa: ARG005
    keeper.run()
    return keeper, api, tokens


def ok(text: str) -> Response:
    return Response(200, {"token": text}, b"")


V2 = Response(200, {}, json.dumps({"channelId": "c-1", "ownerId": "o-1", "ownerType": "x"}).encode())


@pytest.mark.parametrize(
    "v1", [Response(404, {}, b""), Response(410, {}, b""), Response(501, {}, b""), ok(changed("queueProperties", []))]
)
def test_where_version_1_has_ended_version_2_takes_over(v1: Response) -> None:
    keeper, api, (token,) = fetched(v1=v1, v2=V2)
    assert (token.channel, token.owner_id, token.queues) == ("c-1", "o-1", ())
    assert api.asked == ["/jsm/ops/jec/v1/credentials", "/jsm/ops/jec/v2/authenticate"]
    assert keeper.source == "channel"


@pytest.mark.parametrize("status", [401, 402, 500])
def test_no_other_refusal_switches_over(status: int) -> None:
    keeper, api, tokens = fetched(v1=Response(status, {}, b""), v2=V2)
    assert tokens == []
    assert str(status) in keeper.failure
    assert len(api.asked) == 1


@pytest.mark.parametrize("v2", [Response(401, {}, b""), Response(404, {}, b""), Response(200, {}, b"{}")])
def test_what_is_no_channel_switches_nothing(v2: Response) -> None:
    keeper, _, tokens = fetched(v1=Response(404, {}, b""), v2=v2)
    assert tokens == []
    assert "/v1/credentials answered HTTP 404" in keeper.failure


@pytest.mark.parametrize(("transport", "asked"), [("channel", "v2"), ("sqs", "v1")])
def test_a_setting_fixes_the_way(transport: str, asked: str) -> None:
    _, api, _ = fetched(transport=transport, v1=Response(404, {}, b""), v2=V2)
    assert [f"/{asked}/" in path for path in api.asked] == [True]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"channelId": 5}', b'{"channelId": "a/../b"}', b"[" * 100_000])
def test_a_channel_that_cannot_be_is_refused(raw: bytes) -> None:
    keeper, _, tokens = fetched(transport="channel", v2=Response(200, {}, raw))
    assert tokens == []
    assert "$.channelId" in keeper.failure


def pauses(api: FakeApi, rounds: int) -> list[float]:
    """Give how long the keeper waits after each of its first questions."""
    found: list[float] = []
    keeper = Refresher(api, "oec", lambda _token: None, Parts())  # type: ignore[arg-type]

    def rest(pause: float) -> None:
        found.append(pause)
        if len(found) == rounds:
            keeper.stop()

    keeper._rest = rest  # type: ignore[method-assign]
    keeper.run()
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
