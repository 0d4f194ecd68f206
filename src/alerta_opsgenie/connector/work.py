"""Many alerts at once, and each alert's actions one after another, the oldest first.

What waits here lies in the memory of this process alone; its messages are still in the queue.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from dataclasses import dataclass, field
from typing import Awaitable, Callable

from alerta_opsgenie.connector.tasks import end

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Work:
    """One thing to do: `run` does it, `give_up` is called with the error if that fails.

    Works of one `lane` are done one at a time, in the order of `order_ns` among those that wait.
    """

    lane: str
    order_ns: int
    run: Callable[[], Awaitable[None]]
    give_up: Callable[[Exception], Awaitable[None]]
    began: float = 0.0


@dataclass
class _Lane:
    waiting: list[tuple[int, int, Work]] = field(default_factory=list)


class Dispatcher:
    """Does work, up to `workers` at once."""

    def __init__(self, workers: int) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._numbers = itertools.count()
        self._in_hand: dict[asyncio.Task[None], Work | None] = {}
        self._workers = workers
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_hand(self) -> int:
        """How many works are being done."""
        return sum(work is not None for work in self._in_hand.values())

    def oldest_seconds(self) -> float:
        """How long the work has been in hand that was begun first; 0 for none."""
        began = [work.began for work in self._in_hand.values() if work is not None]
        return time.monotonic() - min(began) if began else 0.0

    def put(self, work: Work) -> None:
        """Let a work be done when its lane and a worker are free; after `stop` it is not done."""
        if self._stopping:
            return
        self._idle.clear()
        lane = self._lanes.get(work.lane)
        if lane is None:
            lane = self._lanes[work.lane] = _Lane()
            self._ready.put_nowait(work.lane)
        heapq.heappush(lane.waiting, (work.order_ns, next(self._numbers), work))

    def start(self) -> None:
        """Begin to work."""
        for _ in range(self._workers):
            self._in_hand[asyncio.get_running_loop().create_task(self._work())] = None

    async def wait_idle(self) -> None:
        """Wait until there is nothing to do."""
        await self._idle.wait()

    async def stop(self, patience_seconds: float) -> None:
        """Begin nothing more, wait for what is in hand, and cut off what takes longer."""
        self._stopping = True
        self._lanes.clear()
        busy = [task for task, work in self._in_hand.items() if work is not None]
        if busy:
            await asyncio.wait(busy, timeout=patience_seconds)
        await end(*self._in_hand)

    async def _work(self) -> None:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 - a coroutine that runs is in a task
        while not self._stopping:
            name = await self._ready.get()
            lane = self._lanes.get(name)
            if lane is None:  # `stop` has cleared them
                return
            work = heapq.heappop(lane.waiting)[2]
            work.began = time.monotonic()
            self._in_hand[me] = work
            try:
                await work.run()
            except Exception as error:  # noqa: BLE001 - one broken work must not end the others
                _log.exception("a fault of this program; the message stays in the queue")
                await work.give_up(error)
            finally:
                self._in_hand[me] = None
            self._next(name, lane)

    def _next(self, name: str, lane: _Lane) -> None:
        if self._stopping:
            return
        if lane.waiting:
            self._ready.put_nowait(name)
            return
        del self._lanes[name]
        if not self._lanes:
            self._idle.set()
