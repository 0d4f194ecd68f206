"""One queue, the same tests on the fast double and on moto's real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from lab.cloud import Double, Moto
from lab.cloud.queues import client

from alerta_opsgenie.connector.credentials import Grant
from alerta_opsgenie.connector.queue import QueueError, Received, SqsQueue

GRANT = Grant("ASIAEXAMPLE", time.time() + 3600, "secret-of-aws", "token-of-aws")


@pytest.fixture(scope="module", params=[Double, Moto])
def host(request: pytest.FixtureRequest) -> Iterator[Any]:
    server = request.param()
    yield server
    server.stop()


@pytest.fixture
def place(host: Any, request: pytest.FixtureRequest) -> str:
    return str(host.create(f"q-{abs(hash(request.node.name))}").url)


def send(host: Any, url: str, *bodies: str) -> None:
    for body in bodies:
        attributes = {"ownerId": {"DataType": "String", "StringValue": "me"}}
        client(host.endpoint_url).send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


async def connected(url: str, grant: Grant = GRANT) -> SqsQueue:
    queue = SqsQueue(url, "us-east-1", grant)
    await queue.connect()
    return queue


async def test_a_message_is_received_with_what_decides_about_it(host: Any, place: str) -> None:
    send(host, place, "body")
    queue = await connected(place)
    (received,) = await queue.receive(10, 1, 30)
    await queue.close()
    assert (received.body, received.attributes, received.count) == ("body", {"ownerId": "me"}, 1)
    assert abs(received.sent_at - time.time()) < 5
    assert received.attempted_at is None


async def test_a_message_that_was_received_before_says_so(host: Any, place: str) -> None:
    send(host, place, "body")
    queue = await connected(place)
    (first,) = await queue.receive(10, 1, 30)
    await queue.hide([first.handle], 0)
    (again,) = await queue.receive(10, 2, 30)
    await queue.close()
    assert again.count == 2
    assert again.attempted_at is not None
    assert again.attempted_at <= time.time()


async def test_what_is_deleted_does_not_come_again(host: Any, place: str) -> None:
    send(host, place, "a", "b", "c")
    queue = await connected(place)
    messages: list[Received] = []
    while len(messages) < 3:
        messages += await queue.receive(10, 1, 1)
    assert await queue.delete([received.handle for received in messages]) == []
    assert await queue.receive(10, 2, 30) == []
    await queue.close()


async def test_a_handle_that_is_no_good_is_not_tried_for_ever(host: Any, place: str) -> None:
    queue = await connected(place)
    assert await queue.hide(["no-handle-of-this-queue"], 30) == []
    await queue.close()


async def test_a_queue_that_is_not_there_needs_other_credentials(host: Any) -> None:
    queue = await connected(f"{host.endpoint_url}/000000000000/nowhere")
    with pytest.raises(QueueError) as raised:
        await queue.receive(1, 0, 30)
    await queue.close()
    assert raised.value.stale


async def test_credentials_are_replaced_at_work() -> None:
    good = {"ASIANEW": "new-token"}
    with Double(lambda key, token: None if good.get(key) == token else "ExpiredToken") as host:
        queue = await connected(host.create("q").url)
        with pytest.raises(QueueError) as raised:
            await queue.receive(1, 0, 30)
        await queue.renew(Grant("ASIANEW", 0, "s", "new-token"))
        assert await queue.receive(1, 0, 30) == []
        await queue.close()
    assert raised.value.stale
    assert "token" not in str(raised.value)


async def test_a_server_that_is_away_is_an_error_and_a_passing_one() -> None:
    with Double() as host:
        queue = await connected(host.create("q").url)
        with host.faults.refuse(), pytest.raises(QueueError) as raised:
            await queue.receive(1, 0, 30)
        assert not raised.value.stale
        assert await queue.receive(1, 0, 30) == []
        await queue.close()


def test_without_system_attributes_an_earlier_receipt_is_taken_for_possible() -> None:
    queue = SqsQueue("http://127.0.0.1:1/0/q", "us-east-1", GRANT)
    received = queue._read({"ReceiptHandle": "h", "Body": "b"}, 0.0, 1000.0)
    assert received.attempted_at == 1000.0


def test_no_repr_shows_credentials_or_bodies() -> None:
    queue = SqsQueue("http://127.0.0.1:1/0/q", "us-east-1", GRANT)
    received = queue._read({"ReceiptHandle": "h-secret", "Body": json.dumps({"b": "private"})}, 0.0, 1000.0)
    shown = repr(received) + repr(GRANT)
    for secret in ("secret-of-aws", "token-of-aws", "h-secret", "private"):
        assert secret not in shown
