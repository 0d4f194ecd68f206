"""The pages on loopback."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest

from alerta_opsgenie.connector.web import Health, WebServer

WELL = Health(ready=True, status="fine")


def page(server: WebServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    ("health", "healthz", "readyz"),
    [
        (WELL, 200, 200),
        (Health(ready=False, troubles=("no credentials",)), 200, 503),
        (Health(ready=True, stuck=("work",)), 503, 503),
    ],
)
def test_what_stands_still_is_ill_and_what_takes_nothing_is_not_ready(
    health: Health, healthz: int, readyz: int
) -> None:
    server = WebServer("127.0.0.1", 0, lambda: b"metric 1\n", lambda: health)
    server.start()
    status, text = page(server, "/healthz")
    assert (status, json.loads(text)["troubles"]) == (healthz, list(health.troubles))
    assert page(server, "/readyz")[0] == readyz
    assert page(server, "/metrics?x=y") == (200, "metric 1\n")
    assert page(server, "/elsewhere")[0] == 404
    server.stop()


def test_a_caller_who_says_nothing_holds_nobody_up() -> None:
    server = WebServer("127.0.0.1", 0, lambda: b"metric 1\n", lambda: WELL)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)):
        assert page(server, "/readyz")[0] == 200
    server.stop()


def test_a_place_that_is_taken_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = WebServer("127.0.0.1", taken.getsockname()[1], bytes, lambda: WELL)
        with pytest.raises(OSError, match="in use"):
            second.start()
