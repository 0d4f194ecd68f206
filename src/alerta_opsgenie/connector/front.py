"""Hands actions to this process's deliverer or, where another process holds the delivery lock, to that one.

A resident agent gives way to `run`. Another `run` does not: then its lock is waited for.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Mapping, Sequence

from alerta_opsgenie.agent import client, handover, state
from alerta_opsgenie.agent.deliverer import Deliverer
from alerta_opsgenie.agent.intake import Report, Request
from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.agent.resident import TAKE_OVER_SECONDS
from alerta_opsgenie.agent.server import Server
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.connector.cloud import words_of
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.core.message import MessageError, parse
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Counts, JournalError

LOCK_AGAIN_SECONDS = 1.0
_SERVER_STOP_SECONDS = 1.0
_AGENT_LOOK_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Front:
    """Delivers actions of one state directory. `report` hears of each attempt that this process knows of."""

    def __init__(self, plan: Plan, report: Callable[[Report], None]) -> None:
        self.state_directory = plan.options.spool_directory
        self.workers = plan.own.workers
        FILES.warn = _log.warning
        self._plan = plan
        self._report = report
        self._deliverer: Deliverer | None = None
        self._server: Server | None = None
        self._stopping = threading.Event()
        self._holds_lock = False
        self._problem = ""
        self._holder = b""
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="hand-over")
        self._handed_over = 0
        self._mutex = threading.Lock()

    # -- Its life

    def start(self) -> None:
        """Take the delivery lock: an agent gives it up and is waited for, another `run` is handed over to."""
        gives_up_by = time.monotonic() + TAKE_OVER_SECONDS
        while not self._take_lock() and self._holder != b"run" and time.monotonic() < gives_up_by:
            if self._deliverer is not None or self._stopping.wait(_AGENT_LOOK_SECONDS):
                break
        threading.Thread(target=self._watch_lock, name="delivery lock", daemon=True).start()

    def use(self, plan: Plan) -> None:
        """Deliver by this configuration from now on: what waits for its Alertas is due."""
        self._plan = plan
        if self._deliverer is None or not self._holds_lock:
            return
        try:
            for options in plan.each_alerta():
                self._deliverer.wake(options)
        except JournalError as error:
            _log.error("what waits cannot be read: %s", error)

    def stop(self, seconds: float) -> None:
        """Finish what is in hand within so long; what is not finished stays in the journal."""
        end = time.monotonic() + seconds
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._server is not None:
            self._server.stop(_SERVER_STOP_SECONDS)
        if self._deliverer is not None:
            self._deliverer.stop(max(0.2, end - time.monotonic()))

    def _watch_lock(self) -> None:
        """Take the delivery lock once it is free; another one where the state directory was removed or replaced."""
        while not self._stopping.wait(LOCK_AGAIN_SECONDS):
            if self._holds_lock and self._deliverer is not None and self._deliverer.is_displaced:
                self._holds_lock = False
                _log.warning("the state directory %s was removed or replaced", self.state_directory)
            try:
                if not self._holds_lock:
                    self._take_lock()
            except Exception:  # noqa: BLE001 - the thread goes on: without it the lock would never be ours
                _log.exception("the delivery lock cannot be asked for")

    def _take_lock(self) -> bool:
        """Try to; gives whether this process has it."""
        deliverer = Deliverer(self.state_directory, workers=self.workers, report=self._report)
        try:
            if deliverer.start():
                self._lead(deliverer)
                return True
            self._holder = client.ask_to_retire(self.state_directory)
            where = f"holds the delivery lock of {self.state_directory}; actions are handed over to it"
            problem = f"another process {where}" if self._holder == b"run" else ""
        except (handover.UnsafeError, OSError, JournalError) as error:
            what = "it is not a directory" if isinstance(error, FileExistsError) else words_of(error)
            problem = f"the state directory {self.state_directory} cannot be used: {what}"
            if self._deliverer is None:
                deliverer.start_without_journal(problem)
                self._deliverer = deliverer
        if problem and problem != self._problem:
            _log.warning("%s", problem)
        self._problem = problem or self._problem
        return False

    def _lead(self, deliverer: Deliverer) -> None:
        """Deliver from now on: this process has the lock."""
        before, self._deliverer, self._holds_lock = self._deliverer, deliverer, True
        if self._server is not None:
            self._server.stop(_SERVER_STOP_SECONDS)
        if before is not None:
            before.stop(_SERVER_STOP_SECONDS)
        if self._problem:
            _log.info("the delivery lock of %s is ours now", self.state_directory)
        self._problem = ""
        server = Server(deliverer, "run")
        try:
            server.start()
            self._server = server
        except (handover.UnsafeError, OSError) as error:
            _log.warning("executors cannot hand over to this process: %s", words_of(error))
        self.use(self._plan)

    # -- Delivering

    def submit(self, requests: Sequence[Request]) -> list[Ticket]:
        """Commit actions to the journal with one sync, and deliver them; or hand them over."""
        if self._deliverer is not None:
            return self._deliverer.submit(requests)
        tickets = [Ticket() for _ in requests]
        with self._mutex:
            self._handed_over += len(requests)
        for request, ticket in zip(requests, tickets):
            self._pool.submit(self._hand_over, request, ticket)
        return tickets

    def bury(self, body: str, why: str) -> str:
        """Record a text that is no action of ours as a dead letter. Gives why that was not possible, or nothing."""
        outcome, options = Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, why), self._plan.options
        if self._deliverer is not None:
            return self._deliverer.bury(options, body, outcome)
        # Only to be counted and shown: the process that delivers never looks at it.
        without_lock = Deliverer(self.state_directory, report=self._report)
        trouble = without_lock.bury(options, body, outcome)
        without_lock.stop(0.0)
        return trouble

    def _hand_over(self, request: Request, ticket: Ticket) -> None:
        began, body = time.monotonic(), str(request.payload)
        try:
            # An agent that is started now would only keep the lock from us.
            reply = client.submit(request.options, body, starts=False)
            outcome, kept = reply.outcome, reply.kept
        except Exception as error:  # noqa: BLE001 - the message comes again; its ticket must not wait for good
            outcome, kept = Outcome(Kind.KEPT, Reason.BEHIND, f"it could not be handed over: {words_of(error)}"), False
        try:
            message = parse(body)
        except MessageError:
            message = None
        action = message.action if message else "unreadable"
        self._report(Report("", action, "", message, outcome, 1, time.monotonic() - began))
        ticket.resolve(Result(message, outcome, kept=kept))
        with self._mutex:
            self._handed_over -= 1

    # -- How it goes

    @property
    def trouble(self) -> str:
        """What a person has to do about a disk or an Alerta; empty where nothing."""
        return self._deliverer.trouble if self._deliverer else ""

    @property
    def disk_trouble(self) -> str:
        """Why actions cannot be written down; empty where they can."""
        return self._deliverer.disk_trouble if self._deliverer else ""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand that could be delivered now."""
        return not self._handed_over and (self._deliverer is None or self._deliverer.is_idle)

    def counts(self) -> Mapping[str, Counts]:
        """Count the rows of the journals in the state directory. Raises `JournalError`."""
        if self._deliverer is not None:
            return self._deliverer.counts()
        found = {}
        for name in state.targets(self.state_directory):
            journal = state.journal_of(self.state_directory, name, busy_seconds=1.0)
            found[name] = journal.counts(time.time())
            journal.close()
        return found
