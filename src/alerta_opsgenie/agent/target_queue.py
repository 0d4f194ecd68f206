"""One target's queue: the path of its actions from the journal to their outcome.

    accept --> journal: waiting --> in flight --> worker --> Alerta
                           ^                         |
                           '------- journal: waiting | done | dead

Each target has its own worker threads. One worker at a time reads the due actions from the journal, then delivers; the
next worker reads. Where the journal cannot be used, an action is delivered without order and memory; its result has
the reason.
"""

import collections
import math
import threading
import time
from functools import partial
from typing import Callable, Deque, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from alerta_opsgenie.agent.attempts import AttemptEnd, Attempts, OutcomeWriter, Unrecorded, outcome_of_row
from alerta_opsgenie.agent.intake import Report
from alerta_opsgenie.agent.target import Target, jitter
from alerta_opsgenie.agent.ticket import BEHIND, UNANSWERED, UNTRIED, Result, Ticket, WaitingTickets
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.message import actor
from alerta_opsgenie.core.order import writes
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, JournalError, New

RETRY_WAIT_SECONDS = 5.0
"""How long a caller waits for retries. After that a worker of the connector should be free for other actions."""

# An action whose due time is further ahead is due now: the clock was set back. Twice, because a read may start before
# the longest pause does.
_TOO_FAR_SECONDS = 2 * delivery.LONGEST_PAUSE_SECONDS

_READ_SECONDS = 1.0
_PRUNE_SECONDS = 3600.0
_ELSEWHERE = Outcome(Kind.KEPT, Reason.BEHIND, "it waits for the process that delivers")


class DelivererContext(NamedTuple):
    """What a queue needs from its deliverer. `problem` is why nothing can be written to a journal."""

    state_directory: str
    workers: int
    report: Callable[[Report], None]
    stopping: threading.Event
    holds_lock: Callable[[], bool]
    problem: str = ""


