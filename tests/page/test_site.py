"""Who may see the page, and who may retry and drop with it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest

from alerta_opsgenie.journal import New
from alerta_opsgenie.page.server import Request, Response
from alerta_opsgenie.page.site import HEADERS, Page
from alerta_opsgenie.page.view import PageInputs, Part, Problem
from tests.cli.state_directory import StateDirectory

TOKEN = "0123456789abcdef"
Ask = Callable[..., Response]


@pytest.fixture
def place(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


def page(place: StateDirectory, token: str = TOKEN, host: str = "127.0.0.1", **more: object) -> Ask:
    source = PageInputs(
        str(place.directory), lambda: Part("Queue", "", is_well=True), token=lambda: token, enabling="Do this.",
        **more,  # type: ignore[arg-type]
    )  # fmt: skip
    made = Page(source, host)

    def ask(path: str = "/", method: str = "GET", fields: dict[str, str] | None = None, **given: str) -> Response:
        headers = Message()
        for name, value in {"Host": "localhost:7070", **given}.items():
            headers[name.replace("_", "-")] = value
        return made.answer(Request(method, path, fields or {}, headers))

    return ask


def drop(ask: Ask, key: str, token: str = TOKEN, **headers: str) -> int:
    return ask("/decide", "POST", {"do": "drop", "target": target(), "key": key, "token": token}, **headers).status


def target() -> str:
    return "http-127.0.0.1-9-"


@pytest.mark.parametrize(
    ("host", "listened_at", "status"),
    [
        ("localhost", "127.0.0.1", 200),
        ("[::1]:7070", "::1", 200),
        ("evil.example.com:7070", "127.0.0.1", 403),
        ("127.0.0.1.example.com", "127.0.0.1", 403),
        ("127.0.0.1@evil.example.com", "127.0.0.1", 403),
        ("[", "127.0.0.1", 403),
        ("", "127.0.0.1", 403),
    ],
)
def test_a_host_that_may_come_from_dns_rebinding_is_refused(
    place: StateDirectory, host: str, listened_at: str, status: int
) -> None:
    assert page(place, host=listened_at)(Host=host).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost:7070", "Sec_Fetch_Site": "same-origin"}, 303),
        ({}, 303),  # no browser: the token is enough
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "none"}, 403),
        ({"Origin": "http://evil.example.com", "Host": "evil.example.com"}, 403),
    ],
)
def test_a_form_of_another_page_is_refused(place: StateDirectory, headers: dict[str, str], status: int) -> None:
    key = place.keep("Close", dead=True).key
    assert drop(page(place), key, **headers) == status
    assert len(place.actions()) == (status == 403)


@pytest.mark.parametrize(("token", "given"), [(TOKEN, ""), (TOKEN, TOKEN + "0"), (TOKEN, "\ud800"), ("", "")])
def test_without_the_token_nothing_is_changed(place: StateDirectory, token: str, given: str) -> None:
    key = place.keep("Close", dead=True).key
    assert drop(page(place, token), key, given) == 403
    assert place.states() == [("Close", "dead")]


@pytest.mark.parametrize(("path", "method"), [("/decide", "GET"), ("/", "POST"), ("/action", "POST")])
def test_reading_changes_nothing_and_only_the_form_is_posted(place: StateDirectory, path: str, method: str) -> None:
    key = place.keep("Close", dead=True).key
    answer = page(place)(path, method, {"do": "drop", "target": target(), "key": key, "token": TOKEN})
    assert (answer.status, place.states()) == (405, [("Close", "dead")])


def test_an_action_that_has_ended_meanwhile_is_reported_as_ended(place: StateDirectory) -> None:
    key, ask = place.keep("Close", dead=True).key, page(place)
    fields = {"do": "drop", "target": target(), "key": key, "token": TOKEN}
    assert [ask("/decide", "POST", fields).headers["Location"] for _ in range(2)] == ["./?done=drop", "./?done=gone"]
    assert b"has ended or is gone" in ask("/", fields={"done": "gone"}).body


def test_without_a_token_the_page_shows_how_to_set_one(place: StateDirectory) -> None:
    key = place.keep("Close", dead=True).key
    body = page(place, token="")("/action", fields={"target": target(), "key": key, "do": "drop"}).body
    assert b"This page only shows. Do this." in body
    assert b"<form class" not in body


def test_a_server_not_at_loopback_needs_the_token_for_reading(place: StateDirectory) -> None:
    def password(text: str) -> str:
        return "Basic " + base64.b64encode(f"me:{text}".encode()).decode()

    ask = page(place, host="0.0.0.0")
    assert ask().headers["WWW-Authenticate"].startswith("Basic ")
    given = [ask(Authorization=password(text)).status for text in (TOKEN, TOKEN[:-1], "")]
    assert [*given, ask(Authorization="Basic \x00").status, ask("/page.css").status] == [200, 401, 401, 401, 401]
    assert page(place, token="", host="0.0.0.0")(Authorization=password("")).status == 403


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/nothing", "/decide"])
def test_each_response_has_the_security_headers(place: StateDirectory, path: str) -> None:
    answer = page(place)(path)
    assert set(HEADERS.items()) <= set(answer.headers.items())
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert b"http:" not in answer.body
    assert b"https:" not in answer.body


def test_secrets_are_masked_everywhere(place: StateDirectory) -> None:
    secrets = ["a-secret-of-somebody", "another<secret"]
    action = place.keep("AddNote", note=" ".join(secrets), username=secrets[0], dead=True)
    ask = page(place, secrets=lambda: secrets, problems=lambda: [Problem(secrets[1])])
    shown = (ask().body + ask("/action", fields={"target": target(), "key": action.key}).body).decode()
    assert "AddNote" in shown
    assert [part for part in ("a-secret", "another") if part in shown] == []


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 10_000, '{"alert": "\\ud800"}', "\0", ""])
def test_an_unreadable_dead_letter_is_shown(place: StateDirectory, text: str) -> None:
    place.journal().record_dead(New("a/b", "", 1, "unreadable", text), time.time(), "bad-message", "not JSON")
    ask = page(place)
    assert ask(fields={"q": "bad"}).status == ask("/action", fields={"target": target(), "key": "a/b"}).status == 200


def test_an_unusable_journal_is_a_problem_with_advice(place: StateDirectory) -> None:
    place.keep("Close")
    (place.directory / "targets" / target()).chmod(0o770)
    ask = page(place)
    body = ask().body.decode()
    assert "Not well" in body
    assert "chmod 700" in body
    assert "chmod 700" in ask("/alert", fields={"target": target(), "id": "x"}).body.decode()
