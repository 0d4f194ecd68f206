"""Delivers the queued actions of a state directory, with a queue for each target (`target_queue.py`)."""

import threading
import time
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

from alerta_opsgenie.agent import state
from alerta_opsgenie.agent.intake import UNREADABLE, Report, Request, dead_letter, read_request
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.agent.target import access_of
from alerta_opsgenie.agent.target_queue import DelivererContext, TargetQueue
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.core.outcome import Kind, Outcome
from alerta_opsgenie.journal import Counts, JournalError, Lock, New, try_lock

WORKERS = 12
"""Alerts delivered at once, for each target. More is not faster with Alerta's usual two to four processes
(bench/connector.py)."""


class Deliverer:
    """Delivers the actions of one state directory. `report` is called with each attempt, in the worker's thread."""

    def __init__(
        self, state_directory: str, *, workers: int = WORKERS, report: Callable[[Report], None] = lambda _report: None
    ) -> None:
        self.state_directory = state_directory
        self._fault = ""
        self._on_report = report
        self._mutex = threading.RLock()
        self._queues: Dict[str, TargetQueue] = {}
        self._lock: Optional[Lock] = None
        self._lock_identity: Optional[Tuple[int, int]] = None
        self._context = DelivererContext(state_directory, workers, self._report, threading.Event(), self.holds_lock)

    def start(self) -> bool:
        """Take the delivery lock. Return False if another process has it. Raises UnsafeError, OSError, JournalError."""
        state.prepare(self.state_directory)
        self._lock = try_lock(self.state_directory, state.LOCK_NAME)
        if self._lock is None:
            return False
        self._lock_identity = state.identity(self._lock.path)
        return True

    def start_without_journal(self, problem: str) -> None:
        """Deliver without a journal: no order, no memory. `problem` goes into each result."""
        self._context = self._context._replace(problem=problem)

    def holds_lock(self) -> bool:
        """Whether this process may deliver from the journals that exist now."""
        return self._lock is not None and not self.is_displaced

    @property
    def is_displaced(self) -> bool:
        """Whether the directory of the held lock was removed or replaced."""
        return self._lock is not None and state.identity(self._lock.path) != self._lock_identity

    def stop(self, seconds: float) -> None:
        """Start no more attempts, wait so long for those in flight, release the lock. The rest stays in the journal."""
        end = time.monotonic() + seconds
        self._context.stopping.set()
        for found in self._all():
            found.stop()
        for found in self._all():
            found.join(end)
        if self._lock is not None:
            self._lock.close()

    def submit(self, requests: Sequence[Request]) -> List[Ticket]:
        """Commit actions to the journal, with one sync for each target, and deliver them. Raises AddressError."""
        tickets: List[Ticket] = []
        accepted: Dict[TargetQueue, List[Tuple[Ticket, New]]] = {}
        for request in requests:
            ticket, new = self.read(request)
            tickets.append(ticket)
            if new is not None:
                accepted.setdefault(self._queue_of(request.options), []).append((ticket, new))
        for found, actions in accepted.items():
            found.accept(actions)
        return tickets

    def read(self, request: Request) -> Tuple[Ticket, Optional[New]]:
        """Read a message. Return its row, or a ticket that has its result already."""
        message, new, outcome = read_request(request)
        if outcome is None:
            return Ticket(message), new
        kind, problem = message.action if message else UNREADABLE, ""
        if outcome.kind is Kind.REJECTED:
            problem = self.record_dead(request.options, request.payload, outcome, kind)
        else:
            self._report(Report(state.target_name(request.options.alerta_url), kind, "", message, outcome))
        return Ticket(message, Result(message, outcome, kept=not problem, problem=problem)), None

    def record_dead(self, options: Options, text: Union[str, bytes], outcome: Outcome, kind: str = UNREADABLE) -> str:
        """Record a text as a dead letter. Return why that failed, or an empty text. Raises AddressError."""
        target = self._queue_of(options).target
        self._report(Report(target.name, kind, "", None, outcome))
        try:
            target.journal.record_dead(dead_letter(text, kind), time.time(), outcome.reason.value, outcome.detail)
        except JournalError as error:
            return str(error)
        return ""

    def wake(self, options: Options) -> None:
        """Add the key of these options, and make their Alerta's actions due. Raises AddressError, JournalError."""
        self._queue_of(options).wake()

    def _queue_of(self, options: Options) -> TargetQueue:
        name = state.target_name(options.alerta_url)
        with self._mutex:
            found = self._queues.get(name)
            if found is None:
                found = self._queues[name] = TargetQueue(name, self._context)
            found.target.add_access(access_of(options))
            if self.holds_lock():  # else another process may have actions in flight
                found.start()
        return found

    def _report(self, report: Report) -> None:
        try:
            self._on_report(report)
        except Exception as error:  # noqa: BLE001 - a fault in the logging must not stop a delivery
            self._fault = f"this program fails: {error!r}"

    @property
    def disk_problem(self) -> str:
        """Why actions cannot be written to the journal; empty where they can."""
        return self._context.problem or "; ".join(filter(None, [one.disk_problem for one in self._all()]))

    @property
    def problem(self) -> str:
        """What a person has to fix: the disk, or access to an Alerta; empty where nothing."""
        queues = self._all()
        problems = [self._fault, FILES.problem(), state.earlier_build(self.state_directory), self.disk_problem]
        problems += [text for one in queues for text in (one.fault, one.target.problem)]
        return "; ".join(dict.fromkeys(filter(None, problems)))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight, and no action waits that could be delivered."""
        return all(one.is_idle for one in self._all())

    def counts(self) -> Dict[str, Counts]:
        """Count the rows of each target's journal. Raises JournalError."""
        return {one.target.name: one.target.journal.counts(time.time()) for one in self._all()}

    def _all(self) -> List[TargetQueue]:
        return list(self._queues.values())
