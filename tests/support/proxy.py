"""A proxy in front of Alerta that takes things away while it runs: ports, answers, halves of requests, time.

Theory of operation: one thread per client connection, with one connection to Alerta of its own. HTTP/1.1 takes turns,
so the thread reads a whole request, asks which fault is in force, and lets it act; without a fault it passes the bytes
on unchanged, reads the whole answer, records both, and passes that on. Faults are context managers; the youngest in
force wins. Nothing is passed on in part unless a fault says so. Where Alerta itself is down, the client is reset.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lab.alerta_server import LOOPBACK, listening_socket

if TYPE_CHECKING:
    from typing_extensions import Self

_CHUNK_BYTES = 65_536
_JOIN_SECONDS = 5.0


class ConnectionCutError(Exception):
    """The other side closed before its message was complete; `partial` is what had come of it."""

    def __init__(self, partial: bytes) -> None:
        super().__init__(f"closed after {len(partial)} bytes of a message")
        self.partial = partial


@dataclass(frozen=True)
class Exchange:
    """A request and what became of it. `status` is 0 where no answer came; `passed`: whether it went to Alerta."""

    method: str
    path: str
    status: int
    passed: bool
    connection: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Message:
    """One HTTP message, its bytes as they came; `start` is its first line, and names of headers are in lower case."""

    head: bytes
    body: bytes

    @property
    def start(self) -> list[str]:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def headers(self) -> dict[str, str]:
        return parse_headers(self.head)

    @property
    def raw(self) -> bytes:
        return self.head + self.body


class Wire:
    """One end of a TCP connection that reads whole HTTP messages."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_request(self) -> Message | None:
        """The next request, or None at the end of the connection."""
        return self._read_message(lambda head: _body_length(head, None))

    def read_answer(self, method: str) -> Message | None:
        """The answer to a request of `method`, or None where the connection ended instead."""
        return self._read_message(lambda head: _body_length(head, method))

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
            self.socket.shutdown(socket.SHUT_RD)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read_message(self, body_length: Callable[[bytes], int | str]) -> Message | None:
        taken = b""
        try:
            taken = self._take_until(b"\r\n\r\n")
            length = body_length(taken)
            body = self._take_body(length)
        except ConnectionCutError as error:
            if not taken and not error.partial:
                return None
            raise ConnectionCutError(taken + error.partial) from error
        return Message(taken, body)

    def _take_body(self, length: int | str) -> bytes:
        if length == "chunked":
            return self._take_chunks()
        if length == "rest":
            return self._take_rest()
        return self._take(int(length))

    def _take_chunks(self) -> bytes:
        body = b""
        while True:
            line = self._take_until(b"\r\n")
            body += line
            size = int(line.split(b";")[0], 16)
            if size == 0:
                return body + self._take_until(b"\r\n")
            body += self._take(size + 2)

    def _take_rest(self) -> bytes:
        try:
            while True:
                self._fill()
        except ConnectionCutError as error:
            return error.partial

    def _take_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._fill()
        return self._take(self._buffer.index(mark) + len(mark))

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _fill(self) -> None:
        try:
            data = self.socket.recv(_CHUNK_BYTES)
        except OSError:
            data = b""
        if not data:
            raise ConnectionCutError(self._buffer)
        self._buffer += data


@dataclass(eq=False)
class Fault:
    """A fault in force. `hits` counts the requests it has met; `wait_hit` waits for the first of them."""

    act: Callable[[Passage, Fault], None]
    times: int | None
    hits: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    hit: threading.Event = field(default_factory=threading.Event)

    def wait_hit(self, seconds: float = 10.0) -> None:
        """Return once a request has met the fault; AssertionError after `seconds`."""
        assert self.hit.wait(seconds), f"no request met the fault within {seconds} s"


Forced = contextlib.AbstractContextManager[Fault]


class Passage:
    """One client's connection on its way through the proxy."""

    def __init__(self, proxy: Proxy, client: Wire, number: int) -> None:
        self.proxy = proxy
        self.client = client
        self.number = number
        self.server: Wire | None = None
        self.request = Message(b"", b"")

    def run(self) -> None:
        """Serve the client until one side ends the connection."""
        try:
            while self._await_request():
                request = self.client.read_request()
                if request is None:
                    break
                self.request = request
                self.proxy.act_on(self)
        except (ConnectionCutError, OSError, ValueError):
            # ValueError: what is no HTTP, and a socket that `stop` has closed meanwhile.
            self.reset()
        finally:
            self.close()

    def pass_on(self) -> None:
        """Send the request to Alerta and its answer to the client."""
        self.client.send(self.fetch_answer().raw)

    def fetch_answer(self) -> Message:
        """Send the request to Alerta and return its answer; both are on record from then on."""
        if self.server is None:
            self.server = Wire(socket.create_connection(self.proxy.target))
        self.server.send(self.request.raw)
        try:
            answer = self.server.read_answer(self.request.start[0])
        except ConnectionCutError as error:
            self._record(0, passed=True)
            self.client.send(error.partial)
            raise
        if answer is None:
            self._record(0, passed=True)
            raise ConnectionCutError(b"")
        self._record(int(answer.start[1]), passed=True)
        return answer

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer in Alerta's place."""
        lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
        lines += [f"{name}: {value}" for name, value in {"Content-Length": str(len(body)), **headers}.items()]
        self._record(status, passed=False)
        self.client.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def reset(self) -> None:
        self.client.reset()
        if self.server is not None:
            self.server.reset()

    def close(self) -> None:
        self.client.close()
        if self.server is not None:
            self.server.close()

    def _await_request(self) -> bool:
        """False once Alerta has closed the idle connection, which the client is then told by its own closing."""
        if isinstance(self.client.socket, ssl.SSLSocket) and self.client.socket.pending():
            return True
        watched = [self.client.socket] + ([self.server.socket] if self.server else [])
        return self.client.socket in select.select(watched, [], [])[0]

    def _record(self, status: int, *, passed: bool) -> None:
        method, path = self.request.start[:2]
        self.proxy.record(Exchange(method, path, status, passed, self.number, self.request.headers, self.request.body))


