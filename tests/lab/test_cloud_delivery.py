"""The stand-in delivers: webhooks with retries, queues in order, duplicates and disorder where they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lab.cloud import Double, Integration, Queue, Switches, WebhookPolicy
from lab.cloud.queues import client

from tests.support.cloud import ALIAS, Receiver, Running, running_cloud

QUICK = WebhookPolicy(timeout_seconds=2, retry_delays_seconds=(0.01, 0.01))


@pytest.fixture
def run() -> Iterator[Running]:
    with running_cloud() as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def double() -> Iterator[Double]:
    with Double() as host:
        yield host


def drain(queue: Queue) -> list[dict[str, Any]]:
    """Take everything out of a queue, as SQS messages."""
    sqs, taken = client(queue.url.rsplit("/", 2)[0]), []
    while True:
        answer = sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        taken += answer.get("Messages", [])
        if "Messages" not in answer:
            return taken


def notes_of(messages: list[dict[str, Any]]) -> list[int]:
    bodies = [json.loads(message["Body"]) for message in messages]
    return [int(body["alert"]["note"]) for body in bodies if body["action"] == "AddNote"]


def write_notes(run: Running, count: int) -> None:
    alice = run.cloud.person("alice@example.com")
    alice.create("m", ALIAS, source="Alerta")
    for number in range(count):
        alice.add_note(ALIAS, str(number))
    assert run.cloud.wait_settled()


# --- webhooks -------------------------------------------------------------------------------------------------------


def test_a_webhook_posts_json_with_its_headers(run: Running, receiver: Receiver) -> None:
    run.cloud.add_webhook(receiver.url, headers={"X-Secret": "s"})
    run.api.create()
    assert run.cloud.wait_settled()
    (post,) = receiver.posts
    assert (post.headers["x-secret"], post.headers["content-type"]) == ("s", "application/json")
    assert json.loads(post.body) == run.cloud.sent()[0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failed_post_is_tried_again(run: Running, receiver: Receiver, status: int) -> None:
    run.cloud.add_webhook(receiver.url, policy=QUICK)
    receiver.statuses = [status, status]
    run.api.create()
    assert run.cloud.wait_settled()
    assert receiver.actions() == ["Create"] * 3
    assert run.cloud.records.undelivered == []


@pytest.mark.parametrize(("statuses", "posts"), [([500] * 9, 3), ([403], 1)])
def test_a_post_is_given_up_in_the_end(run: Running, receiver: Receiver, statuses: list[int], posts: int) -> None:
    run.cloud.add_webhook(receiver.url, policy=QUICK)
    receiver.statuses = statuses
    run.api.create()
    assert run.cloud.wait_settled()
    assert len(receiver.posts) == posts
    assert [message.body["action"] for message in run.cloud.records.undelivered] == ["Create"]


@pytest.mark.parametrize("echo", ["body", "address", "empty"])
def test_an_api_change_comes_back_with_the_source_of_the_switch(receiver: Receiver, echo: Any) -> None:
    with running_cloud(Switches(echo_source_name=echo)) as run:
        run.cloud.add_webhook(receiver.url)
        run.api.create(user="Alerta")
        run.api.act("acknowledge", user="bridge", source="Alerta")
        assert run.cloud.wait_settled()
    body = json.loads(receiver.posts[-1].body)
    name = {"body": "Alerta", "address": "127.0.0.1", "empty": ""}[echo]
    assert body["source"] == {"name": name, "type": "API"}
    assert body["alert"]["username"] == "bridge"


# --- queues ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("match", ["ownerId", "channelId"])
def test_a_queue_message_carries_what_its_connector_checks(run: Running, double: Double, match: Any) -> None:
    run.cloud.switches.jec_match = match
    oec = run.cloud.add_oec(queues=(double.create("oec"),))
    jec = run.cloud.add_jec(queues=(double.create("jec"),))
    run.api.create()
    assert run.cloud.wait_settled()
    (to_oec,), (to_jec,) = drain(oec.queues[0]), drain(jec.queues[0])
    marks = {name: value["StringValue"] for name, value in to_oec["MessageAttributes"].items()}
    assert marks == {"ownerId": oec.owner_id, "integrationId": oec.integration_id}
    marks = {name: value["StringValue"] for name, value in to_jec["MessageAttributes"].items()}
    assert [name for name, value in marks.items() if value == jec.owner_id] == [match]
    assert json.loads(to_oec["Body"]) == run.cloud.sent(oec)[0]


def test_queue_messages_arrive_once_and_in_order(run: Running, double: Double) -> None:
    oec = run.cloud.add_oec(queues=(double.create("oec"),))
    write_notes(run, 60)
    assert notes_of(drain(oec.queues[0])) == list(range(60))


def test_duplicates_and_disorder_lose_nothing(double: Double) -> None:
    with running_cloud(Switches(duplicate_share=0.3, disorder_share=0.3)) as run:
        oec = run.cloud.add_oec(queues=(double.create("oec"),))
        write_notes(run, 60)
        arrived = notes_of(drain(oec.queues[0]))
    assert set(arrived) == set(range(60))
    assert len(arrived) > 60
    assert arrived != sorted(arrived)


def test_the_double_refuses_what_the_credentials_endpoint_did_not_give() -> None:
    with running_cloud() as run, Double(run.cloud.credentials.check) as double:
        oec: Integration = run.cloud.add_oec(queues=(double.create("oec"),))
        run.api.create()
        assert run.cloud.wait_settled()
        role = run.cloud.credentials.describe(oec, {}, always=True)["queueProperties"][0]["assumeRoleResult"]
        given = {
            "aws_access_key_id": role["credentials"]["accessKeyId"],
            "aws_secret_access_key": role["credentials"]["secretAccessKey"],
            "aws_session_token": role["credentials"]["sessionToken"],
        }
        holder, stranger = client(double.endpoint_url, **given), client(double.endpoint_url)
        (url,) = (queue.url for queue in oec.queues)
        with pytest.raises(stranger.exceptions.ClientError, match="InvalidClientTokenId"):
            stranger.receive_message(QueueUrl=url)
        assert "Messages" in holder.receive_message(QueueUrl=url)
        run.cloud.credentials.expire()
        with pytest.raises(holder.exceptions.ClientError, match="ExpiredToken"):
            holder.receive_message(QueueUrl=url)
