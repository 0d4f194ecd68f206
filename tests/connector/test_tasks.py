"""Tasks that stand and fall together, and waits that never lose a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from alerta_opsgenie.connector.tasks import run_together, wait_event, within


async def test_where_one_fails_the_others_end() -> None:
    ended = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match="broken"):
        await run_together(fails(), lasts())
    assert ended == [True]


async def test_a_limit_cancels_what_is_waited_for() -> None:
    cancelled = asyncio.Event()

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, lasts())
    assert cancelled.is_set()


async def test_a_cancellation_that_comes_with_the_result_is_not_lost() -> None:
    """The fault of asyncio.wait_for before Python 3.12 that kept a poller running after it was told to end."""
    result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(within(5, result))
    await asyncio.sleep(0)
    result.set_result(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiting_for_an_event_says_whether_it_came() -> None:
    event = asyncio.Event()
    assert not await wait_event(event, 0.01)
    event.set()
    assert await wait_event(event, 0.01)
