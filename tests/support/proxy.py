"""A proxy in front of Alerta that takes things away while it runs: ports, answers, halves of requests, time.

It reads a whole request, asks which fault is in force, and lets it act; without one it passes the request on, on a
connection of its own, reads the whole answer, records both, and passes that on. Faults are context managers; the
youngest in force wins. Nothing is passed on in part unless a fault says so. Where Alerta itself is down, the client is
reset.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from lab.ports import LOOPBACK

from tests.support.wire import Message, Server, Wire


class Exchange(NamedTuple):
    """A request and what became of it. `status` is 0 where no answer came; `passed`: whether it went to Alerta."""

    method: str
    path: str
    status: int
    passed: bool
    headers: Mapping[str, str]


@dataclass(eq=False)
class Fault:
    """A fault in force. `hits` counts the requests it has met; `wait_hit` waits for the first of them."""

    act: Callable[[Passage, Fault], None]
    times: int | None
    hits: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    hit: threading.Event = field(default_factory=threading.Event)

    def wait_hit(self, seconds: float = 60.0) -> None:
        """Return once a request has met the fault; AssertionError after `seconds`."""
        assert self.hit.wait(seconds), f"no request met the fault within {seconds} s"


Forced = contextlib.AbstractContextManager[Fault]


class Passage(NamedTuple):
    """One request in the proxy."""

    proxy: Proxy
    client: Wire
    request: Message

    def fetch_answer(self) -> bytes:
        """Send the request to Alerta and return its answer; both are on record from then on."""
        method, status = self.request.start[0], 0
        with socket.create_connection(self.proxy.target) as server:
            server.sendall(self.request.head + self.request.body)
            try:
                answer = http.client.HTTPResponse(server, method=method)
                answer.begin()
                body, status = answer.read(), answer.status
            except http.client.HTTPException as error:
                raise ConnectionError from error
            finally:
                self.record(status, passed=True)
        headers = {name: value for name, value in answer.getheaders() if name.lower() != "transfer-encoding"}
        return _answer(status, answer.reason, {"Content-Length": str(len(body)), **headers}, body)

    def record(self, status: int, *, passed: bool) -> None:
        """Put on record what became of a request, before its client can know."""
        method, path = self.request.start[:2]
        self.proxy.exchanges.append(Exchange(method, path, status, passed, self.request.headers))


def _answer(status: int, reason: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Proxy(Server):
    """Listens on 127.0.0.1 and passes on to the server of `target_url` (http).

    A context manager; the faults are context managers of their own: `with proxy.hanging() as fault:`.
    """

    def __init__(self, target_url: str) -> None:
        super().__init__()
        address = urlsplit(target_url)
        self.target = (address.hostname or LOOPBACK, address.port or 80)
        self.exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """A closed port: connections are refused, the open ones reset."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def hanging(self, times: int | None = None) -> Forced:
        """Requests get no answer; afterwards they are reset and never forwarded."""

        def act(passage: Passage, fault: Fault) -> None:
            fault.over.wait()
            passage.client.reset()

        return self._force(act, times)

    def dropping_requests(self, times: int | None = None) -> Forced:
        """Alerta gets the first half of the request; then both connections are reset."""

        def act(passage: Passage, _fault: Fault) -> None:
            raw = passage.request.head + passage.request.body
            server = Wire(socket.create_connection(self.target))
            server.send(raw[: len(raw) // 2])
            server.reset()
            passage.client.reset()

        return self._force(act, times)

    def dropping_answers(self, times: int | None = None, *, after_bytes: int = 0) -> Forced:
        """Alerta processes the request and answers; the client gets `after_bytes` of the answer and a reset."""

        def act(passage: Passage, _fault: Fault) -> None:
            passage.client.send(passage.fetch_answer()[:after_bytes])
            passage.client.reset()

        return self._force(act, times)

    def answering(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b'{"status": "error", "message": "the proxy says so"}',
        times: int | None = None,
    ) -> Forced:
        """The proxy answers itself, and does not forward the request."""
        sent = {"Content-Length": str(len(body)), "Content-Type": "application/json", **(headers or {})}

        def act(passage: Passage, _fault: Fault) -> None:
            passage.record(status, passed=False)
            passage.client.send(_answer(status, http.client.responses.get(status, "Unknown"), sent, body))

        return self._force(act, times)

    def delaying(self, seconds: float, times: int | None = None) -> Forced:
        """Requests wait `seconds` before they go on to Alerta, or until the block ends."""

        def act(passage: Passage, fault: Fault) -> None:
            fault.over.wait(seconds)
            passage.client.send(passage.fetch_answer())

        return self._force(act, times)

    @contextlib.contextmanager
    def _force(self, act: Callable[[Passage, Fault], None], times: int | None) -> Iterator[Fault]:
        fault = Fault(act, times)
        with self._lock:
            self._faults.append(fault)
        try:
            yield fault
        finally:
            with self._lock:
                self._faults.remove(fault)
            fault.over.set()

    def _claim_fault(self) -> Fault | None:
        with self._lock:
            for fault in reversed(self._faults):
                if fault.times is None or fault.hits < fault.times:
                    fault.hits += 1
                    return fault
        return None

    def serve(self, wire: Wire) -> None:
        """Let the youngest fault in force act on each request, or pass it on."""
        try:
            while (request := wire.read_request()) is not None:
                passage, fault = Passage(self, wire, request), self._claim_fault()
                if fault is None:
                    wire.send(passage.fetch_answer())
                else:
                    fault.hit.set()
                    fault.act(passage, fault)
        except OSError:
            wire.reset()