class Proxy:
    """Listens on 127.0.0.1 and passes on to the server of `target_url` (http). With `tls` it speaks TLS to its clients.

    A context manager; the faults are context managers of their own: `with proxy.hanging() as fault:`.
    """

    def __init__(self, target_url: str, *, tls: ssl.SSLContext | None = None) -> None:
        address = urlsplit(target_url)
        self.target = (address.hostname or LOOPBACK, address.port or 80)
        self.port = 0
        self.exchanges: list[Exchange] = []
        self._tls = tls
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._views: list[list[tuple[str, str, int]]] = []
        self._passages: dict[Passage, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._accepted = 0

    @property
    def url(self) -> str:
        """Where clients connect, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        self._listener = listening_socket(self.port)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and reset the open ones; `start` takes the same port again."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # A blocked accept() is woken by shutdown on Linux and by close elsewhere.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            passages = dict(self._passages)
        for passage in passages:
            passage.reset()

    def close(self) -> None:
        """End everything, faults in force too."""
        for fault in self._faults:
            fault.over.set()
        with self._lock:
            threads = list(self._passages.values())
        self.stop()
        for thread in threads:
            thread.join(_JOIN_SECONDS)

    @contextlib.contextmanager
    def requests_seen(self) -> Iterator[list[tuple[str, str, int]]]:
        """Yield a list that grows by (method, path, status) with each request that Alerta gets from here on."""
        view: list[tuple[str, str, int]] = []
        with self._lock:
            self._views.append(view)
        try:
            yield view
        finally:
            with self._lock:
                self._views = [other for other in self._views if other is not view]

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """A closed port: connections are refused, the open ones reset."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def hanging(self, times: int | None = None) -> Forced:
        """Requests are taken and nothing comes back; afterwards they are reset, never passed on."""
        return self._force(_hang, times)

    def dropping_requests(self, times: int | None = None) -> Forced:
        """Alerta gets the first half of the request; then both connections are reset."""
        return self._force(_drop_request, times)

    def dropping_answers(self, times: int | None = None, *, after_bytes: int = 0) -> Forced:
        """Alerta does what it was asked and answers; the client gets `after_bytes` of the answer and a reset."""

        def act(passage: Passage, _fault: Fault) -> None:
            passage.client.send(passage.fetch_answer().raw[:after_bytes])
            passage.reset()

        return self._force(act, times)

    def answering(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b'{"status": "error", "message": "the proxy says so"}',
        times: int | None = None,
    ) -> Forced:
        """The proxy answers itself, and Alerta hears nothing of it."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self._force(lambda passage, _fault: passage.answer(status, sent, body), times)

    def delaying(self, seconds: float, times: int | None = None) -> Forced:
        """Requests wait `seconds` before they go on to Alerta, or until the block ends."""

        def act(passage: Passage, fault: Fault) -> None:
            fault.over.wait(seconds)
            passage.pass_on()

        return self._force(act, times)

    def dripping(self, seconds: float = 0.1, times: int | None = None) -> Forced:
        """Answers come one byte each `seconds`; the rest at once when the block ends."""

        def act(passage: Passage, fault: Fault) -> None:
            for byte in passage.fetch_answer().raw:
                passage.client.send(bytes([byte]))
                fault.over.wait(seconds)

        return self._force(act, times)

    def act_on(self, passage: Passage) -> None:
        """Let the youngest fault in force act on the passage's request, or pass it on."""
        fault = self._claim_fault()
        if fault is None:
            passage.pass_on()
        else:
            fault.hit.set()
            fault.act(passage, fault)

    def record(self, exchange: Exchange) -> None:
        """Put on record what became of a request, before its client can know."""
        with self._lock:
            self.exchanges.append(exchange)
            if exchange.passed:
                for view in self._views:
                    view.append((exchange.method, exchange.path, exchange.status))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

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

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            # The client does not trust the certificate: its own test sees that.
            connection.close()
            return
        with self._lock:
            self._accepted += 1
            passage = Passage(self, Wire(connection), self._accepted)
            self._passages[passage] = threading.current_thread()
        try:
            passage.run()
        finally:
            with self._lock:
                del self._passages[passage]


def parse_headers(head: bytes) -> dict[str, str]:
    """The headers of a message's head, names in lower case."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _body_length(head: bytes, answer_to: str | None) -> int | str:
    """How the body after `head` ends (RFC 9112, 6.3): a count of bytes, "chunked", or "rest" (until it closes)."""
    headers = parse_headers(head)
    if answer_to is not None:
        status = int(head.split(b" ", 2)[1])
        if answer_to == "HEAD" or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            return 0
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return "chunked"
    if "content-length" in headers:
        return int(headers["content-length"])
    return 0 if answer_to is None else "rest"


def _hang(passage: Passage, fault: Fault) -> None:
    fault.over.wait()
    passage.reset()


def _drop_request(passage: Passage, _fault: Fault) -> None:
    raw = passage.request.raw
    with contextlib.closing(Wire(socket.create_connection(passage.proxy.target))) as server:
        server.send(raw[: len(raw) // 2])
        server.reset()
    passage.reset()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
