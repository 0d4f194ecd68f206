"""JEC's channel: messages, their deletion, and any other response as an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.clients.connection import Response, UnreachableError
from alerta_opsgenie.connector.channel import Channel
from alerta_opsgenie.connector.transport import Receipt, TransportError
from tests.connector.test_credentials import ANYTHING

PATH = "/jsm/ops/jec/v2/messages/channel/c-1"


class FakeApi:
    """Returns its responses in turn, and then always the last one."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []

    def request(self, method: str, path: str, body: Any = None, *, seconds: float) -> Response:  # noqa: ARG002
        self.asked.append((method, path, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def channel(*answers: Response | Exception, wait_seconds: float = 1.0) -> tuple[Channel, FakeApi]:
    api = FakeApi(*answers)
    return Channel("c-1", "o-1", lambda: api, wait_seconds=wait_seconds), api  # type: ignore[arg-type,return-value]


def given_messages(*messages: Any) -> Response:
    return Response(200, {}, json.dumps({"channelId": "c-1", "messages": list(messages)}).encode())


def message(handle: str = "h", **fields: Any) -> dict[str, Any]:
    return {"id": "m", "body": "b", "receiptHandle": handle, **fields}


def test_messages_are_ours_and_have_no_earlier_receipt_at_first() -> None:
    taken, api = channel(given_messages(message()))
    (received,) = taken.receive(10, 20)
    assert api.asked == [("GET", PATH, None)]
    assert (received.body, received.receipt, received.count) == ("b", Receipt("m", "h"), 1)
    assert received.attributes["ownerId"] == "o-1"


def test_a_message_that_comes_again_is_counted_and_has_its_newest_handle() -> None:
    taken, _ = channel(given_messages(message("h1")), given_messages(message("h2")))
    taken.receive(10, 20)
    (again,) = taken.receive(10, 20)
    assert (again.receipt.handle, again.count) == ("h2", 2)
    assert again.attempted_at is not None


def test_what_is_done_is_deleted_by_id_and_handle() -> None:
    taken, api = channel(Response(204, {}, b""))
    assert taken.delete([Receipt("m", "h")]) == []
    assert api.asked == [("DELETE", PATH, {"messages": [{"messageId": "m", "messageHandle": "h"}]})]


def test_after_an_empty_poll_the_next_waits_and_after_a_full_one_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, _ = channel(given_messages(message()), given_messages(), wait_seconds=0.1)
    waits: list[float] = []
    monkeypatch.setattr("alerta_opsgenie.connector.channel.time.sleep", waits.append)
    for _ in range(3):
        taken.receive(10, 20)
    assert waits[:2] == [0.0, 0.0]
    assert 0.5 < waits[2] <= 1.0, "no faster than once a second, whatever was configured"


@pytest.mark.parametrize(("status", "stale"), [(401, True), (410, True), (429, False)])
def test_a_refusal_shows_whether_the_channel_has_to_be_fetched_again(status: int, stale: bool) -> None:
    taken, _ = channel(Response(status, {"retry-after": "7"}, b""))
    for call in (lambda: taken.receive(1, 1), lambda: taken.delete([Receipt("m", "h")])):
        with pytest.raises(TransportError) as raised:
            call()
        assert (raised.value.stale, raised.value.retry_after_seconds) == (stale, 7.0)


def test_no_response_is_an_error() -> None:
    taken, _ = channel(UnreachableError("it did not answer in time", timed_out=True))
    with pytest.raises(TransportError, match="did not answer in time"):
        taken.receive(1, 1)


def test_a_message_that_cannot_be_deleted_is_ignored_and_one_without_a_body_is_returned() -> None:
    taken, _ = channel(given_messages({"id": "x"}, "text", message(body=None)))
    (received,) = taken.receive(10, 20)
    assert (received.receipt.message_id, received.body) == ("m", "")


@given(st.binary() | ANYTHING.map(lambda value: json.dumps({"messages": value}).encode()))
def test_any_bytes_are_messages_or_an_error(raw: bytes) -> None:
    taken, _ = channel(Response(200, {}, raw))
    try:
        messages = taken.receive(10, 20)
    except TransportError:
        return
    assert all(all(one.receipt) for one in messages)
