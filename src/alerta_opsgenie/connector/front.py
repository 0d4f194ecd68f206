"""This process's deliverer: a resident agent gives the delivery lock to it; another `run` delivers what it appends."""

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
from alerta_opsgenie.connector.cloud import words_of
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.journal import JournalError

LOCK_AGAIN_SECONDS = 1.0
_SERVER_STOP_SECONDS = _THREAD_STOP_SECONDS = 1.0
_AGENT_LOOK_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Front:
    """Keeps `deliverer`, with the lock or without. `report` hears of each attempt of this process."""

    def __init__(self, plan: Plan, report: Callable[[Report], None]) -> None:
        FILES.warn = _log.warning
        self._plan = plan
        self._report = report
        self._directory = plan.options.spool_directory
        self.deliverer = self._make()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._watch_lock, name="delivery lock", daemon=True)
        self._stopping = threading.Event()
        self._holds_lock = False
        self._has_journal = True
        self._problem = self._refusal = ""
        self._asked: tuple[object, ...] = ()

    def _make(self) -> Deliverer:
        return Deliverer(self._directory, workers=self._plan.own.workers, report=self._report)

    def start(self, stop: threading.Event) -> None:
        """Take the delivery lock: an agent gives it up and is waited for, until `stop` is set."""
        gives_up_by = time.monotonic() + TAKE_OVER_SECONDS
        while not self._take_lock() and not self._problem and time.monotonic() < gives_up_by:
            if stop.wait(_AGENT_LOOK_SECONDS):
                break
        self._thread.start()

    def serves(self, plan: Plan) -> bool:
        """Whether it can go on with another configuration."""
        ours = self._plan
        return (plan.options.spool_directory, plan.own.workers) == (ours.options.spool_directory, ours.own.workers)

    def use(self, plan: Plan) -> None:
        """Go on with another configuration: what waits for its Alertas is due."""
        self._plan = plan
        if self._holds_lock:
            self._wake()

    def stop(self, seconds: float) -> None:
        """Finish what is in hand within so long, once; what is not finished stays in the journal."""
        if self._stopping.is_set():
            return
        end = time.monotonic() + seconds
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_THREAD_STOP_SECONDS)
        if self._server is not None:
            self._server.stop(_SERVER_STOP_SECONDS)
        self.deliverer.stop(max(0.2, end - time.monotonic()))

    def _watch_lock(self) -> None:
        """Take the delivery lock once it is free; another one where the state directory was removed or replaced."""
        while not self._stopping.wait(LOCK_AGAIN_SECONDS):
            if self._holds_lock and self.deliverer.is_displaced:
                self._holds_lock = False
                _log.warning("the state directory %s was removed or replaced", self._directory)
            try:
                if not self._holds_lock and not self._take_lock():
                    self._ask_holder()
            except Exception:  # noqa: BLE001 - the thread goes on: without it the lock would never be ours
                _log.exception("the delivery lock cannot be asked for")

    def _take_lock(self) -> bool:
        deliverer = self._make()
        try:
            if deliverer.start():
                self._lead(deliverer)
                return True
            if not self._has_journal or self.deliverer.is_displaced:
                self._replace(deliverer)
            is_run = client.ask_to_retire(self._directory) == b"run"
            where = f"holds the delivery lock of {self._directory} and delivers what is taken here"
            problem = f"another process {where}" if is_run else ""
        except (handover.UnsafeError, OSError, JournalError) as error:
            problem = f"the state directory {self._directory} cannot be used: {words_of(error)}"
            self._has_journal = False
            self.deliverer.start_without_journal(problem)
        if problem and problem != self._problem:
            _log.warning("%s", problem)
        self._problem = problem or self._problem
        return False

    def _ask_holder(self) -> None:
        """Ask the `run` that holds the lock, once, for it resets pauses, to deliver to our Alertas with our keys."""
        status = client.ask_status(self._directory) or {}
        holder = (status.get("pid"), status.get("since"), self._plan)
        if status.get("kind") != "run" or holder == self._asked:
            return
        try:
            for options in self._plan.each_alerta():
                client.wake(options, program=())
            self._asked, self._refusal = holder, ""
        except handover.NoAgentError as error:
            if str(error) != self._refusal:
                _log.warning("the process that delivers cannot be asked to deliver what is taken here: %s", error)
            self._refusal = str(error)

    def _replace(self, deliverer: Deliverer) -> None:
        before, self.deliverer, self._has_journal = self.deliverer, deliverer, True
        before.stop(_SERVER_STOP_SECONDS)

    def _lead(self, deliverer: Deliverer) -> None:
        if self._stopping.is_set():
            deliverer.stop(0.0)
            return
        self._holds_lock = True
        self._replace(deliverer)
        if self._server is not None:
            self._server.stop(_SERVER_STOP_SECONDS)
        if self._problem:
            _log.info("the delivery lock of %s is ours now", self._directory)
        self._problem = ""
        self._server = Server(deliverer, "run")
        try:
            self._server.start()
        except (handover.UnsafeError, OSError) as error:
            _log.warning("executors cannot hand over to this process: %s", words_of(error))
        self._wake()

    def _wake(self) -> None:
        for options in self._plan.each_alerta():
            self._wake_for(options)

    def _wake_for(self, options: Options) -> None:
        try:
            self.deliverer.wake(options)
        except JournalError as error:
            _log.error("what waits cannot be read: %s", error)
