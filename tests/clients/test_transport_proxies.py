"""Proxies from the environment: what is sent to them, and their failures."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping

import pytest

from alerta_opsgenie.clients.connection import AddressError, Connection, proxy_for, read_address
from tests.support.bad_server import BadServer, PrivateCa
from tests.support.exchanges import SECRET, connect, failure, get
from tests.support.wire import Message, Server, Wire


class ConnectProxy(Server):
    """A proxy that takes CONNECT and then passes bytes on to `target`, or answers `refusal` instead."""

    def __init__(self, target: tuple[str, int] | None, refusal: bytes = b"") -> None:
        super().__init__()
        self.target = target
        self.refusal = refusal
        self.asked: list[Message] = []

    def serve(self, wire: Wire) -> None:
        request = wire.read_request()
        if request is None:
            return
        self.asked.append(request)
        if self.target is None:
            wire.send(self.refusal)
            wire.read_request()
            return
        with socket.create_connection(self.target) as server:
            wire.send(b"HTTP/1.1 200 Connection established\r\nVia: proxy\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, wire.socket), daemon=True)
            back.start()
            _pump(wire.socket, server)
            back.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


# -- https:// through CONNECT


def test_https_goes_through_a_tunnel_and_only_the_server_sees_the_request(ca: PrivateCa) -> None:
    with BadServer("ok", tls=ca.server()) as server, ConnectProxy(("127.0.0.1", server.port)) as proxy:
        connection = connect(server.url, environment={"HTTPS_PROXY": proxy.url}, ca_file=str(ca.path))
        assert [get(connection).status for _ in range(2)] == [200, 200]
        connection.close()
        [asked] = proxy.asked
        assert asked.start == ["CONNECT", f"127.0.0.1:{server.port}", "HTTP/1.1"]
        assert SECRET not in str(asked)
        assert [request.start[1] for request in server.received] == ["/x", "/x"]
        assert server.received[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_within_a_tunnel_the_host_is_the_servers_and_not_the_proxys(ca: PrivateCa) -> None:
    with (
        BadServer("ok", tls=ca.server("alerta.example.com")) as server,
        ConnectProxy(("127.0.0.1", server.port)) as proxy,
    ):
        connection = connect(
            "https://alerta.example.com/api", environment={"https_proxy": proxy.url}, ca_file=str(ca.path)
        )
        assert get(connection).status == 200
        connection.close()
        assert proxy.asked[0].start[1] == "alerta.example.com:443"
        assert server.received[0].headers["host"] == "alerta.example.com"


def test_the_certificate_within_a_tunnel_is_checked_against_the_servers_name(ca: PrivateCa) -> None:
    with BadServer("ok", tls=ca.server()) as server, ConnectProxy(("127.0.0.1", server.port)) as proxy:
        connection = connect("https://alerta.example.com", environment={"HTTPS_PROXY": proxy.url}, ca_file=str(ca.path))
        told = str(failure(connection))
        assert "its certificate is not trusted: Hostname mismatch" in told
        assert server.received == []


def test_an_ipv6_address_is_sent_in_brackets(ca: PrivateCa) -> None:
    with ConnectProxy(None, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        failure(connect("https://[2001:db8::1]:8443", environment={"HTTPS_PROXY": proxy.url}, ca_file=str(ca.path)))
        assert proxy.asked[0].start[1] == "[2001:db8::1]:8443"
        assert proxy.asked[0].headers["host"] == "[2001:db8::1]:8443"


REFUSALS = {
    "forbidden": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "the proxy answered 403 to CONNECT"),
    "credentials wanted": (
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        "the proxy answered 407 to CONNECT",
    ),
    "bad gateway": (b"HTTP/1.0 502 Bad Gateway\r\n\r\nno", "the proxy answered 502 to CONNECT"),
    "no HTTP": (b"SSH-2.0-x\r\n", "not HTTP"),
    "silence": (b"", "did not answer in time"),
    "half a head": (b"HTTP/1.1 200 OK\r\nVia: ", "did not answer in time"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_proxy_that_opens_no_tunnel_is_a_failure_by_the_deadline(name: str, ca: PrivateCa) -> None:
    refusal, expected = REFUSALS[name]
    with ConnectProxy(None, refusal) as proxy:
        connection = connect("https://alerta.example.com", environment={"HTTPS_PROXY": proxy.url}, ca_file=str(ca.path))
        told = str(failure(connection))
        assert expected in told
        assert told.startswith("https://alerta.example.com:443")
        assert SECRET not in str(proxy.asked)


def test_user_and_password_are_sent_to_the_proxy_only(ca: PrivateCa) -> None:
    with BadServer("ok", tls=ca.server()) as server, ConnectProxy(("127.0.0.1", server.port)) as proxy:
        environment = {"HTTPS_PROXY": proxy.url.replace("//", "//alice:s3%63ret@")}
        connection = connect(server.url, environment=environment, ca_file=str(ca.path))
        assert get(connection).status == http.client.OK
        assert proxy.asked[0].headers["proxy-authorization"] == "Basic YWxpY2U6czNjcmV0"
        assert "proxy-authorization" not in server.received[0].headers
        assert "s3cret" not in repr(connection._proxy)


# -- http:// through a proxy


def test_http_asks_the_proxy_for_the_whole_url() -> None:
    with BadServer("ok") as proxy:
        connection = connect("http://alerta.example.com/api", environment={"http_proxy": proxy.url})
        assert [get(connection).status for _ in range(2)] == [200, 200]
        connection.close()
        for request in proxy.received:
            assert request.start == ["GET", "http://alerta.example.com:80/api/x", "HTTP/1.1"]
            assert request.headers["host"] == "alerta.example.com"


# -- Which proxy


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://a.example", {"HTTPS_PROXY": ""}, None),
        ("https://a.example", {"HTTPS_PROXY": "http://p.example:3128"}, ("p.example", 3128)),
        ("https://a.example", {"https_proxy": "p.example:3128"}, ("p.example", 3128)),
        ("https://a.example", {"https_proxy": "http://p.example"}, ("p.example", 80)),
        ("https://a.example", {"https_proxy": "http://[::1]:3128"}, ("::1", 3128)),
        ("http://a.example", {"http_proxy": "http://p.example:3128"}, ("p.example", 3128)),
        ("http://a.example", {"HTTP_PROXY": "http://p.example:3128"}, None),
        ("http://a.example", {"https_proxy": "http://p.example:3128"}, None),
    ],
)
def test_the_environment_names_the_proxy(
    url: str, environment: Mapping[str, str], proxy: tuple[str, int] | None
) -> None:
    found = proxy_for(read_address(url, "Alerta", "x"), environment)
    assert (found and found[:2]) == proxy


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("alerta.example.com", "ALERTA.EXAMPLE.COM", True),
        ("alerta.example.com", ".example.com", True),
        ("alerta.example.com", "x, .example.com y", True),
        ("alerta.example.com", "*", True),
        ("alerta.example.com", "alerta.example.com:8080", True),
        ("alerta.example.com", "alerta.example.com:80", False),
        ("alerta.example.com", "xample.com", False),
        ("alerta.example.com", ".", False),
        ("[::1]", "[::1]", True),
    ],
)
def test_no_proxy_names_who_is_reached_directly(host: str, no_proxy: str, direct: bool) -> None:
    address = read_address(f"http://{host}:8080", "Alerta", "x")
    for name in ("no_proxy", "NO_PROXY"):
        found = proxy_for(address, {"http_proxy": "http://p.example:3128", name: no_proxy})
        assert (found is None) is direct


@pytest.mark.parametrize(
    "proxy",
    [
        "https://p.example:3128", "socks5://p.example:1080", "socks5://user:s3cret@p.example:3128", "http://",
        "http://p.example:port", "http://[::1", "p.example:99999",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_named_without_its_credentials(proxy: str) -> None:
    with pytest.raises(AddressError, match="the proxy in https_proxy cannot be used") as caught:
        proxy_for(read_address("https://a.example", "Alerta", "x"), {"https_proxy": proxy})
    assert "s3cret" not in str(caught.value)


def test_a_proxy_that_is_away_is_a_failure() -> None:
    told = str(failure(connect("http://alerta.example.com", environment={"http_proxy": "http://127.0.0.1:1"})))
    assert "Connection refused" in told


def test_a_server_in_no_proxy_is_reached_directly() -> None:
    with BadServer("ok") as server, BadServer("ok") as proxy:
        environment = {"http_proxy": proxy.url, "NO_PROXY": "127.0.0.1"}
        assert get(connect(server.url, environment=environment)).status == http.client.OK
        assert len(server.received) == 1
        assert proxy.received == []


def test_the_processs_own_environment_counts_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with BadServer("ok") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", "")
        assert get(Connection(read_address("http://alerta.example.com", "Alerta", "x"))).status == http.client.OK
        assert len(proxy.received) == 1
