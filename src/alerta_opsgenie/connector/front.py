"""Hands actions to the deliverer: this process's own where it holds the delivery lock, else that of the process which
does, over the socket in the state directory.

A resident agent gives way to `run`; another `run` does not, and then its lock is waited for.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Mapping, NamedTuple, Sequence

from alerta_opsgenie import __version__
from alerta_opsgenie.agent import handover, state
from alerta_opsgenie.agent.deliverer import Deliverer, Report, Request
from alerta_opsgenie.agent.resident import ask_to_retire
from alerta_opsgenie.agent.server import Server
from alerta_opsgenie.agent.service import Service
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.connector.settings import Access, Plan
from alerta_opsgenie.core.message import MessageError, parse
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Counts, JournalError, New

LOCK_AGAIN_SECONDS = 1.0
_SERVER_STOP_SECONDS = 1.0
_EXCHANGE_SECONDS = 20.0
_log = logging.getLogger(__name__)


class Item(NamedTuple):
    """An action to deliver. `first_attempt_at`: an attempt of unknown end may have begun then, elsewhere."""

    body: str
    access: Access
    first_attempt_at: float | None = None


class Front:
    """Delivers actions of one state directory. `report` hears of each attempt that this process knows of."""

    def __init__(self, plan: Plan, report: Callable[[Report], None]) -> None:
        self.state_directory = plan.state_directory
        self.workers = plan.own.workers
        self._plan = plan
        self._report = report
        self._deliverer = self._make()
        self._server: Server | None = None
        self._stopping = threading.Event()
        self._holds_lock = False
        self._started = False
        self._problem = ""
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="hand-over")
        self._handed = 0
        self._mutex = threading.Lock()

    # -- Its life

    def start(self) -> None:
        """Take the delivery lock, or wait for it in the background."""
        self._take_lock(first=True)
        if not self._holds_lock:
            threading.Thread(target=self._wait_for_lock, name="delivery lock", daemon=True).start()

    def use(self, plan: Plan) -> None:
        """Deliver by this configuration from now on: what waits for its Alertas is due."""
        self._plan = plan
        if not self._holds_lock:
            return
        for access in plan.each_access():
            try:
                self._deliverer.wake(access.options)
            except JournalError as error:
                _log.error("what waits cannot be read: %s", error)

    def stop(self, seconds: float) -> None:
        """Finish what is in hand within so long; what is not finished stays in the journal."""
        end = time.monotonic() + seconds
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._server is not None:
            self._server.stop()
            while self._server.callers and time.monotonic() < min(end, time.monotonic() + _SERVER_STOP_SECONDS):
                time.sleep(0.02)
        if self._started:
            self._deliverer.stop(max(0.2, end - time.monotonic()))

    def _make(self) -> Deliverer:
        return Deliverer(self.state_directory, workers=self.workers, report=self._report)

    def _wait_for_lock(self) -> None:
        while not self._holds_lock and not self._stopping.wait(LOCK_AGAIN_SECONDS):
            self._take_lock(first=False)

    def _take_lock(self, *, first: bool) -> None:
        deliverer = self._make() if self._started else self._deliverer
        try:
            if deliverer.start():
                self._lead(deliverer)
                return
            holder = ask_to_retire(self.state_directory).decode("ascii", "replace") or "another process"
            problem = f"{holder} holds the delivery lock of {self.state_directory}; actions are handed over to it"
        except (handover.UnsafeError, OSError, JournalError) as error:
            problem = f"the state directory {self.state_directory} cannot be used: {_words(error)}"
            self._deliver_without_state()
        if problem != self._problem and (not first or not problem.startswith("agent")):
            _log.warning("%s", problem)
        self._problem = problem

    def _lead(self, deliverer: Deliverer) -> None:
        before, self._deliverer = self._deliverer, deliverer
        self._holds_lock = self._started = True
        if before is not deliverer:
            before.stop(_SERVER_STOP_SECONDS)
        server = Server(self.state_directory, Service(deliverer, "run", lambda: None))
        try:
            server.start()
            self._server = server
        except (handover.UnsafeError, OSError) as error:
            _log.warning("executors cannot hand over to this process: %s", _words(error))
        if self._problem:
            _log.info("the delivery lock of %s is ours now", self.state_directory)
        self._problem = ""
        self.use(self._plan)

    def _deliver_without_state(self) -> None:
        if not self._started:
            self._started = True
            self._deliverer.start_without_lock()

    # -- Delivering

    def submit(self, items: Sequence[Item]) -> list[Ticket]:
        """Commit actions to the journal with one sync, and deliver them; or hand them over."""
        if self._started:
            return self._deliverer.submit([Request(one.body, one.access.options, one.first_attempt_at) for one in items])
        tickets = [Ticket() for _ in items]
        with self._mutex:
            self._handed += len(items)
        for item, ticket in zip(items, tickets):
            self._pool.submit(self._hand_over, item, ticket)
        return tickets

    def bury(self, access: Access, body: str, why: str) -> str:
        """Record a text that is no action of ours as a dead letter. Gives why that was not possible, or nothing."""
        outcome = Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, why)
        if self._started:
            return self._deliverer.bury(access.options, body, outcome)
        new = New(key=f"{time.time_ns()}", alert="", order_ns=time.time_ns(), kind="unreadable", body=body)
        journal = state.journal_of(self.state_directory, state.target_name(access.options.alerta_url))
        try:
            journal.bury(new, time.time(), outcome.reason.value, why)
        except JournalError as error:
            return str(error)
        finally:
            journal.close()
        return ""

    def _hand_over(self, item: Item, ticket: Ticket) -> None:
        began = time.monotonic()
        arguments = [*item.access.arguments, "-payload", item.body]
        try:
            frame = handover.request(handover.RUN, arguments, dict(os.environ), __version__)
            fields = handover.exchange(self.state_directory, frame, _EXCHANGE_SECONDS)
            outcome, kept = _read_outcome(fields)
        except (handover.NoAgentError, ValueError, OSError) as error:
            outcome, kept = Outcome(Kind.KEPT, Reason.BEHIND, f"it could not be handed over: {_words(error)}"), False
        try:
            message = parse(item.body)
        except MessageError:
            message = None
        action = message.action if message else "unreadable"
        self._report(Report("", action, "", message, outcome, 1, time.monotonic() - began))
        ticket.resolve(Result(message, outcome, kept=kept))
        with self._mutex:
            self._handed -= 1

    # -- How it goes

    @property
    def trouble(self) -> str:
        """What a person has to do about a disk or an Alerta; empty where nothing."""
        return "; ".join(filter(None, [self._without_state, self._deliverer.trouble]))

    @property
    def disk_trouble(self) -> str:
        """Why actions cannot be written down; empty where they can."""
        return self._without_state or self._deliverer.disk_trouble

    @property
    def _without_state(self) -> str:
        return self._problem if self._started and not self._holds_lock else ""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand that could be delivered now."""
        return not self._handed and (not self._started or self._deliverer.is_idle)

    def counts(self) -> Mapping[str, Counts]:
        """Count the rows of every journal in the state directory. Raises `JournalError`."""
        found = {}
        for name in state.targets(self.state_directory):
            journal = state.journal_of(self.state_directory, name, busy_seconds=1.0)
            try:
                found[name] = journal.counts(time.time())
            finally:
                journal.close()
        return found


def _read_outcome(fields: Sequence[bytes]) -> tuple[Outcome, bool]:
    """Read how an action ended from the answer of the process that holds the lock. Raises `ValueError`."""
    _code, _successor, kind, reason, detail, kept = fields[:6]
    texts = [field.decode("utf-8", "replace") for field in (kind, reason, detail)]
    return Outcome(Kind(texts[0]), Reason(texts[1]), texts[2]), kept == b"1"


def _words(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
