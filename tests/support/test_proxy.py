"""The proxy: unchanged bytes without a fault, and each fault exactly as it says."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.support.bad_server import BadServer, PrivateCa
from tests.support.console import Console
from tests.support.proxy import Proxy

DROPPED = (ConnectionResetError, http.client.RemoteDisconnected, BrokenPipeError)


@pytest.fixture
def upstream() -> Iterator[BadServer]:
    """A server that answers each request with 200."""
    with BadServer("ok") as server:
        yield server


@pytest.fixture
def relay(upstream: BadServer) -> Iterator[Proxy]:
    """A proxy in front of `upstream`."""
    with Proxy(upstream.url) as proxy:
        yield proxy


@pytest.fixture
def client(relay: Proxy) -> Iterator[http.client.HTTPConnection]:
    """One client connection to the proxy, kept alive."""
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=60)
    yield connection
    connection.close()


def ask(client: http.client.HTTPConnection, path: str = "/alert/1/action", body: bytes = b'{"action": "ack"}') -> int:
    """Send one request and return the status of the answer, which is read to its end."""
    client.request("PUT", path, body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    answer.read()
    return answer.status


def test_bytes_pass_unchanged(client: http.client.HTTPConnection, upstream: BadServer) -> None:
    body = bytes(range(256))

    client.request("PUT", "/a?b=c", body, {"X-Odd": "a  b"})
    answer = client.getresponse()

    assert (answer.status, json.loads(answer.read())) == (200, {"status": "ok"})
    (request,) = upstream.received
    assert (request.start, request.headers["x-odd"], request.body) == (["PUT", "/a?b=c", "HTTP/1.1"], "a  b", body)


def test_a_chunked_request_passes_whole(client: http.client.HTTPConnection, upstream: BadServer) -> None:
    client.request("PUT", "/", iter([b"one", b"two"]), {"Transfer-Encoding": "chunked"}, encode_chunked=True)

    assert client.getresponse().status == 200
    assert upstream.received[0].body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_kept_alive_and_new_connections_are_both_recorded(
    relay: Proxy, client: http.client.HTTPConnection, upstream: BadServer
) -> None:
    with relay.requests_seen() as seen:
        ask(client, "/1")
        ask(client, "/2")
        client.close()
        ask(client, "/3")

    assert seen == [("PUT", "/1", 200), ("PUT", "/2", 200), ("PUT", "/3", 200)]
    assert [exchange.connection for exchange in relay.exchanges] == [1, 1, 2]
    assert len(upstream.received) == 3


def test_only_requests_within_the_block_are_seen(relay: Proxy, client: http.client.HTTPConnection) -> None:
    ask(client, "/before")
    with relay.requests_seen() as seen:
        ask(client, "/within")
    ask(client, "/after")

    assert seen == [("PUT", "/within", 200)]


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    with BadServer("until-close") as server, Proxy(server.url) as proxy:
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
        client.request("GET", "/")
        assert json.loads(client.getresponse().read()) == {"status": "ok"}


def test_after_the_answer_to_head_the_connection_serves_the_next_request(proxy: Proxy) -> None:
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    for method, body in (("HEAD", b""), ("GET", b"OK")):
        client.request(method, "/management/gtg")
        assert client.getresponse().read() == body

    assert [exchange.connection for exchange in proxy.exchanges] == [1, 1]


@pytest.mark.parametrize("mode", ["close", "close-in-headers", "close-in-body", "reset"])
def test_a_server_that_breaks_off_is_passed_on_as_broken_off(mode: str) -> None:
    with BadServer(mode) as server, Proxy(server.url) as proxy, proxy.requests_seen() as seen:
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(client)

    assert seen == [("PUT", "/alert/1/action", 0)]


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


def test_a_hung_request_never_gets_through(relay: Proxy, upstream: BadServer) -> None:
    client = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=0.3)
    with relay.hanging() as fault:
        with pytest.raises(TimeoutError):
            ask(client)
        fault.wait_hit()
    client.close()

    assert ask(client) == 200
    assert len(upstream.received) == 1


def test_a_hung_client_is_reset_when_the_fault_ends(relay: Proxy, client: http.client.HTTPConnection) -> None:
    with relay.hanging() as fault:
        client.request("GET", "/")
        fault.wait_hit()

    with pytest.raises(DROPPED):
        client.getresponse()


def test_a_request_dropped_in_its_middle_does_not_reach_the_server_whole(
    relay: Proxy, client: http.client.HTTPConnection, upstream: BadServer
) -> None:
    with relay.requests_seen() as seen, relay.dropping_requests(1) as fault:
        with pytest.raises(DROPPED):
            ask(client)
        client.close()
        assert ask(client) == 200

    assert (fault.hits, len(upstream.received), len(seen)) == (1, 1, 1)


@pytest.mark.parametrize("after_bytes", [0, 1, 20])
def test_a_dropped_answer_belongs_to_a_request_that_was_served(
    relay: Proxy, client: http.client.HTTPConnection, upstream: BadServer, after_bytes: int
) -> None:
    with relay.requests_seen() as seen, relay.dropping_answers(2, after_bytes=after_bytes):
        for _ in range(2):
            with pytest.raises((*DROPPED, http.client.HTTPException)):
                ask(client)
            client.close()
        assert ask(client) == 200

    assert [status for _method, _path, status in seen] == [200, 200, 200]
    assert len(upstream.received) == 3


def test_of_a_dropped_answer_comes_as_much_as_asked_for_and_then_a_reset(relay: Proxy) -> None:
    with relay.dropping_answers(after_bytes=12), socket.create_connection(("127.0.0.1", relay.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: alerta\r\n\r\n")
        assert plain.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
        with pytest.raises(ConnectionResetError):
            plain.recv(1)


def test_the_proxy_s_own_answer_does_not_reach_the_server(
    relay: Proxy, client: http.client.HTTPConnection, upstream: BadServer
) -> None:
    with relay.requests_seen() as seen, relay.answering(429, {"Retry-After": "7"}, times=1):
        client.request("GET", "/")
        answer = client.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert "the proxy" in json.loads(answer.read())["message"]
        assert ask(client) == 200

    assert len(upstream.received) == len(seen) == 1
    assert [(exchange.status, exchange.passed) for exchange in relay.exchanges] == [(429, False), (200, True)]


def test_the_youngest_fault_wins_and_the_older_comes_back(relay: Proxy, client: http.client.HTTPConnection) -> None:
    with relay.answering(503):
        with relay.answering(401):
            assert ask(client) == 401
        assert ask(client) == 503
    assert ask(client) == 200


def test_a_delayed_request_waits_and_is_served(relay: Proxy, client: http.client.HTTPConnection) -> None:
    began = time.monotonic()
    with relay.delaying(0.2):
        assert ask(client) == 200

    assert time.monotonic() - began >= 0.2


def test_a_dripped_answer_comes_byte_by_byte_and_whole(relay: Proxy, client: http.client.HTTPConnection) -> None:
    began = time.monotonic()
    with relay.dripping(0.002):
        assert ask(client) == 200

    assert time.monotonic() - began >= 0.1


def test_an_idle_connection_that_the_server_closes_is_closed_to_the_client(
    client: http.client.HTTPConnection, upstream: BadServer
) -> None:
    ask(client)
    upstream.close()

    assert client.sock.recv(1) == b""


def test_a_server_that_is_down_resets_the_client(relay: Proxy, client: http.client.HTTPConnection) -> None:
    with BadServer("ok") as gone:
        relay.target = ("127.0.0.1", gone.port)

    with pytest.raises(DROPPED):
        ask(client)


def test_with_tls_the_proxy_is_trusted_by_who_knows_its_authority(upstream: BadServer, tmp_path: Path) -> None:
    authority = PrivateCa(tmp_path)
    with Proxy(upstream.url, tls=authority.server()) as proxy:
        context = authority.client()
        for _ in range(2):
            client = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=60, context=context)
            assert (proxy.url[:8], ask(client)) == ("https://", 200)
            client.close()


def test_closing_ends_a_hung_connection_at_once(upstream: BadServer) -> None:
    with Proxy(upstream.url) as proxy:
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
        with proxy.hanging() as fault:
            client.request("GET", "/")
            fault.wait_hit()
            proxy.close()

            with pytest.raises(DROPPED):
                client.getresponse()


def test_alerta_has_acted_on_a_request_whose_answer_was_dropped(
    alerta: AlertaServer, console: Console, proxy: Proxy
) -> None:
    alert_id = console.create_alert()["id"]
    through = Console(proxy.url, alerta.admin_key)

    with proxy.dropping_answers(1), pytest.raises(DROPPED):
        through.action(alert_id, "ack")
    assert console.status(alert_id) == "ack"

    with proxy.dropping_requests(1), pytest.raises(DROPPED):
        through.action(alert_id, "close")
    assert console.status(alert_id) == "ack"


def test_requests_to_alerta_are_counted_exactly(alerta: AlertaServer, console: Console, proxy: Proxy) -> None:
    alert_id = console.create_alert()["id"]
    through = Console(f"{proxy.url}/api", alerta.admin_key)

    with proxy.requests_seen() as seen:
        through.action(alert_id, "ack")
        through.get(alert_id)

    assert seen == [("PUT", f"/api/alert/{alert_id}/action", 200), ("GET", f"/api/alert/{alert_id}", 200)]


def test_a_frozen_alerta_behind_the_proxy_hangs_and_then_answers(
    alerta: AlertaServer, console: Console, proxy: Proxy
) -> None:
    alert_id = console.create_alert()["id"]
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=0.3)
    headers = {"Authorization": f"Key {alerta.admin_key}"}
    alerta.freeze()
    try:
        client.request("GET", f"/alert/{alert_id}", headers=headers)
        with pytest.raises(TimeoutError):
            client.getresponse()
    finally:
        alerta.thaw()
        client.close()

    assert Console(proxy.url, alerta.admin_key).status(alert_id) == "open"
