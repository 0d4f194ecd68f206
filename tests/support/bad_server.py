"""A server with no Alerta behind it that answers each request in one bad way, over TCP or TLS.

`MODES` names the ways, so that a test can walk them all:
`@pytest.mark.parametrize("mode", sorted(MODES))`, then `with BadServer(mode) as server:`.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import trustme
from lab.ports import LOOPBACK

from tests.support.wire import Message, Server, Wire

DRIP_SECONDS = 0.1
LARGE_BODY_BYTES = 10 * 1024 * 1024
ANNOUNCED_BYTES = 1024**3

Behaviour = Callable[["BadServer", Wire], None]


class BadServer(Server):
    """Listens on 127.0.0.1 until the end of its `with` block; `received` holds the requests that came, in order.

    `mode`: a name from MODES. `location`: where the mode "redirect" sends to. `tls`: a context of `PrivateCa`.
    `over` is set at the end: what waits or drips for ever waits on it.
    """

    def __init__(self, mode: str, *, location: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.mode = mode
        self.location = location
        self.over = threading.Event()
        self.received: list[Message] = []

    def stop(self) -> None:
        self.over.set()
        super().stop()

    def serve(self, wire: Wire) -> None:
        while (request := wire.read_request()) is not None:
            self.received.append(request)
            MODES[self.mode](self, wire)


class PrivateCa:
    """A private certificate authority; its certificate is in `path` as PEM."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "private-ca.pem"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(self.path))

    def server(self, name: str = LOOPBACK) -> ssl.SSLContext:
        """A server's context with a certificate for `name`, host or address; any but 127.0.0.1 is the wrong one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(name).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.path))


def _answer(
    body: bytes, status: str = "200 OK", content_type: str = "application/json", *, length: int | None = None
) -> bytes:
    announced = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {announced}\r\n\r\n"
    return head.encode() + body


def _sending(data: bytes) -> Behaviour:
    """Send `data` and keep the connection open."""

    def behave(_server: BadServer, wire: Wire) -> None:
        wire.send(data)

    return behave


def _ending(data: bytes) -> Behaviour:
    """Send `data` and close."""

    def behave(_server: BadServer, wire: Wire) -> None:
        wire.send(data)
        wire.close()

    return behave


def _dripping(start: bytes) -> Behaviour:
    """Send `start`, then a byte each 0.1 s for ever."""

    def behave(server: BadServer, wire: Wire) -> None:
        wire.send(start)
        while not server.over.wait(DRIP_SECONDS):
            wire.send(b"x")

    return behave


def _hang(server: BadServer, _wire: Wire) -> None:
    server.over.wait()


def _reset(_server: BadServer, wire: Wire) -> None:
    wire.reset()


def _redirect(server: BadServer, wire: Wire) -> None:
    wire.send(
        f"HTTP/1.1 302 Found\r\nLocation: {server.location}\r\nContent-Length: 0\r\n\r\n".encode(),
    )


_OK = json.dumps({"status": "ok"}).encode()
_LARGE = json.dumps({"status": "ok", "padding": "x" * LARGE_BODY_BYTES}).encode()
_CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

MODES: dict[str, Behaviour] = {
    "ok": _sending(_answer(_OK)),
    "hang": _hang,
    "reset": _reset,
    "close": _ending(b""),
    "close-in-headers": _ending(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "close-in-body": _ending(_answer(_OK[:5], length=len(_OK))),
    "drip-headers": _dripping(b"HTTP/1.1 200 OK\r\nX-Drip: "),
    "drip-body": _dripping(_answer(b"", length=ANNOUNCED_BYTES)),
    "announce-1-gb": _sending(_answer(b"x" * 1024, length=ANNOUNCED_BYTES)),
    "body-10-mb": _sending(_answer(_LARGE)),
    "long-header": _sending(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n"),
    "many-headers": _sending(b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 10_000 + b"\r\n"),
    "bad-chunks": _ending(_CHUNKED + b"zz\r\nnonsense\r\n"),
    "bad-length": _ending(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    "bad-status": _ending(b"HTTP/1.1 OK 200\r\n\r\n"),
    "not-http": _ending(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "until-close": _ending(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + _OK),
    "html": _sending(_answer(b"<!doctype html><title>Alerta</title>", content_type="text/html")),
    "no-content": _sending(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "empty": _sending(_answer(b"")),
    "redirect": _redirect,
    "bad-json": _sending(_answer(b'{"status": "ok",')),
    "json-list": _sending(_answer(b'["ok"]')),
    "json-null": _sending(_answer(b"null")),
    "not-utf-8": _sending(_answer(b'{"status": "\xff\xfe"}')),
    "deep-json": _sending(_answer(b"[" * 100_000)),
}
