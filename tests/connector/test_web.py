"""The connector's web server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from alerta_opsgenie.connector.service import WebServer
from alerta_opsgenie.connector.session import Health
from alerta_opsgenie.page.server import Request, Response

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
        (Health(ready=False, problems=("no credentials",)), 200, 503),
        (Health(ready=True, stuck=("work",)), 503, 503),
    ],
)
def test_a_stuck_connector_is_unhealthy_and_one_that_receives_nothing_is_not_ready(
    health: Health, healthz: int, readyz: int
) -> None:
    server = WebServer("127.0.0.1", 0, lambda: b"metric 1\n", lambda: health)
    server.start()
    status, text = page(server, "/healthz")
    assert (status, json.loads(text)["problems"]) == (healthz, list(health.problems))
    assert page(server, "/readyz")[0] == readyz
    assert page(server, "/metrics?x=y") == (200, "metric 1\n")
    assert page(server, "/elsewhere")[0] == 404
    server.stop()


def test_only_the_page_may_be_posted_to_and_a_form_is_small() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Response:
        asked.append(request)
        return Response(200, b"done")

    server = WebServer("127.0.0.1", 0, lambda: b"", lambda: WELL, answer)
    server.start()

    def post(path: str, body: bytes, content_type: str = "application/x-www-form-urlencoded") -> int:
        url = f"http://127.0.0.1:{server.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": content_type})) as found:
                return int(found.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert [post("/decide", b"a=1&b=%C3%BC"), post("/metrics", b"")] == [200, 405]
    assert asked.pop().fields == {"a": "1", "b": "\xfc"}
    assert post("/decide", b"{}", "application/json") == 415
    assert post("/decide", b"x" * 20_000) == 413
    assert post("/decide", b"&".join(b"x=1" for _ in range(30))) == 400
    assert asked == []
    server.stop()


def test_a_fault_in_one_response_does_not_affect_others(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request) -> Response:
        raise KeyError("the name of a thing")

    server = WebServer("127.0.0.1", 0, lambda: b"", lambda: WELL, fail)
    server.start()
    status, text = page(server, "/")
    assert (status, "KeyError" in text, "the name" in text) == (500, True, False)
    assert "the name of a thing" in caplog.text
    assert page(server, "/healthz")[0] == 200
    server.stop()
