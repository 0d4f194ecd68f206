"""Takes messages from one queue for as long as there is room for them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Callable

from alerta_opsgenie.connector.holding import Holding
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.queue import LONGEST_POLL_SECONDS, MOST_PER_BATCH, QueueError, Received
from alerta_opsgenie.connector.tasks import end
from alerta_opsgenie.core.backoff import delay_seconds

LONGEST_PAUSE_SECONDS = 5.0
"""The longest wait after SQS did not answer; it is one small request."""

_SHORT_POLL_SECONDS = 1
_log = logging.getLogger(__name__)


class Poller:
    """Polls until cancelled. `accept` is given each message; `stale` is called when SQS refuses the credentials.

    `failure` says what was wrong the last time; `polled_at` when the queue last answered (seconds since the epoch);
    `empty_polls` how many answers in a row were empty.
    """

    def __init__(
        self,
        holding: Holding,
        accept: Callable[[Holding, Received], None],
        stale: Callable[[], None],
        metrics: Metrics,
        progress: Progress,
        *,
        batch: int = MOST_PER_BATCH,
        once: bool = False,
    ) -> None:
        self.holding = holding
        self.failure = ""
        self.polled_at = 0.0
        self.empty_polls = 0
        self._accept = accept
        self._stale = stale
        self._metrics = metrics
        self._progress = progress
        self._batch = min(batch, MOST_PER_BATCH, holding.most)
        self._once = once
        self._failures = 0
        self._stopping = False

    async def stop(self, polling: asyncio.Task[None], patience_seconds: float) -> None:
        """End `run`, whose task is `polling`.

        Cut off while messages are on their way to us, a poll would leave them hidden until their time is over. So one
        that brings messages may end, and these are held to be given back.
        """
        self._stopping = True
        await asyncio.wait({polling}, timeout=patience_seconds)
        await end(polling)

    async def run(self) -> None:
        """Poll until cancelled."""
        part = f"queue {self.holding.queue.name}"
        try:
            while not self._stopping:
                self._progress.forget(part)
                await self.holding.room(self._batch)
                self._progress.beat(part)
                if not self._stopping:
                    await self._poll()
        finally:
            self._progress.forget(part)

    async def _poll(self) -> None:
        name = self.holding.queue.name
        # A long poll of an idle queue says nothing for 20 s; whether the queue answers at all is known sooner.
        short = self._once or self._failures or not self.polled_at
        wait_seconds = _SHORT_POLL_SECONDS if short else LONGEST_POLL_SECONDS
        try:
            messages = await self.holding.queue.receive(self._batch, wait_seconds, self.holding.visibility_seconds)
        except QueueError as error:
            await self._pause(error)
            return
        if self.failure:
            _log.info("the queue %s answers again", name)
        self.failure, self._failures, self.polled_at = "", 0, time.time()
        self.empty_polls = 0 if messages else self.empty_polls + 1
        self._metrics.polled.labels(name).set(self.polled_at)
        self._metrics.lag.labels(name).set(max(0.0, self.polled_at - messages[-1].sent_at) if messages else 0.0)
        if messages:
            self._metrics.taken.labels(name).inc(len(messages))
        for received in messages:
            self.holding.take(received)
            if not self._stopping:
                self._accept(self.holding, received)

    async def _pause(self, error: QueueError) -> None:
        self._failures += 1
        if error.stale:
            self._stale()
        # Said again only when it is another trouble.
        if str(error) != self.failure:
            _log.warning("%s", error)
        self.failure = str(error)
        fraction = random.random()  # noqa: S311 - jitter
        await asyncio.sleep(delay_seconds(self._failures, fraction, longest_seconds=LONGEST_PAUSE_SECONDS))
