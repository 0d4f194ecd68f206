"""One request out, one response back or not at all, by the deadline: against servers that do everything wrong."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from alerta_opsgenie.clients.connection import (
    LARGEST_RESPONSE_BYTES,
    LONGEST_IDLE_SECONDS,
    Connection,
    UnreachableError,
)
from tests.support.bad_server import MODES, BadServer, PrivateCa
from tests.support.exchanges import HEADERS, SECRET, TIMED_OUT, connect, failure, get
from tests.support.wire import Wire


@contextlib.contextmanager
def serving(behave: Callable[[BadServer, Wire], None], **options: Any) -> Iterator[BadServer]:
    """Serve with a function of the test."""
    with pytest.MonkeyPatch.context() as patch, BadServer("own", **options) as server:
        patch.setitem(MODES, "own", behave)
        yield server


def raw(data: bytes) -> Callable[[BadServer, Wire], None]:
    return lambda _server, wire: wire.send(data)


def ending(data: bytes) -> Callable[[BadServer, Wire], None]:
    def behave(_server: BadServer, wire: Wire) -> None:
        wire.send(data)
        wire.close()

    return behave


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


# -- Bad responses

ENDINGS: dict[str, int | str] = {
    "ok": 200,
    "hang": TIMED_OUT,
    "reset": "onnection reset by peer",
    "close": "the connection was closed before an answer came",
    "close-in-headers": "the connection was closed in the middle of the answer",
    "close-in-body": "the connection was closed in the middle of the answer",
    "drip-headers": TIMED_OUT,
    "drip-body": TIMED_OUT,
    "announce-1-gb": TIMED_OUT,
    "body-10-mb": "larger than 4194304 bytes",
    "long-header": "not HTTP (LineTooLong)",
    "many-headers": "not HTTP (HTTPException)",
    "bad-chunks": "the connection was closed in the middle of the answer",
    "bad-length": 200,
    "until-close": 200,
    "bad-status": "not HTTP (BadStatusLine)",
    "not-http": "not HTTP (BadStatusLine)",
    "html": 200,
    "no-content": 204,
    "empty": 200,
    "redirect": 302,
    "bad-json": 200,
    "json-list": 200,
    "json-null": 200,
    "not-utf-8": 200,
    "deep-json": 200,
}


def check_mode(mode: str, connection: Connection) -> None:
    expected = ENDINGS[mode]
    if isinstance(expected, int):
        assert get(connection).status == expected
    else:
        assert expected in str(failure(connection))


@pytest.mark.parametrize("mode", sorted(MODES))
def test_each_bad_answer_ends_by_the_deadline(mode: str) -> None:
    with BadServer(mode) as server:
        check_mode(mode, connect(server.url))


@pytest.mark.parametrize("mode", ["close-in-body", "drip-headers", "ok"])
def test_each_bad_answer_ends_by_the_deadline_over_tls(mode: str, ca: PrivateCa) -> None:
    with BadServer(mode, tls=ca.server()) as server:
        check_mode(mode, connect(server.url, ca_file=str(ca.path)))


def test_a_connection_works_again_after_each_bad_answer() -> None:
    with BadServer("ok") as server:
        connection = connect(server.url)
        for mode in ("close", "close-in-body", "bad-status", "ok", "body-10-mb", "ok", "ok"):
            server.mode = mode
            check_mode(mode, connection)
        connection.close()


def test_a_deadline_that_is_past_asks_for_nothing() -> None:
    with BadServer("ok") as server:
        connection = connect(server.url)
        with pytest.raises(UnreachableError) as caught:
            connection.exchange("GET", "/x", None, HEADERS, time.monotonic() - 1)
        assert caught.value.timed_out
        get(connection)
        with pytest.raises(UnreachableError):
            connection.exchange("GET", "/y", None, HEADERS, time.monotonic() - 1)
        assert [request.start[1] for request in server.received] == ["/x"]


def test_no_socket_is_left_open(ca: PrivateCa) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for mode in ("ok", "close", "close-in-body", "bad-status", "body-10-mb"):
            for tls in (None, ca.server(), ca.server("other.example.com")):
                with BadServer(mode, tls=tls) as server:
                    connection = connect(server.url, ca_file=str(ca.path))
                    with contextlib.suppress(UnreachableError):
                        get(connection)
                    connection.close()
                    del connection
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


# -- Requests


@pytest.mark.parametrize("mode", ["close", "hang"])
def test_no_request_is_sent_twice(mode: str) -> None:
    with BadServer(mode) as server:
        failure(connect(server.url))
        assert len(server.received) == 1


@pytest.mark.parametrize("value", [f"Key {SECRET}\n", f"Key {SECRET}\r\nX-Admin: yes", f"Key {SECRET}\u20ac"])
def test_a_header_that_cannot_be_sent_is_not_shown(value: str) -> None:
    with BadServer("ok") as server:
        connection = connect(server.url)
        with pytest.raises(UnreachableError) as caught:
            connection.exchange("GET", "/x", None, {"Authorization": value}, time.monotonic() + 1)
        assert "characters that HTTP does not allow" in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert server.received == []


# -- Kept connections


def test_an_idle_connection_is_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    with BadServer("ok") as server:
        connection = connect(server.url)
        get(connection)
        monkeypatch.setattr(connection, "_used_at", time.monotonic() - LONGEST_IDLE_SECONDS - 0.1)
        get(connection)
        assert server.accepted == 2


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_closed_by_the_server_is_reopened(tls: bool, ca: PrivateCa) -> None:
    with serving(ending(answer(b"{}")), tls=ca.server() if tls else None) as server:
        connection = connect(server.url, ca_file=str(ca.path))
        for number in range(1, 4):
            assert get(connection).status == 200
            await_closed(connection)
            assert server.accepted == number


def await_closed(connection: Connection) -> None:
    """Wait until the server's goodbye has arrived."""
    give_up = time.monotonic() + 5
    while connection._http is not None and not connection._socket.has_something():
        assert time.monotonic() < give_up
        time.sleep(0.002)


