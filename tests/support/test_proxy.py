"""The proxy: whole requests and answers without a fault, and each fault exactly as documented."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator

import pytest
from lab.alerta_server import AlertaServer

from tests.support.bad_server import BadServer
from tests.support.console import Console
from tests.support.proxy import Forced, Proxy

DROPPED = (ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError)


@pytest.fixture
def upstream() -> Iterator[BadServer]:
    """A server that answers each request with 200."""
    with BadServer("ok") as server:
        yield server


@pytest.fixture
def relay(upstream: BadServer) -> Iterator[Proxy]:
    with Proxy(upstream.url) as proxy:
        yield proxy


@pytest.fixture
def client(relay: Proxy) -> Iterator[http.client.HTTPConnection]:
    """One client connection to the proxy, kept alive."""
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=60)
    yield connection
    connection.close()


def ask(client: http.client.HTTPConnection, path: str = "/alert/1/action") -> int:
    """Send one request and return the status of the answer, which is read to its end."""
    client.request("PUT", path, b'{"action": "ack"}', {"X-Odd": "a  b"})
    answer = client.getresponse()
    answer.read()
    return answer.status


def test_requests_pass_unchanged_and_are_recorded(
    relay: Proxy, client: http.client.HTTPConnection, upstream: BadServer
) -> None:
    assert [ask(client, path) for path in ("/1?a=b", "/2")] == [200, 200]
    assert [(one.path, one.status, one.passed) for one in relay.exchanges] == [("/1?a=b", 200, True), ("/2", 200, True)]
    sent = upstream.received[0]
    assert (sent.start, sent.headers["x-odd"]) == (["PUT", "/1?a=b", "HTTP/1.1"], "a  b")
    assert sent.body == b'{"action": "ack"}'


@pytest.mark.parametrize(
    ("force", "reaches"),
    [
        (Proxy.hanging, False),
        (Proxy.dropping_requests, False),
        (Proxy.dropping_answers, True),
        (lambda relay: relay.dropping_answers(after_bytes=40), True),
    ],
    ids=["hanging", "dropping requests", "dropping answers", "dropping half of answers"],
)
def test_no_answer_comes_and_alerta_has_acted_on_it_or_not(
    relay: Proxy,
    client: http.client.HTTPConnection,
    upstream: BadServer,
    force: Callable[[Proxy], Forced],
    reaches: bool,
) -> None:
    with pytest.raises((*DROPPED, http.client.IncompleteRead)):  # noqa: PT012 - a hanging request ends with its fault
        with force(relay) as fault:
            client.request("PUT", "/", b"12345")
            fault.wait_hit()
        client.getresponse().read()
    assert len(upstream.received) == reaches


def test_the_proxys_own_answer_does_not_reach_the_server_and_the_youngest_fault_wins_as_often_as_said(
    relay: Proxy, client: http.client.HTTPConnection, upstream: BadServer
) -> None:
    with relay.answering(503), relay.answering(429, {"Retry-After": "1"}, times=1):
        assert [ask(client), ask(client)] == [429, 503]
    assert (upstream.received, [one.passed for one in relay.exchanges]) == ([], [False, False])
    assert ask(client) == 200


def test_a_delayed_request_waits_and_is_served(relay: Proxy, client: http.client.HTTPConnection) -> None:
    began = time.monotonic()
    with relay.delaying(0.2):
        assert ask(client) == 200
    assert time.monotonic() - began >= 0.2


def test_refused_connections_come_back_on_the_same_port(relay: Proxy, client: http.client.HTTPConnection) -> None:
    ask(client)
    with relay.refusing():
        with pytest.raises(DROPPED):
            ask(client)
        client.close()
        with pytest.raises(ConnectionRefusedError):
            ask(client)
        client.close()
    assert ask(client) == 200


@pytest.mark.parametrize("mode", ["close", "close-in-body"])
def test_a_server_that_breaks_off_or_is_down_resets_the_client(mode: str) -> None:
    with BadServer(mode) as server, Proxy(server.url) as proxy:
        for is_down in (False, True):
            with pytest.raises(DROPPED):
                ask(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60))
            assert len(proxy.exchanges) == 1
            if not is_down:
                server.stop()


def test_alerta_has_acted_on_a_request_whose_answer_was_dropped(
    alerta: AlertaServer, console: Console, proxy: Proxy
) -> None:
    alert_id = console.create_alert()["id"]
    through = Console(proxy.url, alerta.admin_key)
    with proxy.dropping_answers(1), pytest.raises(DROPPED):
        through.action(alert_id, "ack")
    with proxy.dropping_requests(1), pytest.raises(DROPPED):
        through.action(alert_id, "close")
    assert console.status(alert_id) == through.status(alert_id) == "ack"
