"""SQS as a client sees it: the same cases on `moto`, the reference, and on the fast double."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from lab.cloud import Double, Moto, QueueHost
from lab.cloud.queues import client
from lab.cloud.sqs_model import QueueModel, digest_attributes

NAMES = (f"q{number}" for number in count())
OWNER = {"ownerId": {"DataType": "String", "StringValue": "owner-1"}}
LONGEST_POLL_SECONDS = 20  # SQS's own limit
BOTH = {**OWNER, "channelId": {"DataType": "String", "StringValue": "channel-1"}}


@pytest.fixture(scope="module", params=["moto", "double"])
def host(request: pytest.FixtureRequest) -> Iterator[QueueHost]:
    server: QueueHost = Moto() if request.param == "moto" else Double()
    yield server
    server.stop()


@dataclass
class Sqs:
    """A client with one queue."""

    client: Any
    url: str

    def send(self, body: str, **options: Any) -> Any:
        return self.client.send_message(QueueUrl=self.url, MessageBody=body, **options)

    def receive(self, most: int = 10, **options: Any) -> list[Any]:
        answer = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=most, **options)
        messages: list[Any] = answer.get("Messages", [])
        return messages

    def delete(self, message: Any) -> Any:
        return self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def hide(self, message: Any, seconds: int) -> Any:
        handle = message["ReceiptHandle"]
        return self.client.change_message_visibility(QueueUrl=self.url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    def count(self) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


@pytest.fixture(scope="module")
def one_client(host: QueueHost) -> Any:
    return client(host.endpoint_url)


@pytest.fixture
def sqs(host: QueueHost, one_client: Any) -> Sqs:
    return Sqs(one_client, host.create(next(NAMES)).url)


def refusal(sqs: Sqs) -> Any:
    return pytest.raises(sqs.client.exceptions.ClientError)


def test_a_message_comes_out_as_it_went_in(sqs: Sqs) -> None:
    body = '{"a": "\N{SNOWMAN}"}'
    sent = sqs.send(body)
    (message,) = sqs.receive()
    assert message["Body"] == body
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert "Attributes" not in message
    assert "MessageAttributes" not in message


def test_attributes_come_when_they_are_asked_for(sqs: Sqs) -> None:
    sent = sqs.send("b", MessageAttributes=BOTH)
    assert sent["MD5OfMessageAttributes"] == digest_attributes(BOTH)
    (message,) = sqs.receive(MessageAttributeNames=["ownerId"])
    assert {name: one["StringValue"] for name, one in message["MessageAttributes"].items()} == {"ownerId": "owner-1"}
    assert message["MD5OfMessageAttributes"] == digest_attributes(OWNER)


@pytest.mark.parametrize("parameter", ["AttributeNames", "MessageSystemAttributeNames"])
def test_the_receive_count_grows_with_each_receipt(sqs: Sqs, parameter: str) -> None:
    before_ms = int(time.time() * 1000)
    sqs.send("b")
    after_ms = int(time.time() * 1000) + 1
    counts = []
    for _ in range(2):
        asked: dict[str, Any] = {parameter: ["ApproximateReceiveCount", "SentTimestamp"]}
        (message,) = sqs.receive(VisibilityTimeout=0, **asked)
        counts.append(message["Attributes"]["ApproximateReceiveCount"])
        assert before_ms <= int(message["Attributes"]["SentTimestamp"]) <= after_ms
    assert counts == ["1", "2"]


def test_a_received_message_is_hidden_until_it_is_given_back(sqs: Sqs) -> None:
    sqs.send("b")
    (message,) = sqs.receive()
    assert (sqs.receive(), sqs.count()) == ([], (0, 1))
    sqs.hide(message, 0)
    (again,) = sqs.receive()
    assert again["MessageId"] == message["MessageId"]
    assert again["ReceiptHandle"] != message["ReceiptHandle"]


def test_at_most_ten_messages_come_at_once(sqs: Sqs) -> None:
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
    sqs.client.send_message_batch(QueueUrl=sqs.url, Entries=entries)
    sqs.send("10")
    assert len(sqs.receive(10)) == 10
    with refusal(sqs):
        sqs.receive(11)


def test_batches_say_what_worked_and_what_did_not(sqs: Sqs) -> None:
    entries = [{"Id": name, "MessageBody": name, "MessageAttributes": OWNER} for name in ("a", "b")]
    sent = sqs.client.send_message_batch(QueueUrl=sqs.url, Entries=entries)
    assert {one["Id"] for one in sent["Successful"]} == {"a", "b"}
    received = sqs.receive()
    visible = [{"Id": one["Body"], "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 30} for one in received]
    changed = sqs.client.change_message_visibility_batch(QueueUrl=sqs.url, Entries=visible)
    assert len(changed["Successful"]) == 2
    done = [{"Id": one["Body"], "ReceiptHandle": one["ReceiptHandle"]} for one in received]
    deleted = sqs.client.delete_message_batch(QueueUrl=sqs.url, Entries=done)
    assert {one["Id"] for one in deleted["Successful"]} == {"a", "b"}
    assert not deleted.get("Failed")
    assert sqs.count() == (0, 0)


def test_a_long_poll_ends_when_a_message_comes(sqs: Sqs) -> None:
    sender = threading.Timer(0.3, sqs.send, ["late"])
    started = time.monotonic()
    sender.start()
    messages = sqs.receive(WaitTimeSeconds=LONGEST_POLL_SECONDS)
    took = time.monotonic() - started
    sender.join()
    assert [message["Body"] for message in messages] == ["late"]
    assert 0.25 < took < LONGEST_POLL_SECONDS


# --- the double alone -----------------------------------------------------------------------------------------------


def test_a_receiver_that_hangs_up_takes_no_message() -> None:
    with Double() as double:
        url = double.create("q").url
        thread = threading.Thread(target=_receive_and_hang_up, args=(double.endpoint_url, url))
        thread.start()
        thread.join()
        sqs = Sqs(client(double.endpoint_url), url)
        sqs.send("b")
        assert [message["Body"] for message in sqs.receive(WaitTimeSeconds=1)] == ["b"]


def _receive_and_hang_up(endpoint_url: str, url: str) -> None:
    host, port = endpoint_url.removeprefix("http://").split(":")
    body = f'{{"QueueUrl": "{url}", "WaitTimeSeconds": 20}}'.encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: {len(body)}\r\n"
    )
    with socket.create_connection((host, int(port))) as link:
        link.sendall(head.encode() + b"\r\n" + body)
        time.sleep(0.1)


def test_an_older_receipt_handle_deletes_nothing() -> None:
    queue = QueueModel("q", visibility_seconds=10)
    queue.send("b", {}, now=0)
    first = queue.receive(1, now=0)[0].handle
    second = queue.receive(1, now=11)[0].handle
    queue.delete(first)
    (third,) = queue.receive(1, now=22)
    queue.delete(second)
    assert queue.count(now=22) == (0, 1, 0)
    queue.delete(third.handle)
    assert (queue.count(now=22), queue.deleted) == ((0, 0, 0), 1)
