"""What the servers of lab and tests share: a life within a `with` block, and ports that stay theirs while stopped."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from random import randrange
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
HOLD_SECONDS = 30.0


class Service:
    """Runs within its `with` block: `start` on entering, `close` on leaving."""

    def start(self) -> None:
        """Serve, unless the constructor has begun it; returns when connections are taken."""

    def stop(self) -> None:
        """Serve no more."""

    def close(self) -> None:
        """Stop for good."""
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Port:
    """A port of `host` that nobody else is given between a server's stop and its next start.

    Bound from the beginning until `close`; it listens between `listen` and the closing of the socket that `listen`
    gave, after which `hold` binds it again. 0 takes a free one. Raises OSError when `number` is taken.
    """

    def __init__(self, number: int = 0, host: str = LOOPBACK) -> None:
        self.host = host
        self._socket: socket.socket | None = _bind(host, number) if number else _bind_free(host)
        self.number: int = self._socket.getsockname()[1]

    def listen(self) -> socket.socket:
        """Give the socket away, listening."""
        given, self._socket = self._socket or self._bound_again(), None
        given.listen(1024)
        return given

    def hold(self) -> None:
        """Return once nothing listens here and the port is bound. Raises OSError after 30 seconds.

        Killed processes hold the socket that they were given for some moments longer.
        """
        self._socket = self._socket or self._bound_again()

    def close(self) -> None:
        """Let the port go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bound_again(self) -> socket.socket:
        deadline = time.monotonic() + HOLD_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                return _bind(self.host, self.number)
            time.sleep(0.01)
        return _bind(self.host, self.number)


def _bind_free(host: str) -> socket.socket:
    """Bind a free port below the kernel's range for outgoing connections (`ip_local_port_range`).

    Inside that range, a client that tries again and again to reach a stopped server's port ends up connected to itself,
    or another's connection has the port, and the server cannot come back.
    """
    for _ in range(1000):
        with contextlib.suppress(OSError):
            # Not to be shared: a port that is only bound, by a stopped server, counts as taken.
            return _bind(host, randrange(10_000, _first_ephemeral_port()), shared=False)
    return _bind(host, 0)


def _bind(host: str, number: int, *, shared: bool = True) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(shared))
        bound.bind((host, number))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        bound.close()
        raise
    return bound


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        # Not Linux: the range that IANA sets aside (RFC 6335) begins here.
        return 49_152
