"""Runs other scripts as OEC and JEC do. A script that was killed with the connector runs again."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Callable

from alerta_opsgenie.connector.callbacks import Callbacks
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.transport import Received, Source
from alerta_opsgenie.vendor.config import EdgeConfig
from alerta_opsgenie.vendor.runner import ScriptHost, ScriptResult, run_message

_SLACK_SECONDS = 60
_MOST_REMEMBERED = 1000
_log = logging.getLogger(__name__)


class _Run:
    def __init__(self, source: Source, received: Received, about: str, ended: Callable[[], None]) -> None:
        self.source = source
        self.body, self.about, self.ended = received.body, about, ended
        self.receipt = received.receipt  # the newest, after a redelivery
        self.is_running = self.is_done = False


class Scripts:
    """Runs up to `maxNumberOfWorker` scripts at once, in daemon threads."""

    def __init__(self, config: EdgeConfig, limit_seconds: int, callbacks: Callbacks, metrics: Metrics) -> None:
        self._config = config
        self._limit_seconds = limit_seconds
        self._callbacks = callbacks
        self._metrics = metrics
        self._waiting: queue.SimpleQueue[_Run | None] = queue.SimpleQueue()
        self._threads = 0
        self._changed = threading.Condition()
        self._runs: dict[str, _Run] = {}
        self._stopping = False

    @property
    def running(self) -> list[_Run]:
        """The running scripts."""
        return [run for run in list(self._runs.values()) if run.is_running]

    @property
    def unfinished(self) -> int:
        """The number of running and waiting scripts."""
        return sum(not run.is_done for run in list(self._runs.values()))

    def put(self, source: Source, received: Received, about: str, ended: Callable[[], None]) -> bool:
        """Run the script of a message soon. Return False if it was redelivered, or if no thread can be started."""
        message_id = received.receipt.message_id
        with self._changed:
            known = self._runs.get(message_id)
            if known is not None:
                known.receipt = received.receipt
                if known.is_done:
                    source.finish(received.receipt)
                return False
            run = self._runs[message_id] = _Run(source, received, about, ended)
            if not self._has_worker():
                del self._runs[message_id]
                return False
        self._extend_visibility(run)
        self._waiting.put(run)
        return True

    def _has_worker(self) -> bool:
        if self._threads < min(self._config.pool["maxNumberOfWorker"], self.unfinished):
            try:
                threading.Thread(target=self._work, name="script", daemon=True).start()
                self._threads += 1
            except RuntimeError as error:
                _log.error("a script waits for those before it, or stays in the queue: %s", error)
        return self._threads > 0

    def stop(self, seconds: float) -> None:
        """Start no more scripts, and wait for running ones. The message of one that still runs is deleted."""
        with self._changed:
            self._stopping = True
            for _ in range(self._threads):
                self._waiting.put(None)
            self._changed.wait_for(lambda: not self.running, seconds)
            for run in self.running:
                run.source.finish(run.receipt)

    def _extend_visibility(self, run: _Run) -> None:
        run.source.extend(run.receipt, self._limit_seconds + _SLACK_SECONDS)

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None and self._begin(run):
            self._run_and_finish(run)

    def _begin(self, run: _Run) -> bool:
        with self._changed:
            run.is_running = not self._stopping
            return run.is_running

    def _run_and_finish(self, run: _Run) -> None:
        try:
            self._extend_visibility(run)
            self._run(run.body, run.about)
            run.is_done = True
        except Exception:  # noqa: BLE001 - one failed script must not stop the others
            _log.exception("a fault of this program; the message stays in the queue")
        run.body = ""
        with self._changed:
            run.is_running = False
            done = [key for key, one in self._runs.items() if one.is_done]
            for key in done[:-_MOST_REMEMBERED] if run.is_done else [run.receipt.message_id]:
                del self._runs[key]
            self._changed.notify_all()
        if run.is_done:
            run.source.finish(run.receipt)
        run.ended()

    def _run(self, body: str, about: str) -> None:
        result = run_message(self._config, body, host=ScriptHost(time_limit_seconds=self._limit_seconds))
        label = _label(result)
        self._metrics.scripts.labels(label).inc()
        if result.callback is not None:
            self._callbacks.put(result.callback)
        what = result.failure or result.dropped_reason or ""
        level = logging.INFO if label == "succeeded" else logging.ERROR
        _log.log(level, "script %s for %s%s", label, about, f": {what[:300]}" if what else "")


def _label(result: ScriptResult) -> str:
    if result.dropped_reason is not None:
        return "refused"
    if result.timed_out:
        return "timed-out"
    return "succeeded" if result.succeeded else "failed"
