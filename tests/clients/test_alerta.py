"""The client of Alerta's API, and how each thing that a server can do to it ends an action."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.clients.alerta import ALERT_STATUS, ON_BEHALF_OF, AlertaClient, address_of, answer_of, headers_of
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason, outcome_of_refusal
from alerta_opsgenie.core.people import clean_name
from alerta_opsgenie.core.task import Call
from tests.support.answers import ALIAS, JANE, OK, message, play
from tests.support.bad_server import MODES, BadServer

LIMIT_SECONDS = 1.0
KEY = "s3cret-key_8b1f"
LOOK = Call("GET", f"/alert/{ALIAS}", None, JANE)


def client(url: str, key: str = KEY, **options: Any) -> AlertaClient:
    return AlertaClient(url, key, environment={}, **options)


def send(server: BadServer, call: Call = LOOK, key: str = KEY) -> Answer:
    asking = client(server.url, key)
    try:
        return asking.send(call, time.monotonic() + LIMIT_SECONDS)
    finally:
        asking.close()


def close_through(asking: AlertaClient) -> Outcome:
    """Make the call of a Close."""
    (call,) = play(message("Close"), OK).calls
    answer = asking.send(call, time.monotonic() + LIMIT_SECONDS)
    asking.close()
    return Outcome(Kind.APPLIED, Reason.DONE) if answer.ok else outcome_of_refusal(answer)


class Replying(BadServer):
    """Answers with the last value given to `reply`."""

    def __init__(self) -> None:
        super().__init__("own")
        self.data = b""

    def reply(self, status: int, body: Any, **headers: str) -> None:
        """Set the answer; `headers` with dashes for underscores."""
        data = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.data = "\r\n".join([*lines, "", ""]).encode("latin-1") + data


@pytest.fixture
def replying(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replying]:
    with Replying() as server:
        monkeypatch.setitem(MODES, "own", lambda _server, wire: wire.send(server.data))
        yield server


# -- How each bad answer ends an action

NO_ANSWERS = (
    "bad-length", "html", "no-content", "empty", "redirect", "bad-json", "json-list", "json-null", "not-utf-8",
    "deep-json",
)  # fmt: skip
"""HTTP responses that are not from Alerta; `test_transport` has the other failures."""


@pytest.mark.parametrize("mode", NO_ANSWERS)
def test_each_bad_answer_keeps_the_action_and_shows_no_key(mode: str) -> None:
    with BadServer(mode, location="http://127.0.0.1:1/alert") as server:
        outcome = close_through(client(server.url))
        assert outcome[:2] == (Kind.KEPT, Reason.NOT_ALERTA)
        assert KEY not in str(outcome)
        assert len(server.received) == 1


# -- Requests


def test_a_call_goes_out_with_key_name_and_json() -> None:
    with BadServer("ok") as server:
        body = {"action": "ack", "text": "f\u00fcr 🔥"}
        send(server, Call("PUT", f"/alert/{ALIAS}/action", body, JANE))
        [request] = server.received
    assert request.start == ["PUT", f"/alert/{ALIAS}/action", "HTTP/1.1"]
    assert json.loads(request.body) == body
    headers = request.headers
    assert headers["authorization"] == f"Key {KEY}"
    assert headers["accept"] == "application/json"
    assert headers["content-type"] == "application/json"
    assert headers[ON_BEHALF_OF.lower()] == JANE


def test_a_call_without_body_or_name_has_no_header_for_them() -> None:
    with BadServer("ok") as server:
        send(server, LOOK._replace(on_behalf_of=""))
        headers = server.received[0].headers
    assert "content-type" not in headers
    assert ON_BEHALF_OF.lower() not in headers


@given(st.text(st.characters(codec=None)))
def test_any_name_of_a_message_is_a_safe_header_and_comes_back_as_it_was(raw: str) -> None:
    who = clean_name(raw)
    header = headers_of(LOOK._replace(on_behalf_of=who), "key").get(ON_BEHALF_OF, "")
    assert header.isascii()
    assert header.isprintable()
    assert header == header.strip()
    assert len(header) < 4096
    assert answer_of(200, {ON_BEHALF_OF.lower(): header}, b"{}", "key").on_behalf_of == who


# -- Responses


def test_the_plugins_headers_are_read(replying: Replying) -> None:
    replying.reply(
        200,
        {"status": "ok"},
        X_Alerta_On_Behalf_Of="J%C3%BCrgen",
        X_Alerta_Alert_Status="ack",
        Retry_After="7",
        Date=formatdate(time.time() + 3600, usegmt=True),
    )
    began = time.time()
    answer = send(replying)
    took_seconds = time.time() - began
    assert answer[:5] == (200, {"status": "ok"}, "J\u00fcrgen", "ack", 7.0)
    # The date was made before the request, and has whole seconds.
    assert 3599 - took_seconds - 1 <= answer.clock_ahead_seconds <= 3600
    assert ALERT_STATUS == "X-Alerta-Alert-Status"


def test_without_the_headers_nothing_is_assumed(replying: Replying) -> None:
    replying.reply(200, {"status": "ok"})
    assert send(replying) == OK


@pytest.mark.parametrize(("ahead", "least", "most"), [(600, 500, 600), (-600, 0, 0)])
def test_retry_after_is_a_date(replying: Replying, ahead: int, least: int, most: int) -> None:
    date = formatdate(time.time() + ahead, usegmt=True)
    replying.reply(429, {"status": "error", "message": "slow"}, Retry_After=date)
    seconds = send(replying).retry_after_seconds
    assert seconds is not None
    assert least <= seconds <= most


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("120", 120), ("999999999", 999_999_999),
     *((invalid, None) for invalid in ("", "-1", "1" * 400, "\u00b2", "Wed, 99 Oct 2015"))],
)  # fmt: skip
def test_retry_after_is_seconds_or_invalid(text: str, expected: float | None) -> None:
    answer = answer_of(429, {"retry-after": text, "date": text}, b"", KEY)
    assert answer.retry_after_seconds == expected
    assert answer.clock_ahead_seconds == 0.0


# -- The key

REPEATED = {"status": "error", "code": 401, "message": f"API key parameter '{KEY}' is invalid", "requestId": "x"}


@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_key_that_alerta_repeats_is_not_shown(replying: Replying, status: int) -> None:
    replying.reply(status, REPEATED)
    answer = send(replying)
    assert answer.message == "API key parameter '***' is invalid"
    assert KEY not in str((answer, outcome_of_refusal(answer)))


@pytest.mark.parametrize("key", ["a/b\\c", 'a"b', "a<b&c", "'"])
def test_a_key_that_json_or_html_would_escape_is_not_shown_either(replying: Replying, key: str) -> None:
    replying.reply(401, {"status": "error", "message": f"the key ({key}) is invalid"})
    assert send(replying, key=key).message == "the key (***) is invalid"


@pytest.mark.parametrize("key", ["ok", "status", "o"])
def test_a_key_that_is_a_word_of_alertas_spoils_no_answer(replying: Replying, key: str) -> None:
    replying.reply(200, {"status": "ok", "alert": {"status": "open"}})
    assert send(replying, key=key).body == {"status": "ok", "alert": {"status": "open"}}


UNSENDABLE = ["8b1f x", "8b1f\n", "8b1f\r\nX-Admin: yes", "8b1f\x00", "8b1f\u00e4", "8b1f\u20ac", "8b1f\x7f", " 8b1f"]


@pytest.mark.parametrize("key", UNSENDABLE)
def test_a_key_that_is_invalid_in_a_header_is_not_sent_and_counts_as_a_wrong_key(key: str) -> None:
    with BadServer("ok") as server:
        asking = client(server.url, key)
        outcome = close_through(asking)
        assert (outcome.kind, outcome.reason) == (Kind.KEPT, Reason.UNAUTHORIZED)
        assert outcome.needs_person
        assert "8b1f" not in outcome.detail
        assert server.received == []
        assert asking.calls == 0


def test_an_alerta_without_authentication_needs_no_key() -> None:
    with BadServer("ok") as server:
        assert close_through(client(server.url, "")).kind is Kind.APPLIED


# -- The URL


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://alerta.example.com/api/alert", "/api"),
        ("https://alerta.example.com/api/alerts", "/api"),
        ("https://alerta.example.com/alert", ""),
        ("https://alerta.example.com//alert//", ""),
        ("https://example.com/alert/api", "/alert/api"),
    ],
)
def test_the_url_may_end_as_the_documented_one_does(url: str, base: str) -> None:
    assert address_of(url).path == base


NAMES = {
    "plain": (JANE, JANE),
    "spaces": ("Jane Doe", "Jane Doe"),
    "umlaut": ("J\u00fcrgen", "J%C3%BCrgen"),
    "emoji": ("🔥", "%F0%9F%94%A5"),
    "percent": ("100%20", "100%2520"),
    "quote": ('"x" <a@example.com>', "%22x%22 %3Ca@example.com%3E"),
    "backslash": ("AD\\jane", "AD%5Cjane"),
}


def test_calls_are_counted_whether_they_are_answered_or_not() -> None:
    with BadServer("ok") as server:
        asking = client(server.url)
        for mode in ("ok", "close", "ok"):
            server.mode = mode
            with contextlib.suppress(UnreachableError):
                asking.send(LOOK, time.monotonic() + LIMIT_SECONDS)
        assert asking.calls == 3
        asking.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_percent_encoded_where_a_header_could_not_carry_it(name: str) -> None:
    who, header = NAMES[name]
    assert headers_of(LOOK._replace(on_behalf_of=who), "key")[ON_BEHALF_OF] == header


def test_the_error_of_an_invalid_url_says_whose_it_is() -> None:
    with pytest.raises(AddressError, match=r"the URL of Alerta .* something like https://alerta\.example\.com/api"):
        AlertaClient("alerta.example.com", KEY, environment={})
