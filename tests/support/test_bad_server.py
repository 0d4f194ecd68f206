"""The bad server: each mode is as bad as its name says, seen from a plain socket or the standard library's client."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.support.bad_server import ANNOUNCED_BYTES, LARGE_BODY_BYTES, MODES, BadServer, PrivateCa

REQUEST = b"GET /alert/1 HTTP/1.1\r\nHost: alerta\r\nAuthorization: Key secret\r\n\r\n"


def receive(server: BadServer, seconds: float) -> tuple[bytes, str]:
    """What comes within `seconds`, and how it ended: "closed", "reset", or "open"."""
    data, deadline = b"", time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(REQUEST)
        while (left := deadline - time.monotonic()) > 0:
            client.settimeout(left)
            try:
                got = client.recv(65_536)
            except TimeoutError:
                break
            except ConnectionResetError:
                return data, "reset"
            if not got:
                return data, "closed"
            data += got
    return data, "open"


@pytest.mark.parametrize(
    ("mode", "begins", "ending"),
    [
        ("hang", b"", "open"),
        ("reset", b"", "reset"),
        ("close", b"", "closed"),
        ("close-in-headers", b"HTTP/1.1 200 OK\r\nContent-Ty", "closed"),
        ("close-in-body", b"HTTP/1.1 200 OK\r\n", "closed"),
        ("announce-1-gb", b"HTTP/1.1 200 OK\r\n", "open"),
        ("bad-chunks", b"HTTP/1.1 200 OK\r\n", "closed"),
        ("bad-length", b"HTTP/1.1 200 OK\r\nContent-Length: many", "closed"),
        ("bad-status", b"HTTP/1.1 OK", "closed"),
        ("not-http", b"SSH-2.0", "closed"),
        ("long-header", b"HTTP/1.1 200 OK\r\nX-Long: xxx", "open"),
        ("many-headers", b"HTTP/1.1 200 OK\r\nX-Many: x\r\nX-Many", "open"),
    ],
)
def test_what_comes_and_how_it_ends(mode: str, begins: bytes, ending: str) -> None:
    with BadServer(mode) as server:
        data, ended = receive(server, 0.3)

    assert (data[: len(begins)], ended) == (begins, ending)
    assert data or not begins


@pytest.mark.parametrize("mode", ["drip-headers", "drip-body"])
def test_dripping_goes_on_a_byte_at_a_time(mode: str) -> None:
    with BadServer(mode) as server:
        data, ended = receive(server, 0.55)

    assert ended == "open"
    assert 3 <= data.count(b"x") <= 6


@pytest.mark.parametrize(
    ("mode", "status", "content_type", "body"),
    [
        ("ok", 200, "application/json", b'{"status": "ok"}'),
        ("html", 200, "text/html", b"<!doctype html><title>Alerta</title>"),
        ("no-content", 204, None, b""),
        ("empty", 200, "application/json", b""),
        ("bad-json", 200, "application/json", b'{"status": "ok",'),
        ("json-list", 200, "application/json", b'["ok"]'),
        ("json-null", 200, "application/json", b"null"),
        ("not-utf-8", 200, "application/json", b'{"status": "\xff\xfe"}'),
    ],
)
def test_whole_answers_are_what_their_mode_says(mode: str, status: int, content_type: str | None, body: bytes) -> None:
    with BadServer(mode) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        client.request("GET", "/")
        answer = client.getresponse()
        got = (answer.status, answer.headers["Content-Type"], answer.read())

    assert got == (status, content_type, body)


def test_the_large_body_is_large_and_whole() -> None:
    with BadServer("body-10-mb") as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        client.request("GET", "/")
        body = client.getresponse().read()

    assert len(json.loads(body)["padding"]) == LARGE_BODY_BYTES


def test_a_gigabyte_is_announced_and_not_sent() -> None:
    with BadServer("announce-1-gb") as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        client.request("GET", "/")
        answer = client.getresponse()

        assert answer.headers["Content-Length"] == str(ANNOUNCED_BYTES)


def test_a_redirect_names_the_other_server_which_records_who_follows() -> None:
    with BadServer("ok") as other, BadServer("redirect", location=f"{other.url}/stolen") as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        client.request("GET", "/", headers={"Authorization": "Key secret"})
        answer = client.getresponse()
        answer.read()

        assert (answer.status, answer.headers["Location"]) == (302, f"{other.url}/stolen")
        assert server.received[0].headers["authorization"] == "Key secret"
        assert other.received == []


@pytest.mark.parametrize("mode", sorted(MODES))
def test_every_mode_ends_at_once_when_the_server_is_closed(mode: str) -> None:
    with BadServer(mode) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(REQUEST)
        client.settimeout(60)
        client.recv(1) if mode not in ("hang", "reset", "close") else None
        began = time.monotonic()
        server.close()

    assert time.monotonic() - began < 30


def test_a_private_authority_is_trusted_by_who_is_told(tmp_path: Path) -> None:
    authority = PrivateCa(tmp_path)
    with BadServer("ok", tls=authority.server()) as server:
        client = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=authority.client())
        client.request("GET", "/")

        assert client.getresponse().status == 200


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("127.0.0.1", False, "unable to get local issuer"),
        ("wrong.example.com", True, "IP address mismatch"),
    ],
)
def test_an_unknown_authority_and_a_wrong_name_are_refused(
    tmp_path: Path, name: str, trusted: bool, reason: str
) -> None:
    authority = PrivateCa(tmp_path)
    context = authority.client() if trusted else ssl.create_default_context()
    with BadServer("ok", tls=authority.server(name)) as server:
        client = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=context)
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            client.request("GET", "/")

        assert server.received == []
