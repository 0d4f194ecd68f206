"""The messages of one queue that are in our hands: kept hidden from others until they are deleted or given back.

A message is deleted in the background, in batches. Where that fails it is tried again for as long as the process
lives; what is never deleted comes again, and is then known as done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import Callable, Iterable, TypeVar

from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.queue import MOST_PER_BATCH, QueueError, Received, SqsQueue
from alerta_opsgenie.connector.tasks import run_together, wait_event
from alerta_opsgenie.core.backoff import delay_seconds

MOST_UNDELETED = 10_000
"""Deletions that wait while SQS is away; beyond that the oldest are left to come again."""

_LINGER_SECONDS = 0.25
"""How long a message that is done waits for others, to be deleted in one request; killed then, it comes again."""

_LONGEST_PAUSE_SECONDS = 5.0
_SLACK_SECONDS = 60.0
_log = logging.getLogger(__name__)


class Holding:
    """What is held of one queue, up to `most` messages.

    `stale` is called when SQS refuses the credentials.
    """

    def __init__(
        self,
        queue: SqsQueue,
        *,
        most: int,
        visibility_seconds: int,
        progress: Progress,
        stale: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.most = most
        self.visibility_seconds = visibility_seconds
        self._deleted = 0
        self._progress = progress
        self._stale = stale
        self._held: dict[Received, float] = {}
        self._done: dict[str, None] = {}
        self._roomy = asyncio.Event()
        self._wanted = asyncio.Event()
        self._batch_full = asyncio.Event()
        self._failures = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def undeleted(self) -> int:
        """How many messages are done and not yet deleted."""
        return len(self._done)

    def messages(self) -> list[Received]:
        """Give what is held."""
        return list(self._held)

    def take_deleted(self) -> int:
        """Give how many messages were deleted since the last call."""
        deleted, self._deleted = self._deleted, 0
        return deleted

    def take(self, received: Received) -> None:
        """Hold a message that was received just now."""
        self._held[received] = time.monotonic() + self.visibility_seconds

    def finish(self, received: Received) -> None:
        """Let go of a message that is done, and delete it soon."""
        self._release(received)
        if len(self._done) >= MOST_UNDELETED:
            del self._done[next(iter(self._done))]
        self._done[received.handle] = None
        self._wanted.set()
        if len(self._done) >= MOST_PER_BATCH:
            self._batch_full.set()

    async def give_back(self, messages: Iterable[Received], seconds: int = 0) -> None:
        """Let go of messages, to be received again after `seconds`; where SQS is away that is when they reappear."""
        messages = list(messages)
        for received in messages:
            self._release(received)
        try:
            for batch in _batches([received.handle for received in messages]):
                await self.queue.hide(batch, seconds)
        except QueueError as error:
            _log.warning("%s; messages of ours come again when their time is over", error)

    async def room(self, count: int) -> None:
        """Wait until there is room for so many."""
        while self.most - len(self._held) < min(count, self.most):
            self._roomy.clear()
            await self._roomy.wait()

    async def run(self) -> None:
        """Keep hidden what is held and delete what is done, until cancelled."""
        await run_together(self._keep_hidden(), self._keep_deleting())

    async def flush(self) -> None:
        """Delete what is done, now; gives up at the first trouble."""
        with contextlib.suppress(QueueError):
            while self._done:
                await self._delete_some()

    def _release(self, received: Received) -> None:
        if self._held.pop(received, None) is not None:
            self._roomy.set()

    async def _keep_hidden(self) -> None:
        """Hide anew what is held, when a third of its time is left."""
        part = f"visibility {self.queue.name}"
        while True:
            self._progress.beat(part, self.visibility_seconds + _SLACK_SECONDS)
            await asyncio.sleep(self.visibility_seconds / 6)
            soon = time.monotonic() + self.visibility_seconds / 2
            due = [received for received, until in self._held.items() if until < soon]
            for batch in _batches(due):
                await self._hide(batch)

    async def _hide(self, batch: list[Received]) -> None:
        until = time.monotonic() + self.visibility_seconds
        still = [received for received in batch if received in self._held]
        try:
            if still:
                await self.queue.hide([received.handle for received in still], self.visibility_seconds)
        except QueueError as error:
            if error.stale:
                self._stale()
            _log.warning("%s; messages in hand may be given to another connector too", error)
            return
        for received in still:
            if received in self._held:
                self._held[received] = until

    async def _keep_deleting(self) -> None:
        part = f"deletions {self.queue.name}"
        while True:
            self._progress.forget(part)
            await self._wanted.wait()
            self._progress.beat(part)
            self._batch_full.clear()
            if len(self._done) < MOST_PER_BATCH:
                await wait_event(self._batch_full, _LINGER_SECONDS)
            self._wanted.clear()
            try:
                if self._done:
                    await self._delete_some()
                self._failures = 0
            except QueueError as error:
                await self._pause(error)
            if self._done:
                self._wanted.set()

    async def _delete_some(self) -> None:
        batch = list(self._done)[:MOST_PER_BATCH]
        failed = await self.queue.delete(batch)
        for handle in batch:
            if handle not in failed:
                self._done.pop(handle, None)
                self._deleted += 1
        if failed:
            raise QueueError(f"the queue {self.queue.name} failed to delete {len(failed)} messages")

    async def _pause(self, error: QueueError) -> None:
        self._failures += 1
        if error.stale:
            self._stale()
        if self._failures == 1:
            _log.warning("%s; %d messages that are done wait to be deleted", error, len(self._done))
        fraction = random.random()  # noqa: S311 - jitter
        await asyncio.sleep(delay_seconds(self._failures, fraction, longest_seconds=_LONGEST_PAUSE_SECONDS))


_T = TypeVar("_T")


def _batches(items: list[_T]) -> Iterable[list[_T]]:
    return (items[start : start + MOST_PER_BATCH] for start in range(0, len(items), MOST_PER_BATCH))
