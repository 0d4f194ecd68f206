"""The deliverer of this process, and its delivery lock.

| the lock is held by | this process |
|---|---|
| no process | takes the lock and delivers |
| a resident agent | asks it to end, then takes the lock |
| another `run` | appends to the journal; the other `run` delivers |
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable

from alerta_opsgenie.agent import client, handover
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.intake import Report
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.agent.resident import TAKE_OVER_SECONDS
from alerta_opsgenie.agent.server import Server
from alerta_opsgenie.connector.cloud import error_text
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.journal import JournalError

LOCK_AGAIN_SECONDS = 1.0
_SERVER_STOP_SECONDS = _THREAD_STOP_SECONDS = 1.0
_AGENT_LOOK_SECONDS = 0.1
_log = logging.getLogger(__name__)


class LocalDelivery:
    """Holds `deliverer`, with the lock or without. `report` is called with each attempt of this process."""

    def __init__(self, plan: Plan, report: Callable[[Report], None]) -> None:
        FILES.warn = _log.warning
        self._plan = plan
        self._report = report
        self._directory = plan.options.spool_directory
        self.deliverer = self._make()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._wait_for_lock, name="delivery lock", daemon=True)
        self._stopping = threading.Event()
        self._holds_lock = False
        self._has_journal = True
        self._problem = self._ask_failure = ""
        self._asked_holder: tuple[object, ...] = ()

    def _make(self) -> Deliverer:
        return Deliverer(self._directory, workers=self._plan.settings.workers, report=self._report)

    def start(self, stop: threading.Event) -> None:
        """Take the delivery lock. Wait until a resident agent has released it, or `stop` is set."""
        gives_up_by = time.monotonic() + TAKE_OVER_SECONDS
        while not self._take_lock() and not self._problem and time.monotonic() < gives_up_by:
            if stop.wait(_AGENT_LOOK_SECONDS):
                break
        self._thread.start()

    def can_use(self, plan: Plan) -> bool:
        """Whether this deliverer can be used with another configuration."""
        is_same_directory = plan.options.spool_directory == self._directory
        return is_same_directory and plan.settings.workers == self._plan.settings.workers

    def use(self, plan: Plan) -> None:
        """Apply another configuration, and make the actions that wait for its Alertas due."""
        self._plan = plan
        if self._holds_lock:
            self._wake()

    def stop(self, seconds: float) -> None:
        """Finish the attempts in flight within so long. The rest stays in the journal. A second call does nothing."""
        if self._stopping.is_set():
            return
        end = time.monotonic() + seconds
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_THREAD_STOP_SECONDS)
        if self._server is not None:
            self._server.stop(_SERVER_STOP_SECONDS)
        self.deliverer.stop(max(0.2, end - time.monotonic()))

    def _wait_for_lock(self) -> None:
        """Take the delivery lock once it is free, and again after the state directory was removed or replaced."""
        while not self._stopping.wait(LOCK_AGAIN_SECONDS):
            if self._holds_lock and self.deliverer.is_displaced:
                self._holds_lock = False
                _log.warning("the state directory %s was removed or replaced", self._directory)
            try:
                if not self._holds_lock and not self._take_lock():
                    self._ask_lock_holder()
            except Exception:  # noqa: BLE001 - the thread must continue: only it takes the lock
                _log.exception("the delivery lock cannot be taken")

    def _take_lock(self) -> bool:
        deliverer = self._make()
        try:
            if deliverer.start():
                self._deliver_with(deliverer)
                return True
            if not self._has_journal or self.deliverer.is_displaced:
                self._swap(deliverer)
            is_run = client.ask_to_retire(self._directory) == b"run"
            where = f"holds the delivery lock of {self._directory} and delivers the actions of this one"
            problem = f"another process {where}" if is_run else ""
        except (handover.UnsafeError, OSError, JournalError) as error:
            problem = f"the state directory {self._directory} cannot be used: {error_text(error)}"
            self._has_journal = False
            self.deliverer.start_without_journal(problem)
        if problem and problem != self._problem:
            _log.warning("%s", problem)
        self._problem = problem or self._problem
        return False

    def _ask_lock_holder(self) -> None:
        """Send our keys to the `run` that holds the lock, so that it delivers. Once: each call resets its pauses."""
        status = client.ask_status(self._directory) or {}
        holder = (status.get("pid"), status.get("since"), self._plan)
        if status.get("kind") != "run" or holder == self._asked_holder:
            return
        try:
            for options in self._plan.each_alerta():
                client.wake(options, program=())
            self._asked_holder, self._ask_failure = holder, ""
        except handover.NoAgentError as error:
            if str(error) != self._ask_failure:
                _log.warning("the process that delivers has not accepted the keys of this process: %s", error)
            self._ask_failure = str(error)

    def _swap(self, deliverer: Deliverer) -> None:
        before, self.deliverer, self._has_journal = self.deliverer, deliverer, True
        before.stop(_SERVER_STOP_SECONDS)

    def _deliver_with(self, deliverer: Deliverer) -> None:
        if self._stopping.is_set():
            deliverer.stop(0.0)
            return
        self._holds_lock = True
        self._swap(deliverer)
        if self._server is not None:
            self._server.stop(_SERVER_STOP_SECONDS)
        if self._problem:
            _log.info("the delivery lock of %s is ours now", self._directory)
        self._problem = ""
        self._server = Server(deliverer, "run")
        try:
            self._server.start()
        except (handover.UnsafeError, OSError) as error:
            _log.warning("executors cannot connect to this process: %s", error_text(error))
        self._wake()

    def _wake(self) -> None:
        for options in self._plan.each_alerta():
            self._wake_target(options)

    def _wake_target(self, options: Options) -> None:
        try:
            self.deliverer.wake(options)
        except JournalError as error:
            _log.error("the waiting actions cannot be read: %s", error)
