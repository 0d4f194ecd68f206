"""The bad server: each mode is as bad as its name says, seen from a plain socket or the standard library's client."""

from __future__ import annotations

import http.client
import socket
import time

import pytest

from tests.support.bad_server import BadServer

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
        ("drip-headers", b"HTTP/1.1 200 OK\r\nX-Drip: x", "open"),
        ("drip-body", b"HTTP/1.1 200 OK\r\n", "open"),
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
