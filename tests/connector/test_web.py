"""The pages on loopback."""

from __future__ import annotations

import aiohttp
import pytest

from alerta_opsgenie.connector.web import Health, WebServer

WELL = Health(ready=True, status="fine")


@pytest.mark.parametrize(
    ("health", "healthz", "readyz"),
    [
        (WELL, 200, 200),
        (Health(ready=False, troubles=("no credentials",)), 200, 503),
        (Health(ready=True, stuck=("work",)), 503, 503),
    ],
)
async def test_what_stands_still_is_ill_and_what_takes_nothing_is_not_ready(
    health: Health, healthz: int, readyz: int
) -> None:
    server = WebServer("127.0.0.1", 0, lambda: b"metric 1\n", lambda: health)
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        async with session.get("/healthz") as answer:
            assert answer.status == healthz
            assert (await answer.json())["troubles"] == list(health.troubles)
        async with session.get("/readyz") as answer:
            assert answer.status == readyz
        async with session.get("/metrics") as answer:
            assert await answer.text() == "metric 1\n"
    await server.stop()


async def test_a_place_that_is_taken_is_an_os_error() -> None:
    first = WebServer("127.0.0.1", 0, bytes, lambda: WELL)
    await first.start()
    second = WebServer("127.0.0.1", first.port, bytes, lambda: WELL)
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.stop()
    await first.stop()
