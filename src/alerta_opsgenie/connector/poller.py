"""One queue at work: a thread that takes messages while there is room, and one that deletes what is done."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from itertools import islice
from typing import Callable

from alerta_opsgenie.agent.target import jitter
from alerta_opsgenie.connector.handler import Handler
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.parts import Parts
from alerta_opsgenie.connector.transport import (
    LONGEST_POLL_SECONDS,
    MOST_PER_BATCH,
    Receipt,
    Received,
    Transport,
    TransportError,
)
from alerta_opsgenie.core.backoff import delay_seconds

LONGEST_PAUSE_SECONDS = 5.0  # The longest wait after the queue did not answer; it is one small request
MOST_UNDELETED = 10_000  # Deletions that wait while the queue is away; beyond that the oldest are left to come again
LINGER_SECONDS = 0.25
"""How long a message that is done waits for others, to be deleted in one request; killed then, it comes again."""

_SHORT_POLL_SECONDS = 1
_log = logging.getLogger(__name__)


class Poller:
    """Takes one queue. `stale` is called when it refuses the credentials; `failure` says what was wrong the last time.

    `polled_at` is when it last answered (seconds since the epoch), `empty_polls` how many answers in a row were empty.
    """

    def __init__(
        self, transport: Transport, handler: Handler, stale: Callable[[], None], metrics: Metrics, parts: Parts, *,
        batch: int = MOST_PER_BATCH, once: bool = False,
    ) -> None:  # fmt: skip
        self.transport = transport
        self.name = transport.name
        self.failure = ""
        self.polled_at = 0.0
        self.empty_polls = 0
        self._handler = handler
        self._stale = stale
        self._metrics = metrics
        self._parts = parts
        self._batch = min(batch, MOST_PER_BATCH, handler.room.most)
        self._once = once
        self._failures = self._failed_deletions = 0
        self._stopping = threading.Event()
        self._done: OrderedDict[str, Receipt] = OrderedDict()
        self._changed = threading.Condition()
        self._flushing = False
        self._threads: list[threading.Thread] = []

    @property
    def undeleted(self) -> int:
        """How many messages are done and not yet deleted."""
        return len(self._done)

    def start(self) -> None:
        """Begin to take and to delete."""
        self._metrics.queue(self.name)
        parts = {f"queue {self.name}": self._take_on, f"deletions {self.name}": self._delete_on}
        self._threads = [self._parts.start(name, run) for name, run in parts.items()]

    def stop(self) -> None:
        """Take no more. A poll that is under way gives back what it brings, if the process still lives then."""
        self._stopping.set()

    def flush(self, seconds: float) -> None:
        """Delete what is done, within so long, and end, at the latest at the first failure; call `stop` before."""
        with self._changed:
            self._flushing = True
            self._changed.notify()
        self._threads[1].join(seconds)

    def is_polling(self) -> bool:
        """Whether the thread that polls has not ended yet."""
        return self._threads[0].is_alive()

    def _log_failure(self, part: str, failures: int, error: TransportError) -> float:
        """Let the watchdog know of the pause after a failure, and have other credentials fetched; gives the pause."""
        if error.stale:
            self._stale()
        asked = error.retry_after_seconds
        pause = delay_seconds(failures, jitter(), longest_seconds=LONGEST_PAUSE_SECONDS, retry_after_seconds=asked)
        self._parts.beat(f"{part} {self.name}", pause + 120.0)
        return pause

    def _take_on(self) -> None:
        part = f"queue {self.name}"
        while not self._stopping.is_set():
            self._parts.idle(part)
            most = self._handler.room.wait(self._batch)
            self._parts.beat(part)
            if not most:
                return
            if not self._stopping.is_set():
                self._poll(most)

    def _poll(self, most: int) -> None:
        # A long poll of an idle queue says nothing for 20 s; whether the queue answers at all is known sooner.
        short = self._once or self._failures or not self.polled_at
        try:
            messages = self.transport.receive(most, _SHORT_POLL_SECONDS if short else LONGEST_POLL_SECONDS)
        except TransportError as error:
            self._pause(error)
            return
        if self.failure:
            _log.info("the queue %s answers again", self.name)
        self.failure, self._failures, self.polled_at = "", 0, time.time()
        self._note(messages)
        if self._stopping.is_set():
            for received in messages:
                self.extend(received.receipt, 0)
        elif messages:
            self._take(messages)
        self.empty_polls = 0 if messages else self.empty_polls + 1

    def _take(self, messages: list[Received]) -> None:
        try:
            self._handler.take(self, messages)
        except Exception:  # noqa: BLE001 - these messages come again; the others must go on
            _log.exception("a fault of this program; messages stay in the queue %s", self.name)

    def _note(self, messages: list[Received]) -> None:
        self._metrics.polled.labels(self.name).set(self.polled_at)
        lag = max(0.0, self.polled_at - messages[-1].sent_at) if messages else 0.0
        self._metrics.lag.labels(self.name).set(lag)
        self._metrics.taken.labels(self.name).inc(len(messages))

    def _pause(self, error: TransportError) -> None:
        self._failures += 1
        # Said again only when something else is wrong.
        if str(error) != self.failure:
            _log.warning("%s", error)
        self.failure = str(error)
        self._stopping.wait(self._log_failure("queue", self._failures, error))

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Let a message come again no sooner than in so many seconds; where that fails it comes earlier."""
        try:
            self.transport.extend(receipt, seconds)
        except TransportError as error:
            _log.warning("%s; a message in hand may be given to another connector too", error)

    def finish(self, receipt: Receipt) -> None:
        """Delete a message soon: it is done, or safe. Of one message the newest receipt counts."""
        with self._changed:
            if receipt.message_id not in self._done and len(self._done) >= MOST_UNDELETED:
                self._done.popitem(last=False)
            self._done[receipt.message_id] = receipt
            if len(self._done) in (1, MOST_PER_BATCH):
                self._changed.notify()

    def _delete_on(self) -> None:
        while batch := self._next_batch():
            self._parts.beat(f"deletions {self.name}")
            try:
                self._delete(batch)
                self._failed_deletions = 0
            except TransportError as error:
                if self._flushing:
                    return
                self._failed_deletions += 1
                if self._failed_deletions == 1:
                    _log.warning("%s; %d messages that are done wait to be deleted", error, self.undeleted)
                pause = self._log_failure("deletions", self._failed_deletions, error)
                with self._changed:
                    self._changed.wait_for(lambda: self._flushing, pause)

    def _next_batch(self) -> list[Receipt]:
        with self._changed:
            self._parts.idle(f"deletions {self.name}")
            self._changed.wait_for(lambda: self._done or self._flushing)
            self._changed.wait_for(lambda: len(self._done) >= MOST_PER_BATCH or self._flushing, LINGER_SECONDS)
            return list(islice(self._done.values(), MOST_PER_BATCH))

    def _delete(self, batch: list[Receipt]) -> None:
        failed = self.transport.done(batch)
        deleted = [one for one in batch if one not in failed]
        with self._changed:
            for receipt in deleted:
                if self._done.get(receipt.message_id) == receipt:
                    del self._done[receipt.message_id]
        self._metrics.deleted.labels(self.name).inc(len(deleted))
        if failed:
            raise TransportError(f"the queue {self.name} failed to delete {len(failed)} messages")
