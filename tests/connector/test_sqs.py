"""One queue: the same tests with the fast double and with moto's server; and invalid responses."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from lab.cloud import Double, Moto
from lab.cloud.queues import client

from alerta_opsgenie.connector.credentials import AwsCredentials
from alerta_opsgenie.connector.sqs import SqsQueue, read_message
from alerta_opsgenie.connector.transport import Receipt, Received, TransportError
from tests.connector.test_credentials import ANYTHING
from tests.support.bad_server import MODES, BadServer

CREDENTIALS = AwsCredentials("ASIAEXAMPLE", time.time() + 3600, "secret-of-aws", "token-of-aws")


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


def connected(url: str, credentials: AwsCredentials = CREDENTIALS, visibility_seconds: int = 30) -> SqsQueue:
    return SqsQueue(url, "us-east-1", credentials, visibility_seconds=visibility_seconds)


def test_a_message_is_received_with_its_attributes_count_and_time(host: Any, place: str) -> None:
    began = time.time()
    send(host, place, "body")
    (received,) = connected(place).receive(10, 1)
    assert (received.body, received.attributes, received.count) == ("body", {"ownerId": "me"}, 1)
    assert abs(received.sent_at - began) < 60, "to a second of the server's, for the Date header has whole ones"
    assert received.attempted_at is None


def test_a_message_that_was_received_before_has_a_count_and_a_time(host: Any, place: str) -> None:
    send(host, place, "body")
    queue = connected(place)
    (first,) = queue.receive(10, 1)
    queue.extend(first.receipt, 0)
    (again,) = queue.receive(10, 2)
    assert again.count == 2
    assert again.attempted_at is not None
    assert again.attempted_at <= time.time()


def test_a_deleted_message_is_not_redelivered(host: Any, place: str) -> None:
    send(host, place, "a", "b", "c")
    queue = connected(place, visibility_seconds=1)
    messages: list[Received] = []
    while len(messages) < 3:
        messages += queue.receive(10, 1)
    assert queue.delete([received.receipt for received in messages]) == []
    assert queue.receive(10, 2) == []


def test_an_invalid_handle_is_not_tried_again(host: Any, place: str) -> None:
    assert connected(place).delete([Receipt("m", "no-handle-of-this-queue")]) == []


def test_a_queue_that_is_not_there_needs_other_credentials(host: Any) -> None:
    queue = connected(f"{host.endpoint_url}/000000000000/nowhere")
    with pytest.raises(TransportError) as raised:
        queue.receive(1, 0)
    assert raised.value.stale


def test_credentials_are_replaced_between_requests() -> None:
    good = {"ASIANEW": "new-token"}
    with Double(lambda key, token: None if good.get(key) == token else "ExpiredToken") as host:
        queue = connected(host.create("q").url)
        with pytest.raises(TransportError) as raised:
            queue.receive(1, 0)
        queue.renew(AwsCredentials("ASIANEW", 0, "s", "new-token"))
        assert queue.receive(1, 0) == []
    assert raised.value.stale
    assert "token" not in str(raised.value)


def test_aws_variables_in_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are for other programs: a profile that does not exist would make each request fail."""
    for name, value in (
        ("AWS_PROFILE", "nobody"), ("AWS_ACCESS_KEY_ID", "AKIDOTHER"), ("AWS_SESSION_TOKEN", "other"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_DEFAULT_REGION", "mars"), ("AWS_CONFIG_FILE", "/dev/zero"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    with Double(lambda key, _token: None if key == "ASIAEXAMPLE" else "InvalidClientTokenId") as host:
        assert connected(host.create("q").url).receive(1, 0) == []


def outcome(queue: SqsQueue) -> list[Any]:
    """Return the results of a poll and of a deletion: messages, receipts, or `TransportError`."""
    found: list[Any] = []
    for call in (lambda: queue.receive(10, 0), lambda: queue.delete([Receipt("m", "h")])):
        with suppress(TransportError):
            found.append(call())
            continue
        found.append(TransportError)
    return found


OFFLINE = connected("http://127.0.0.1:1/0/q")


class FakeClient:
    """botocore's client with one response to every request."""

    def __init__(self, answer: Any) -> None:
        self.receive_message = self.delete_message_batch = lambda **_parameters: answer


@given(ANYTHING, ANYTHING, ANYTHING)
def test_any_response_is_messages_or_an_error(messages: Any, attributes: Any, system: Any) -> None:
    message = {"MessageId": "m", "ReceiptHandle": "h", "MessageAttributes": attributes, "Attributes": system}
    for answer in ({"Messages": messages}, {"Messages": [message]}, {"Failed": messages}, messages):
        OFFLINE._client = FakeClient(answer)
        outcome(OFFLINE)


@pytest.mark.parametrize("count", ["nan", "-5", "many", None, 10**400])
def test_an_invalid_count_means_an_earlier_receipt(count: Any) -> None:
    system = {"ApproximateReceiveCount": count, "SentTimestamp": count}
    received = read_message({"ReceiptHandle": "h", "Body": "b", "Attributes": system}, 0.0, 1000.0)
    assert (received.count, received.attempted_at) == (2, 1000.0)
    assert math.isfinite(received.sent_at)


def test_a_proxys_password_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://alice:hidden@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    queue = connected("https://sqs.eu-west-1.amazonaws.com/1/alerta")
    with pytest.raises(TransportError) as raised:
        queue.receive(1, 1)
    assert "hidden" not in str(raised.value)


def test_no_repr_shows_credentials_or_bodies() -> None:
    received = read_message({"ReceiptHandle": "h-secret", "Body": json.dumps({"b": "private"})}, 0.0, 1000.0)
    shown = repr(received) + repr(CREDENTIALS)
    for secret in ("secret-of-aws", "token-of-aws", "h-secret", "private"):
        assert secret not in shown


_ENDLESS = ("drip", "hang", "announce")


def test_a_message_that_is_hidden_for_longer_is_not_redelivered(host: Any, place: str) -> None:
    send(host, place, "body")
    queue = connected(place, visibility_seconds=1)
    (received,) = queue.receive(10, 1)
    queue.extend(received.receipt, 60)
    assert queue.receive(10, 2) == []


def test_a_server_that_is_down_is_a_temporary_error() -> None:
    with Double() as host:
        queue = connected(host.create("q").url)
        with host.faults.refuse(), pytest.raises(TransportError) as raised:
            queue.receive(1, 0)
        assert not raised.value.stale
        assert queue.receive(1, 0) == []


@pytest.mark.parametrize("mode", sorted(mode for mode in MODES if not any(word in mode for word in _ENDLESS)))
def test_a_bad_server_gives_messages_or_an_error(mode: str) -> None:
    with BadServer(mode, location="http://127.0.0.1:1/") as server:
        queue = connected(f"{server.url}/0/q")
        assert outcome(queue) in ([[], []], [TransportError, TransportError], [[], TransportError])


@pytest.mark.parametrize("url", ["http://[::1", "not a url", "http://", "http://q:99999/1"])
def test_a_url_that_cannot_be_used_is_an_error(url: str) -> None:
    with pytest.raises(TransportError):
        connected(url).receive(1, 0)