def test_an_answer_longer_than_announced_is_not_the_answer_to_the_next_request() -> None:
    first = answer(b"{}") + answer(b'"a stranger\'s"', status="201 Created")
    with serving(raw(first)) as server:
        connection = connect(server.url)
        assert [get(connection).body for _ in range(3)] == [b"{}"] * 3


def test_an_interim_answer_does_not_put_the_next_answers_out_of_step() -> None:
    asked: set[Wire] = set()

    def late(_server: BadServer, wire: Wire) -> None:
        if wire not in asked:
            asked.add(wire)
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            threading.Timer(0.05, lambda: suppressed(wire.send, answer(b'"the first one"'))).start()

    with serving(late) as server:
        connection = connect(server.url)
        assert [get(connection).body for _ in range(3)] == [b"", b"", b""]


def suppressed(do: Callable[..., None], *arguments: Any) -> None:
    with contextlib.suppress(OSError):
        do(*arguments)


LARGE = b"x" * 300_000


@pytest.mark.parametrize(
    "data",
    [
        answer(LARGE, "Connection: close"),
        b"HTTP/1.0 200 OK\r\n\r\n" + LARGE,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LARGE,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"493e0\r\n" + LARGE + b"\r\n0\r\n\r\n",
    ],
    ids=["length", "http-1.0", "until-close", "chunked"],
)
def test_an_answer_that_ends_the_connection_is_read_whole(data: bytes) -> None:
    """`http.client` closes the socket before it has read the body of such an answer."""
    with serving(ending(data)) as server:
        connection = connect(server.url)
        assert get(connection).body == LARGE
        assert get(connection).body == LARGE


def test_chunks_without_end_are_not_read_without_end() -> None:
    def pour(server: BadServer, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not server.over.is_set():
            wire.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    with serving(pour) as server:
        assert "larger than" in str(failure(connect(server.url)))


def test_each_mode_of_the_bad_server_has_an_ending_here() -> None:
    assert set(ENDINGS) == set(MODES)


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else() -> None:
    with BadServer("ok") as other, BadServer("redirect", location=f"{other.url}/alert") as server:
        response = get(connect(server.url))
        assert response.headers["location"] == f"{other.url}/alert"
        assert len(server.received) == 1
        assert other.received == []


def test_a_request_goes_out_once_with_its_body_and_headers() -> None:
    with BadServer("ok") as server:
        connect(server.url).exchange("PUT", "/alert/1", b'{"a": 1}', HEADERS, time.monotonic() + 1)
        [request] = server.received
    assert request.start == ["PUT", "/alert/1", "HTTP/1.1"]
    assert request.body == b'{"a": 1}'
    assert request.headers["authorization"] == f"Key {SECRET}"
    assert request.headers["content-length"] == "8"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_reads_a_little_now_and_then_does_not_stretch_the_deadline(tls: bool, ca: PrivateCa) -> None:
    over = threading.Event()

    def sip(listener: socket.socket) -> None:
        taken, _ = listener.accept()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            reader = ca.server().wrap_socket(taken, server_side=True) if tls else taken
            while not over.wait(0.2):
                reader.recv(16_384)
        taken.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=sip, args=(listener,), daemon=True)
        thread.start()
        url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        try:
            assert failure(connect(url, ca_file=str(ca.path)), body=b"x" * 16_000_000).timed_out
        finally:
            over.set()
            thread.join(5)


def test_a_connection_is_kept() -> None:
    with BadServer("ok") as server:
        connection = connect(server.url)
        for _ in range(5):
            get(connection)
        assert server.accepted == 1


def test_a_hundred_continues_are_passed_over() -> None:
    with serving(raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + answer(b"{}"))) as server:
        assert get(connect(server.url)).body == b"{}"


def test_the_largest_answer_is_read_and_a_byte_more_is_not() -> None:
    with serving(raw(answer(b"x" * LARGEST_RESPONSE_BYTES))) as server:
        assert len(get(connect(server.url)).body) == LARGEST_RESPONSE_BYTES
    with serving(raw(answer(b"x" * (LARGEST_RESPONSE_BYTES + 1)))) as server:
        assert "larger than" in str(failure(connect(server.url)))
