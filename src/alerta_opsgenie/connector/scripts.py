"""Scripts of other people, run as OEC and JEC run them. One that was killed with the connector runs again."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Callable, NamedTuple

from alerta_opsgenie.connector.callbacks import Callbacks
from alerta_opsgenie.connector.intake import Action
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.transport import Receipt, Received, Source
from alerta_opsgenie.vendor.config import EdgeConfig
from alerta_opsgenie.vendor.runner import Host, ScriptResult, run_message

_SLACK_SECONDS = 60
_MOST_REMEMBERED = 1000
_log = logging.getLogger(__name__)


class _Run(NamedTuple):
    source: Source
    received: Received
    action: Action
    ended: Callable[[], None]


class Scripts:
    """Runs up to `maxNumberOfWorker` scripts at once, each in a thread that does not hold the process at its end."""

    def __init__(self, config: EdgeConfig, limit_seconds: int, callbacks: Callbacks, metrics: Metrics) -> None:
        self._config = config
        self._limit_seconds = limit_seconds
        self._callbacks = callbacks
        self._metrics = metrics
        self._waiting: queue.SimpleQueue[_Run] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._known: dict[str, Receipt] = {}
        self._ended: dict[str, None] = {}
        self._running: dict[str, _Run] = {}
        self._threads = 0
        self._stopping = False

    @property
    def in_hand(self) -> int:
        """How many scripts run."""
        return len(self._running)

    def put(self, source: Source, received: Received, action: Action, ended: Callable[[], None]) -> bool:
        """Run the script of a message soon. False: it waits, runs or has run already, and came again."""
        message_id = received.receipt.message_id
        with self._changed:
            if message_id in self._ended:
                source.finish(received.receipt)
                return False
            is_known = message_id in self._known
            self._known[message_id] = received.receipt
            if is_known:
                return False
            self._waiting.put(_Run(source, received, action, ended))
            if self._threads < self._config.pool["maxNumberOfWorker"] and len(self._known) > self._threads:
                self._threads += 1
                threading.Thread(target=self._work, name="script", daemon=True).start()
        source.extend(received.receipt, self._limit_seconds + _SLACK_SECONDS)
        return True

    def stop(self, seconds: float) -> None:
        """Start none any more, and wait for those that run. One that takes longer goes on without us.

        To start that one again would do its work twice, so its message is deleted.
        """
        self._stopping = True
        with self._changed:
            self._changed.wait_for(lambda: not self._running, seconds)
            for run in self._running.values():
                run.source.finish(self._known[run.received.receipt.message_id])

    def _work(self) -> None:
        while True:
            run = self._waiting.get()
            if self._stopping:
                return
            message_id = run.received.receipt.message_id
            with self._changed:
                self._running[message_id] = run
                receipt = self._known[message_id]
            run.source.extend(receipt, self._limit_seconds + _SLACK_SECONDS)
            is_done = False
            try:
                self._run(run)
                is_done = True
            except Exception:  # noqa: BLE001 - one broken script must not end the others
                _log.exception("a fault of this program; the message stays in the queue")
            self._forget(run, is_done=is_done)

    def _run(self, run: _Run) -> None:
        result = run_message(self._config, run.received.body, host=Host(time_limit_seconds=self._limit_seconds))
        label = _label(result)
        self._metrics.scripts.labels(label).inc()
        if result.callback is not None:
            self._callbacks.put(result.callback)
        what = result.failure or result.dropped_reason or ""
        level = logging.INFO if label == "succeeded" else logging.ERROR
        _log.log(level, "script %s for %s%s", label, run.action.about, f": {what[:300]}" if what else "")

    def _forget(self, run: _Run, *, is_done: bool) -> None:
        message_id = run.received.receipt.message_id
        with self._changed:
            del self._running[message_id]
            receipt = self._known.pop(message_id)
            if is_done:
                self._ended[message_id] = None
                if len(self._ended) > _MOST_REMEMBERED:
                    del self._ended[next(iter(self._ended))]
            self._changed.notify_all()
        if is_done:
            run.source.finish(receipt)
        run.ended()


def _label(result: ScriptResult) -> str:
    if result.dropped_reason is not None:
        return "refused"
    if result.timed_out:
        return "timed-out"
    return "succeeded" if result.succeeded else "failed"
