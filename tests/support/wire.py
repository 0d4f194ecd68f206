"""Low-level HTTP: a server that reads whole requests; the test decides what it sends and when it stops."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from typing import NamedTuple

from lab.ports import LOOPBACK, Port, Service


class Message(NamedTuple):
    """One HTTP request, its bytes as they came; `start` is its first line, and names of headers are in lower case."""

    head: bytes
    body: bytes

    @property
    def start(self) -> list[str]:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if ":" in line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}


class Wire:
    """One end of a TCP connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_request(self) -> Message | None:
        """The next request, with a body of Content-Length; None where the connection ends before it is whole."""
        while (end := self._buffer.find(b"\r\n\r\n") + 4) < 4:
            if not self._fill():
                return None
        head = self._buffer[:end]
        whole = end + int(Message(head, b"").headers.get("content-length", 0))
        while len(self._buffer) < whole:
            if not self._fill():
                return None
        body, self._buffer = self._buffer[end:whole], self._buffer[whole:]
        return Message(head, body)

    def _fill(self) -> bool:
        data = b""
        with contextlib.suppress(OSError):
            data = self.socket.recv(65_536)
        self._buffer += data
        return bool(data)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        """End the connection in order, waking a thread that reads from it."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def reset(self) -> None:
        """End the connection with RST, as a crashed host or a firewall does, waking a thread that reads from it."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.shutdown(socket.SHUT_RD)
        self.socket.close()


class Server(Service):
    """Listens on 127.0.0.1 within its `with` block, with TLS where there is a context for it.

    `serve`, of a subclass, has each connection in a thread of its own. `accepted` counts them.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.accepted = 0
        self._tls = tls
        self._port = Port()
        self._listener: socket.socket | None = None
        self._wires: set[Wire] = set()

    @property
    def port(self) -> int:
        return self._port.number

    @property
    def url(self) -> str:
        """Where clients connect, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    def serve(self, wire: Wire) -> None:
        raise NotImplementedError

    def start(self) -> None:
        self._listener = self._port.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and reset the open ones; `start` takes the same port again."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # A blocked accept() is woken by shutdown on Linux and by close elsewhere.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            self._port.hold()
        for wire in list(self._wires):
            wire.reset()

    def close(self) -> None:
        self.stop()
        self._port.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # OSError: the client gave up, or does not trust the certificate; its own test sees that.
        with connection, contextlib.suppress(OSError):
            wire = Wire(connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True))
            self._wires.add(wire)
            try:
                self.serve(wire)
            finally:
                self._wires.discard(wire)
                wire.close()
