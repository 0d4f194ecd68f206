"""Secrets print as three asterisks, and what looks like one does not reach a reader."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.secret import Secret, is_secret_name, mask, redact_text, safe_url

ALERT_ID = "3f1c7a52-8d0e-4b6a-9c41-5e2b7f90d1aa"


@dataclass
class Holder:
    key: Secret


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, lambda secret: repr([Holder(secret)])])
def test_printing_never_shows_the_text(show: object) -> None:
    assert callable(show)
    printed = show(Secret("k-4711"))
    assert "4711" not in printed
    assert "***" in printed


def test_secrets_compare_by_their_text_and_with_secrets_alone() -> None:
    assert Secret("a\ud800") == Secret("a\ud800")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("Acknowledge by k with k.", ["k"], "Acknowledge by *** with ***."),
        ("word words", ["word"], "*** words"),
        ("x12345678y", ["12345678"], "x***y"),
        ("abcdefgh-long", ["abcdefgh", "abcdefgh-long"], "***"),
        ("a.b axb", ["a.b"], "*** axb"),
    ],
)
def test_known_secrets_are_hidden_and_short_ones_not_inside_of_words(text: str, secrets: list[str], shown: str) -> None:
    assert mask(text, secrets) == mask(text, map(Secret, secrets)) == shown


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("apiKey", True), ("ALERTA_API_KEY", True), ("password", True), ("gitPassphrase", True),
        ("client-secret", True),
        ("Authorization", True), ("DB_DSN", True), ("alertaApiKeyFile", False), ("privateKeyFilepath", False),
        ("username", False), ("projectKey", False), ("keepAliveTimeInMillis", False), ("logLevel", False),
    ],
)  # fmt: skip
def test_secrets_are_known_by_the_name_they_go_under(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HTTPS_PROXY=http://user:pass@proxy:3128", "HTTPS_PROXY=http://***@proxy:3128"),
        ("DB_DSN=postgres://u:p/w@db/x", "DB_DSN=***"),
        ("cannot reach http://user:p@ss@h/x now", "cannot reach http://***@h/x now"),
        ("Authorization: Key abcdefgh123", "Authorization: Key ***"),
        ("sent GenieKey 12345678-aaaa", "sent GenieKey ***"),
        ("--alertaApiKey abc --x 1", "--alertaApiKey *** --x 1"),
        ("['--alertaApiKey', 'abc', '--x']", "['--alertaApiKey', '***', '--x']"),
        ('{"apiKey": "a \\"b", "n": 1}', '{"apiKey": "***", "n": 1}'),
        ('"{\\"apiKey\\": \\"abc\\"}"', '"{\\"apiKey\\": \\"***\\"}"'),
        ("password='a b'; rest", "password='***'; rest"),
        (f"API_KEY={ALERT_ID}", "API_KEY=***"),
        ("token 0123456789abcdef0123456789abcdef here", "token *** here"),
    ],
)
def test_text_that_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        f"Acknowledge {ALERT_ID} by alice@example.com",
        f"entity {ALERT_ID}-1751623200123",
        "give --alertaApiKeyFile FILE, or set ALERTA_API_KEY",
        "--alertaApiKey --next",
    ],
)
def test_other_text_is_not_hidden(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.opsgenie.com/v2", "https://api.opsgenie.com/v2"),
        ("https://me:s@h:8080/p", "https://***@h:8080/p"),
        ("https://h/p?api-key=s#s", "https://h/p?***#***"),
        ("https://[::1", "***"),
    ],
)
def test_urls_lose_user_query_and_fragment(url: str, shown: str) -> None:
    assert safe_url(url) == redact_text(url) == shown


@pytest.mark.parametrize("part", ["a", "://", "a://", "a=", "key=", 'key="', "key= ", "--key ", "'", "@", "a:", "Key "])
def test_a_long_hostile_text_takes_no_long_time(part: str) -> None:
    began = time.monotonic()
    redact_text(part * 100_000)
    assert time.monotonic() - began < 30


def test_only_reveal_gives_the_text() -> None:
    assert Secret("k-4711").reveal() == "k-4711"
    with pytest.raises(TypeError):
        json.dumps(Secret("k-4711"))


@given(st.text(alphabet="k=ey:/@\"'\\ -\n", max_size=60))
def test_any_text_is_redacted(text: str) -> None:
    redact_text(text)
