"""Tasks that stand and fall together, and waiting with a limit.

`asyncio.wait_for` of Python before 3.12 loses a cancellation that comes as what it waits for ends
(https://github.com/python/cpython/issues/86296); a task that was told to end would go on. Nothing here uses it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Coroutine, TypeVar

_T = TypeVar("_T")


async def run_together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run until all have ended; where one fails or this is cancelled, the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await end(*tasks)


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until they have ended, whatever came of them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def within(seconds: float, work: Awaitable[_T]) -> _T:
    """Wait for `work`, at most so long; then it is cancelled and `asyncio.TimeoutError` raised."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            await end(task)


async def wait_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most so long; gives whether it came."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiting}, timeout=seconds)
    finally:
        waiting.cancel()
    return event.is_set()