class TargetQueue:
    """Delivers to one target."""

    def __init__(self, name: str, context: DelivererContext) -> None:
        self.target = Target(context.state_directory, name)
        self.fault = self._read_problem = ""
        self._writer = OutcomeWriter(self.target.journal, context.state_directory, context.problem)
        self._context = context
        self._stopping = context.stopping
        self._threads: List[threading.Thread] = []
        self._tickets = WaitingTickets()
        self._reading = threading.Lock()  # held by the one worker that reads the journal
        self._changed = threading.Condition()
        self._jobs: Deque[Union[Action, Unrecorded]] = collections.deque()
        self._busy_workers = 0
        self._open_mutex = threading.Lock()
        self._is_open = False
        self._read_at = 0.0  # when (of `time.monotonic`) the journal is read next
        self._expired_at = self._pruned_at = -math.inf
        self._backing_off: Set[str] = set()  # alerts whose oldest action has failed and waits for its retry

    def start(self) -> None:
        """Recover the journal and deliver from it. Call it only with the delivery lock held."""
        if not self._threads:
            self._open()
            with self._changed:
                self._start_worker()

    def _open(self) -> bool:
        with self._open_mutex:
            self._is_open = self._is_open or self._writer.try_write(self._make_ready)
            return self._is_open

    def _make_ready(self) -> None:
        journal, now = self.target.journal, time.time()
        journal.recover(now)
        journal.expire(now, delivery.EXPIRE_AFTER_SECONDS)

    def _start_worker(self) -> None:
        if self._busy_workers == len(self._threads) < self._context.workers:
            name = f"deliver {self.target.name}"
            self._threads.append(threading.Thread(target=self._run_worker, name=name, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Let the workers start no more attempts."""
        with self._changed:
            self._changed.notify_all()
        self._release_jobs()

    def join(self, end: float) -> None:
        """Wait until `end` (of `time.monotonic`) for attempts in flight, and close the journal."""
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self.target.journal.close()

    def accept(self, found: Sequence[Tuple[Ticket, New]]) -> None:
        """Commit actions to the journal with one sync, and deliver them; from memory where it cannot be used."""
        holds_lock = self._context.holds_lock()
        rows: List[Action] = []
        for ticket, new in found:
            self._tickets.add(new, ticket)

        def append() -> None:
            rows.extend(self.target.journal.append([new for _, new in found], time.time()))

        is_ready = not self._context.problem and (not holds_lock or self._open())
        if is_ready and self._writer.try_write(append):
            for (ticket, _), action in zip(found, rows):
                self._register(ticket, action, holds_lock=holds_lock)
            self._read_now()
            return
        problem = self._writer.problem
        with self._changed:
            for ticket, new in found:
                ticket.unregister()
                ticket.pending = Result(ticket.message, UNANSWERED, kept=False, problem=problem)
                self._jobs.append(Unrecorded(new, ticket, problem))
            self._start_worker()
            self._changed.notify_all()
        if self._stopping.is_set():
            self._release_jobs()

    def _register(self, ticket: Ticket, action: Action, *, holds_lock: bool) -> None:
        is_ended = not action.is_new and action.state in ("done", "dead")
        if is_ended or not holds_lock:  # this process will have no other result
            ticket.unregister()
            ticket.is_committed = True
            ticket.resolve(Result(ticket.message, outcome_of_row(action) if is_ended else _ELSEWHERE))
            return
        ticket.is_committed = True
        if action.alert in self._backing_off:
            self._tickets.resolve(action, Result(ticket.message, BEHIND))
        elif not self.target.may_try_now(self._busy_workers):
            self._tickets.resolve(action, Result(ticket.message, self.target.unavailable_outcome()))

    def wake(self) -> None:
        """Make all waiting actions due. Raises JournalError."""
        waiting = [action.id for action in self.target.journal.actions("waiting")]
        self.target.journal.retry(waiting, time.time())
        self._read_now()

    def _read_now(self) -> None:
        with self._changed:
            self._read_at = 0.0
            self._changed.notify_all()

    def _run_worker(self) -> None:
        attempts = Attempts(self._stopping)
        while True:
            with self._reading:
                job = self._next()
            if job is None:
                break
            try:
                self._deliver_job(job, attempts)
            except Exception as error:  # noqa: BLE001 - the thread must continue; the fault is shown as a problem
                self.fault = f"this program fails: {error!r}"
            with self._changed:
                self._busy_workers -= 1
                if self._read_at <= time.monotonic():
                    self._changed.notify_all()
        attempts.close()

    def _next(self) -> Union[Action, Unrecorded, None]:
        """Wait for an action. Return None at the end, after untried actions were released."""
        while not self._stopping.is_set():
            if not self._jobs and self._read_at <= time.monotonic():
                self._writer.save_again()
                self._read_problem = self._read_journal()
            with self._changed:
                if self._stopping.is_set():
                    break
                if self._jobs:
                    self._busy_workers += 1
                    self._start_worker()
                    return self._jobs.popleft()
                if not self._changed.wait(self._pause_seconds()):
                    self._read_at = 0.0
        self._release_jobs()
        return None

    def _release_jobs(self) -> None:
        """Release the actions that were not tried: they wait again, in the journal or in their source."""
        with self._changed:
            left = list(self._jobs)
            self._jobs.clear()
        for job in left:
            if isinstance(job, Unrecorded):
                job.ticket.resolve(Result(job.ticket.message, UNTRIED, kept=False, problem=job.problem))
            else:
                self._writer.try_write(partial(self.target.journal.release, job))

    def _read_journal(self) -> str:
        try:
            if not self._context.holds_lock():
                return "another process delivers from the journal, or its directory was removed or replaced"
            if not self._open():
                return self._writer.problem
            self._take_due()
            self._expire_and_prune()
        except JournalError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the thread must continue; the fault is shown as a problem
            return f"this program fails: {error!r}"
        return ""

    def _pause_seconds(self) -> float:
        reach = self.target.reach
        if self._read_problem or self.target.access is None or (reach.is_down and self._busy_workers):
            return _READ_SECONDS
        return max(0.0, min(_READ_SECONDS, max(self._read_at, reach.again_at) - time.monotonic()))

    def _take_due(self) -> None:
        target, now = self.target, time.time()
        with self._changed:
            if target.access is None or not target.reach.may_start(self._busy_workers, time.monotonic()):
                return
            self._read_at = math.inf  # a concurrent `accept` sets it to 0
        limit = 1 if target.reach.is_down else self._context.workers - self._busy_workers
        claimed = target.journal.claim(now, limit, _TOO_FAR_SECONDS)
        self._jobs.extend(claimed)
        for action in claimed:
            self._tickets.mark_in_flight(action)
        due_at = now if len(claimed) == limit else target.journal.next_due(now, _TOO_FAR_SECONDS)
        with self._changed:
            if due_at is not None:
                self._read_at = min(self._read_at, time.monotonic() + due_at - time.time())

    def _expire_and_prune(self) -> None:
        journal, now = self.target.journal, time.time()
        if time.monotonic() - self._expired_at > _READ_SECONDS:
            self._expired_at = time.monotonic()
            for action in journal.expire(now, delivery.EXPIRE_AFTER_SECONDS):
                self._context.report(Report(self.target.name, action.kind, action.alert, None, outcome_of_row(action)))
        if time.monotonic() - self._pruned_at > _PRUNE_SECONDS:
            self._pruned_at = time.monotonic()
            journal.prune(now, delivery.FORGET_AFTER_SECONDS)

    def _deliver_job(self, job: Union[Action, Unrecorded], attempts: Attempts) -> None:
        if isinstance(job, Unrecorded):
            began = time.monotonic()
            outcome, count = attempts.try_unrecorded(self.target, job, RETRY_WAIT_SECONDS)
            took, message = time.monotonic() - began, job.ticket.message
            self._context.report(Report(self.target.name, job.new.kind, "", message, outcome, count, took))
            return
        following: Optional[Action] = job
        while following is not None:
            following = self._deliver(following, attempts)

    def _deliver(self, action: Action, attempts: Attempts) -> Optional[Action]:
        """Try an action once, commit the outcome, resolve its tickets. Return the alert's next action."""
        began = time.monotonic()
        message, outcome = attempts.try_row(self.target, action)
        took, count = time.monotonic() - began, action.attempts + 1
        self._context.report(Report(self.target.name, action.kind, action.alert, message, outcome, count, took))
        pause = delivery.row_delay_seconds(outcome, count, jitter())
        person = actor(message) if message else ""
        wrote = writes(message, outcome.kind, time.time()) if message else {}
        end = AttemptEnd(action, outcome, wrote, pause, person)
        following = self._writer.save(end, claim_next=not self._stopping.is_set() and self._context.holds_lock())
        problem = self._writer.problem or self.target.damage_notice()
        if outcome.kind is not Kind.KEPT:
            self._backing_off.discard(action.alert)
            self._tickets.resolve(action, Result(message, outcome, problem=problem))
            return following
        again_at = time.monotonic() + pause
        with self._changed:
            self._backing_off.add(action.alert)
            self._read_at = min(self._read_at, again_at)
            self._changed.notify_all()
        self._tickets.resolve(action, Result(message, outcome, again_at=again_at, problem=problem))
        self._tickets.resolve_untried(BEHIND, alert=action.alert)
        if self.target.reach.is_down:
            self._tickets.resolve_untried(self.target.unavailable_outcome())
        return None

    @property
    def disk_problem(self) -> str:
        """Why actions cannot be written to the journal; empty where they can."""
        return self._writer.problem or self._read_problem

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight, and no action waits that could be delivered."""
        if self._busy_workers or self._jobs or self._writer.unsaved:
            return False
        try:
            return self.target.access is None or self.target.journal.next_due(time.time(), 0.0) is None
        except JournalError:
            return True
