"""Messages in our hands: kept hidden while they are, deleted when they are done, given back when they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from alerta_opsgenie.connector.holding import Holding
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.queue import QueueError, Received
from alerta_opsgenie.connector.tasks import end
from tests.connector.waiting import until


class FakeQueue:
    """Notes what is asked of SQS; refuses while `trouble` is set."""

    name = "q"

    def __init__(self) -> None:
        self.deleted: list[list[str]] = []
        self.hidden: list[tuple[list[str], int]] = []
        self.trouble: QueueError | None = None
        self.tries = 0

    async def delete(self, handles: Iterable[str]) -> list[str]:
        self.tries += 1
        if self.trouble:
            raise self.trouble
        self.deleted.append(list(handles))
        return []

    async def hide(self, handles: Iterable[str], seconds: int) -> list[str]:
        if self.trouble:
            raise self.trouble
        self.hidden.append((list(handles), seconds))
        return []


class Case:
    def __init__(self, most: int = 20, visibility_seconds: float = 30) -> None:
        self.queue = FakeQueue()
        self.stale = 0
        self.holding = Holding(
            self.queue,  # type: ignore[arg-type]
            most=most,
            visibility_seconds=visibility_seconds,  # type: ignore[arg-type]
            progress=Progress(),
            stale=self._note_stale,
        )

    def _note_stale(self) -> None:
        self.stale += 1

    def take(self, *handles: str) -> list[Received]:
        messages = [Received(None, name, name, "b", {}, 1, 0.0, 0.0) for name in handles]  # type: ignore[arg-type]
        for received in messages:
            self.holding.take(received)
        return messages


async def test_what_is_done_is_deleted_in_batches_of_ten() -> None:
    case = Case(most=50)
    messages = case.take(*map(str, range(25)))
    running = asyncio.ensure_future(case.holding.run())
    for received in messages:
        case.holding.finish(received)
    await until(lambda: not case.holding.undeleted)
    await end(running)
    assert [len(batch) for batch in case.queue.deleted] == [10, 10, 5]
    assert case.holding.take_deleted() == 25
    assert len(case.holding) == 0


async def test_a_deletion_that_fails_is_tried_again_until_it_works() -> None:
    case = Case()
    case.queue.trouble = QueueError("away", stale=True)
    running = asyncio.ensure_future(case.holding.run())
    case.holding.finish(case.take("a")[0])
    await until(lambda: case.queue.tries >= 2)
    case.queue.trouble = None
    await until(lambda: case.queue.deleted == [["a"]])
    await end(running)
    assert case.stale >= 1


async def test_what_is_in_hand_stays_hidden_and_what_is_done_does_not_count() -> None:
    case = Case(visibility_seconds=0.3)
    kept, done = case.take("kept", "done")
    case.holding.finish(done)
    running = asyncio.ensure_future(case.holding.run())
    await until(lambda: len(case.queue.hidden) >= 3)
    await end(running)
    assert {tuple(handles) for handles, _ in case.queue.hidden} == {("kept",)}
    assert case.holding.messages() == [kept]


async def test_given_back_messages_are_visible_at_once() -> None:
    case = Case()
    await case.holding.give_back(case.take("a", "b"))
    assert case.queue.hidden == [(["a", "b"], 0)]
    assert len(case.holding) == 0


async def test_giving_back_to_a_queue_that_is_away_is_no_error() -> None:
    case = Case()
    case.queue.trouble = QueueError("away")
    await case.holding.give_back(case.take("a"))
    assert len(case.holding) == 0


async def test_no_more_is_taken_than_can_be_held() -> None:
    case = Case(most=10)
    messages = case.take(*map(str, range(10)))
    waiting = asyncio.ensure_future(case.holding.room(10))
    await asyncio.sleep(0.01)
    for received in messages[:9]:
        case.holding.finish(received)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    case.holding.finish(messages[9])
    await asyncio.wait({waiting}, timeout=1)
    assert waiting.done()
