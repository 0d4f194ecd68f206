"""The asyncio transport: one answer, or UnreachableError; nothing sent twice, nothing followed, nothing shown."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.connector.alerta_async import AsyncAlerta, drive
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Call, Steps
from tests.support.bad_server import MODES, BadServer

CALL = Call("PUT", "/alert/x/note", {"text": "n"}, "jörg@example.com")
GOOD = frozenset({"ok", "until-close"})


async def send(url: str, seconds: float = 1.0, key: str = "the-key-of-alerta") -> Answer:
    alerta = AsyncAlerta(url, key, environment={})
    alerta.open()
    try:
        return await alerta.send(CALL, seconds)
    finally:
        await alerta.close()


async def outcome_of(url: str) -> tuple[bool, str]:
    try:
        answer = await send(url)
    except UnreachableError as error:
        return False, str(error)
    return answer.ok, str(answer)


@pytest.mark.parametrize("mode", sorted(set(MODES) - GOOD))
async def test_a_bad_server_is_never_taken_for_a_success_and_never_holds_us_up(mode: str) -> None:
    with BadServer(mode, location="http://127.0.0.1:9/") as server:
        began = time.monotonic()
        ok, words = await outcome_of(server.url)
        assert not ok
        assert "the-key-of-alerta" not in words
        assert time.monotonic() - began < 8
        assert len(server.received) <= 1


class OneAnswer:
    """Answers the first request of its one connection, and cuts it at the second after it has read it."""

    def __init__(self) -> None:
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            while connection.recv(65536):
                self.requests += 1
                if self.requests > 1:
                    break
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"status": "ok"}')
            connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def one_answer() -> Iterator[OneAnswer]:
    server = OneAnswer()
    yield server
    server.close()


async def test_a_request_whose_kept_connection_is_cut_is_not_sent_again(one_answer: OneAnswer) -> None:
    """Aiohttp sends a PUT again by itself, and a note would stand there twice."""
    alerta = AsyncAlerta(one_answer.url, "the-key-of-alerta", environment={})
    alerta.open()
    assert (await alerta.send(CALL, 5)).ok
    with pytest.raises(UnreachableError) as raised:
        await alerta.send(CALL, 5)
    await alerta.close()
    await asyncio.sleep(0.05)
    assert not raised.value.timed_out
    assert one_answer.requests == 2


@pytest.mark.parametrize("mode", sorted(GOOD))
async def test_an_answer_is_read_however_its_end_is_told(mode: str) -> None:
    with BadServer(mode) as server:
        assert (await send(server.url)).ok


async def test_nobody_listening_is_a_network_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError) as raised:
        await send(f"http://127.0.0.1:{port}/api/alert")
    assert not raised.value.timed_out


async def test_a_deadline_that_is_over_is_a_timeout() -> None:
    with BadServer("ok") as server, pytest.raises(UnreachableError) as raised:
        await send(server.url, seconds=-1)
    assert raised.value.timed_out


async def test_the_driver_makes_of_no_answer_a_kept_action() -> None:
    def steps() -> Steps:
        yield CALL
        return Outcome(Kind.APPLIED, Reason.DONE)

    async def silent(_call: Call) -> Answer:
        raise UnreachableError("it did not answer", timed_out=True)

    outcome = await drive(steps(), silent)
    assert (outcome.kind, outcome.reason) == (Kind.KEPT, Reason.TIMEOUT)


def test_a_ca_file_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="cannot be read as PEM"):
        AsyncAlerta("https://alerta.example.com/api", "k", ca_file=str(tmp_path / "none"))


async def test_a_key_that_no_header_can_carry_is_refused_without_a_call() -> None:
    with BadServer("ok") as server:
        answer = await send(server.url, key="two\r\nlines")
    assert answer.status == 401
    assert "no key of Alerta" in answer.message
