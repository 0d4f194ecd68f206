"""Connecting to a server: addresses, names, IPv6, TLS with a private CA, and invalid URLs."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from alerta_opsgenie.clients import connection as transport
from alerta_opsgenie.clients.connection import AddressError, read_address
from tests.support.bad_server import BadServer, PrivateCa
from tests.support.exchanges import connect, failure, get

# -- Reaching the server


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30) and [])
    try:
        assert failure(connect("http://alerta.example.com")).timed_out
    finally:
        over.set()


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "the name has no address"),
        (UnicodeError("label too long"), "the name is no valid host name"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
    ],
)
def test_a_name_without_address_is_a_failure(monkeypatch: pytest.MonkeyPatch, found: Any, text: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", mock.Mock(side_effect=[found]))
    assert str(failure(connect("http://alerta.example.com/api"))) == f"http://alerta.example.com:80/api: {text}"


@contextlib.contextmanager
def swallowing() -> Iterator[tuple[str, int]]:
    """Return an address that takes no more connections and refuses none, as a route into nowhere does."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        where = listener.getsockname()[:2]
        for _ in range(3):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            assert filler.connect_ex(where) in (0, errno.EINPROGRESS)
        yield where


def resolving_to(*addresses: tuple[str, int]) -> Callable[..., list[Any]]:
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]


def test_an_address_that_drops_packets_ends_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    with swallowing() as nowhere:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to(nowhere))
        assert failure(connect("http://alerta.example.com")).timed_out


def test_an_address_that_drops_packets_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with swallowing() as nowhere, BadServer("ok") as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to(nowhere, ("127.0.0.1", server.port)))
        assert get(connect("http://alerta.example.com")).status == 200


# -- TLS


def test_http_to_an_https_server_and_https_to_an_http_server_are_failures(ca: PrivateCa) -> None:
    with BadServer("ok", tls=ca.server()) as server:
        failure(connect(server.url.replace("https:", "http:")))
    with BadServer("not-http") as server:
        failure(connect(server.url.replace("http:", "https:"), ca_file=str(ca.path)))


def test_plain_http_loads_no_ssl() -> None:
    """The executor would pay 10 ms for it, once per action."""
    assert "ssl" not in vars(transport)


# -- Invalid URLs


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://alerta.example.com", "http://alerta.example.com:80"),
        (" https://alerta.example.com/api/\n", "https://alerta.example.com:443/api"),
        ("HTTPS://Alerta.Example.COM:8443//", "https://alerta.example.com:8443"),
        ("http://[::1]:8080/api", "http://[::1]:8080/api"),
    ],
)
def test_a_url_is_read(url: str, shown: str) -> None:
    assert str(read_address(url, "Alerta", "x")) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://alerta.example.com",
        "http://alerta.example.com:port",
        "http://[::1",
        "http://user:s3cret@alerta.example.com",
        "http://alerta.example.com/api?api-key=s3cret",
        "http://alerta.example.com/\u00e4",
        "http://alerta.example.com/\x7f",
        "http://alerta.example.com\r\nX: y",
    ],
)
def test_the_error_of_an_invalid_url_has_an_example_and_not_the_url(url: str) -> None:
    with pytest.raises(AddressError) as caught:
        read_address(url, "Alerta", "https://alerta.example.com/api")
    assert "Alerta" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://alerta.example.com:8080", "alerta.example.com:8080"),
        ("https://alerta.example.com", "alerta.example.com"),
        ("https://[::1]:443", "[::1]"),
        ("https://b\u00fccher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_header_names_the_port_only_where_it_is_not_the_usual_one(url: str, authority: str) -> None:
    assert read_address(url, "Alerta", "x").authority == authority


def test_a_closed_port_is_a_failure_and_no_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert f"http://127.0.0.1:{port}: Connection refused" in str(failure(connect(f"http://127.0.0.1:{port}")))


def test_a_server_on_ipv6_is_reached_and_named_in_brackets() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    port = listener.getsockname()[1]
    heads: list[bytes] = []

    def serve() -> None:
        taken, _ = listener.accept()
        with taken:
            heads.append(taken.recv(65_536))
            taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        connection = connect(f"http://[::1]:{port}/api")
        assert get(connection).body == b"{}"
        connection.close()
        thread.join(5)
    assert f"Host: [::1]:{port}\r\n".encode() in heads[0]
    assert str(connection.address) == f"http://[::1]:{port}/api"


def test_a_refused_address_leads_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with BadServer("ok") as server:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to(("127.0.0.1", 1), ("127.0.0.1", server.port)))
        assert get(connect("http://alerta.example.com")).status == 200


def test_a_certificate_for_another_name_is_not_trusted(ca: PrivateCa) -> None:
    with BadServer("ok", tls=ca.server("alerta.example.com")) as server:
        shown = str(failure(connect(server.url, ca_file=str(ca.path))))
        assert "its certificate is not trusted: IP address mismatch" in shown
        assert server.received == []


@pytest.mark.parametrize("names_one", [False, True])
def test_a_certificate_of_a_ca_that_is_not_named_is_not_trusted(
    ca: PrivateCa, tmp_path_factory: pytest.TempPathFactory, *, names_one: bool
) -> None:
    other = PrivateCa(tmp_path_factory.mktemp("other"))
    with BadServer("ok", tls=other.server()) as server:
        connection = connect(server.url, ca_file=str(ca.path) if names_one else None)
        assert "its certificate is not trusted: " in str(failure(connection))
        assert server.received == []


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_that_cannot_be_read_is_named(ca: PrivateCa, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "no-ca.pem"
    if content is not None:
        path.write_bytes(content)
    with BadServer("ok", tls=ca.server()) as server:
        shown = str(failure(connect(server.url, ca_file=str(path))))
    assert shown.endswith(f"the CA file {path} cannot be read as PEM certificates")


def test_a_handshake_that_hangs_ends_by_the_deadline(ca: PrivateCa) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        assert failure(connect(url, ca_file=str(ca.path))).timed_out


def test_an_old_tls_is_refused(ca: PrivateCa) -> None:
    context = ca.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.minimum_version = ssl.TLSVersion.TLSv1
    with BadServer("ok", tls=context) as server:
        failure(connect(server.url, ca_file=str(ca.path)))
        assert server.received == []
