"""Works of one lane one after another and the oldest first; different lanes at once; an end in time."""

from __future__ import annotations

import asyncio

from alerta_opsgenie.connector.work import Dispatcher, Work


class Log:
    def __init__(self) -> None:
        self.done: list[str] = []
        self.given_up: list[Exception] = []
        self.together = self.most_together = 0
        self.gate = asyncio.Event()

    def work(self, lane: str, order: int, *, waits: bool = False, fails: bool = False) -> Work:
        async def run() -> None:
            self.together += 1
            self.most_together = max(self.most_together, self.together)
            try:
                if waits:
                    await self.gate.wait()
                if fails:
                    raise RuntimeError("a fault of ours")
                await asyncio.sleep(0)
                self.done.append(f"{lane}{order}")
            finally:
                self.together -= 1

        async def give_up(error: Exception) -> None:
            self.given_up.append(error)

        return Work(lane, order, run, give_up)


async def run(log: Log, *works: Work, workers: int = 4) -> Dispatcher:
    dispatcher = Dispatcher(workers)
    for work in works:
        dispatcher.put(work)
    dispatcher.start()
    await asyncio.wait({asyncio.ensure_future(dispatcher.wait_idle())}, timeout=2)
    return dispatcher


async def test_a_lane_is_done_in_order_whatever_order_it_came_in() -> None:
    log = Log()
    dispatcher = await run(log, *(log.work("a", order) for order in (3, 1, 2)))
    await dispatcher.stop(0)
    assert log.done == ["a1", "a2", "a3"]
    assert log.most_together == 1


async def test_a_lane_that_waits_holds_up_no_other() -> None:
    log = Log()
    dispatcher = Dispatcher(2)
    dispatcher.start()
    for work in (log.work("slow", 1, waits=True), log.work("slow", 2), log.work("a", 1), log.work("b", 1)):
        dispatcher.put(work)
    for _ in range(20):
        await asyncio.sleep(0)
    assert log.done == ["a1", "b1"]
    log.gate.set()
    await dispatcher.wait_idle()
    await dispatcher.stop(0)
    assert log.done == ["a1", "b1", "slow1", "slow2"]


async def test_no_more_are_at_work_than_there_are_workers() -> None:
    log = Log()
    dispatcher = await run(log, *(log.work(str(number), 1) for number in range(20)), workers=3)
    await dispatcher.stop(0)
    assert log.most_together == 3


async def test_a_work_that_fails_is_given_up_and_the_lane_goes_on() -> None:
    log = Log()
    dispatcher = await run(log, log.work("a", 1, fails=True), log.work("a", 2))
    await dispatcher.stop(0)
    assert log.done == ["a2"]
    assert [str(error) for error in log.given_up] == ["a fault of ours"]


async def test_stopping_finishes_what_is_in_hand_and_begins_nothing() -> None:
    log = Log()
    dispatcher = Dispatcher(1)
    dispatcher.start()
    dispatcher.put(log.work("a", 1, waits=True))
    dispatcher.put(log.work("b", 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.02, log.gate.set)
    await dispatcher.stop(5)
    dispatcher.put(log.work("c", 1))
    assert log.done == ["a1"]
    assert dispatcher.in_hand == 0


async def test_stopping_cuts_off_what_takes_too_long() -> None:
    log = Log()
    dispatcher = Dispatcher(1)
    dispatcher.start()
    dispatcher.put(log.work("a", 1, waits=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert dispatcher.oldest_seconds() > 0
    await dispatcher.stop(0.01)
    assert log.done == []
    assert log.together == 0


