"""The way to the vendor's cloud: which proxy, and no password that somebody left in ~/.netrc."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientError, web
from yarl import URL

from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.connector.cloud import find_proxy, open_session, words_of
from alerta_opsgenie.connector.credentials import Grant
from alerta_opsgenie.connector.queue import QueueError, SqsQueue

VENDOR = "https://api.opsgenie.com"


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_proxy_there_is_none() -> None:
    assert find_proxy(VENDOR) is None


@pytest.mark.parametrize("text", ["http://proxy.example.com:3128", "proxy.example.com:3128"])
def test_the_environment_names_the_proxy(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("https_proxy", text)
    assert find_proxy(VENDOR) == URL("http://proxy.example.com:3128")


@pytest.fixture
async def refusing_proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[bytes]]:
    """A proxy that wants another password; gives what it was asked."""
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("https_proxy", f"http://alice:hidden@127.0.0.1:{port}")
    async with server:
        yield asked


async def test_a_user_and_a_password_are_told_to_the_proxy_and_shown_to_nobody(refusing_proxy: list[bytes]) -> None:
    async with open_session(find_proxy(VENDOR)) as session:
        with pytest.raises(ClientError) as raised:
            await session.get(VENDOR, headers={"Authorization": "GenieKey K"})
    [asked] = refusing_proxy
    assert b"Proxy-Authorization: Basic YWxpY2U6aGlkZGVu" in asked
    assert b"GenieKey" not in asked
    assert "407" in words_of(raised.value)
    assert "hidden" not in words_of(raised.value)


async def test_the_queue_goes_by_the_same_proxy_and_shows_no_password_either(refusing_proxy: list[bytes]) -> None:
    grant = Grant("ASIAEXAMPLE", time.time() + 3600, "secret-of-aws", "token-of-aws")
    queue = SqsQueue("https://sqs.eu-west-1.amazonaws.com/1/alerta", "eu-west-1", grant)
    await queue.connect()
    with pytest.raises(QueueError) as raised:
        await queue.receive(1, 1, 30)
    await queue.close()
    assert b"CONNECT sqs.eu-west-1.amazonaws.com:443" in refusing_proxy[0]
    assert "hidden" not in str(raised.value)


def test_a_host_in_no_proxy_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", ".opsgenie.com")
    assert find_proxy(VENDOR) is None


@pytest.mark.parametrize("text", ["socks5://u:hidden@h:1", "http://u:hidden@", "http://u:hidden@h:port", "//"])
def test_what_is_no_http_proxy_is_an_error_that_shows_no_password(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("https_proxy", text)
    with pytest.raises(AddressError, match="https_proxy cannot be used: expected http://HOST:PORT") as raised:
        find_proxy(VENDOR)
    assert "hidden" not in str(raised.value)


async def test_an_entry_in_netrc_disturbs_no_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login alice password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen: list[str] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response()

    app = web.Application()
    app.router.add_get("/", note)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with open_session(None) as session, session.get(url, headers={"Authorization": "GenieKey K"}) as got:
            assert got.status == web.HTTPOk.status_code
    finally:
        await runner.cleanup()
    assert seen == ["GenieKey K"]
