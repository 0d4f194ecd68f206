"""Polls one queue. A thread receives messages within the limit in flight; another deletes finished messages."""

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
from alerta_opsgenie.connector.threads import Threads
from alerta_opsgenie.connector.transport import (
    LONGEST_POLL_SECONDS,
    MOST_PER_BATCH,
    Receipt,
    Received,
    Transport,
    TransportError,
)
from alerta_opsgenie.core.backoff import delay_seconds

LONGEST_PAUSE_SECONDS = 5.0  # The longest wait after a failed request; it is one small request
MOST_UNDELETED = 10_000  # Waiting deletions while the queue fails; beyond that the oldest messages are redelivered
LINGER_SECONDS = 0.25
"""How long a finished message waits, so that several are deleted in one request. After a kill it is redelivered."""

_SHORT_POLL_SECONDS = 1
_log = logging.getLogger(__name__)


class Poller:
    """Polls one queue. `stale` is called when it refuses the credentials; `failure` is the last error.

    `polled_at` is its last response (seconds since the epoch), `empty_polls` the number of empty ones in a row.
    """

    def __init__(
        self, transport: Transport, handler: Handler, stale: Callable[[], None], metrics: Metrics, threads: Threads, *,
        batch: int = MOST_PER_BATCH, once: bool = False,
    ) -> None:  # fmt: skip
        self.transport = transport
        self.name = transport.name
        self._poll_thread, self._delete_thread = f"queue {transport.name}", f"deletions {transport.name}"
        self.failure = ""
        self.polled_at = 0.0
        self.empty_polls = 0
        self._handler = handler
        self._stale = stale
        self._metrics = metrics
        self._threads = threads
        self._batch = min(batch, MOST_PER_BATCH, handler.in_flight.most)
        self._once = once
        self._failures = self._failed_deletions = 0
        self._stopping = threading.Event()
        self._done: OrderedDict[str, Receipt] = OrderedDict()
        self._changed = threading.Condition()
        self._flushing = False

    @property
    def undeleted(self) -> int:
        """The number of messages that are finished and not deleted."""
        return len(self._done)

    def start(self) -> None:
        """Start to receive and to delete."""
        self._metrics.queue(self.name)
        self._polling = self._threads.start(self._poll_thread, self._poll_until_stopped)
        self._deleting = self._threads.start(self._delete_thread, self._delete_until_flushed)

    def stop(self) -> None:
        """Receive no more. Messages of a poll in progress are made visible again, if the process still lives."""
        self._stopping.set()

    def flush(self, seconds: float) -> None:
        """Delete the finished messages, within so long or until the first failure. Call `stop` before."""
        with self._changed:
            self._flushing = True
            self._changed.notify()
        self._deleting.join(seconds)

    def is_polling(self) -> bool:
        """Whether the polling thread still runs."""
        return self._polling.is_alive()

    def _pause_seconds(self, thread: str, failures: int, error: TransportError) -> float:
        """Return the pause after a failure, and report it to the watchdog. Refresh credentials that are stale."""
        if error.stale:
            self._stale()
        asked = error.retry_after_seconds
        pause = delay_seconds(failures, jitter(), longest_seconds=LONGEST_PAUSE_SECONDS, retry_after_seconds=asked)
        self._threads.report_alive(thread, pause + 120.0)
        return pause

    def _poll_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._threads.stop_watching(self._poll_thread)
            most = self._handler.in_flight.wait(self._batch)
            self._threads.report_alive(self._poll_thread)
            if not most:
                return
            if not self._stopping.is_set():
                self._poll(most)

    def _poll(self, most: int) -> None:
        # A long poll of an idle queue takes 20 s. A short one shows sooner that the queue responds.
        short = self._once or self._failures or not self.polled_at
        try:
            messages = self.transport.receive(most, _SHORT_POLL_SECONDS if short else LONGEST_POLL_SECONDS)
        except TransportError as error:
            self._wait_after(error)
            return
        if self.failure:
            _log.info("the queue %s answers again", self.name)
        self.failure, self._failures, self.polled_at = "", 0, time.time()
        self._count(messages)
        if self._stopping.is_set():
            for received in messages:
                self.extend(received.receipt, 0)
        elif messages:
            self._take(messages)
        self.empty_polls = 0 if messages else self.empty_polls + 1

    def _take(self, messages: list[Received]) -> None:
        try:
            self._handler.take(self, messages)
        except Exception:  # noqa: BLE001 - these messages are redelivered; polling must continue
            _log.exception("a fault of this program; messages stay in the queue %s", self.name)

    def _count(self, messages: list[Received]) -> None:
        self._metrics.polled.labels(self.name).set(self.polled_at)
        lag = max(0.0, self.polled_at - messages[-1].sent_at) if messages else 0.0
        self._metrics.lag.labels(self.name).set(lag)
        self._metrics.taken.labels(self.name).inc(len(messages))

    def _wait_after(self, error: TransportError) -> None:
        self._failures += 1
        # Log the same error once.
        if str(error) != self.failure:
            _log.warning("%s", error)
        self.failure = str(error)
        self._stopping.wait(self._pause_seconds(self._poll_thread, self._failures, error))

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Hide a message for so many seconds. Where that fails it comes earlier."""
        try:
            self.transport.extend(receipt, seconds)
        except TransportError as error:
            _log.warning("%s; another connector may receive a message in flight too", error)

    def finish(self, receipt: Receipt) -> None:
        """Delete a message soon. Of one message the newest receipt is used."""
        with self._changed:
            if receipt.message_id not in self._done and len(self._done) >= MOST_UNDELETED:
                self._done.popitem(last=False)
            self._done[receipt.message_id] = receipt
            if len(self._done) in (1, MOST_PER_BATCH):
                self._changed.notify()

    def _delete_until_flushed(self) -> None:
        while batch := self._next_batch():
            self._threads.report_alive(self._delete_thread)
            try:
                self._delete(batch)
                self._failed_deletions = 0
            except TransportError as error:
                if self._flushing:
                    return
                self._failed_deletions += 1
                if self._failed_deletions == 1:
                    _log.warning("%s; %d messages that are done wait to be deleted", error, self.undeleted)
                pause = self._pause_seconds(self._delete_thread, self._failed_deletions, error)
                with self._changed:
                    self._changed.wait_for(lambda: self._flushing, pause)

    def _next_batch(self) -> list[Receipt]:
        with self._changed:
            self._threads.stop_watching(self._delete_thread)
            self._changed.wait_for(lambda: self._done or self._flushing)
            self._changed.wait_for(lambda: len(self._done) >= MOST_PER_BATCH or self._flushing, LINGER_SECONDS)
            return list(islice(self._done.values(), MOST_PER_BATCH))

    def _delete(self, batch: list[Receipt]) -> None:
        failed = self.transport.delete(batch)
        deleted = [one for one in batch if one not in failed]
        with self._changed:
            for receipt in deleted:
                if self._done.get(receipt.message_id) == receipt:
                    del self._done[receipt.message_id]
        self._metrics.deleted.labels(self.name).inc(len(deleted))
        if failed:
            raise TransportError(f"the queue {self.name} failed to delete {len(failed)} messages")
