"""One target's queue: what is done with its actions, from their appending to their end.

    accept --> journal: waiting --> in flight --> worker --> Alerta
                           ^                         |
                           '------- journal: waiting | done | dead

Each target has workers of its own. One of them at a time looks what is due in the journal, goes to work on it, and the
next one looks. Where the journal cannot be used, an action is delivered without order and memory, and says so.
"""

import collections
import math
import threading
import time
from functools import partial
from typing import Callable, Deque, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from alerta_opsgenie.agent.attempts import Attempts, End, Ends, Unrecorded, outcome_of_row
from alerta_opsgenie.agent.intake import Report
from alerta_opsgenie.agent.target import Target, jitter
from alerta_opsgenie.agent.ticket import BEHIND, UNANSWERED, UNTRIED, Result, Ticket, Waiting
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.message import actor
from alerta_opsgenie.core.order import writes
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, JournalError, New

PATIENCE_SECONDS = 5.0
"""How long what may pass is waited for; then a worker of the connector is better free for other actions."""

# What is due further ahead is due now: a clock was set back. Twice, because a look may begin before the longest pause.
_TOO_FAR_SECONDS = 2 * delivery.LONGEST_PAUSE_SECONDS

_LOOK_SECONDS = 1.0
_PRUNE_SECONDS = 3600.0
_ELSEWHERE = Outcome(Kind.KEPT, Reason.BEHIND, "it waits for the process that delivers")


class Shared(NamedTuple):
    """What a queue is told of its deliverer. `problem` says why nothing can be written down."""

    state_directory: str
    workers: int
    report: Callable[[Report], None]
    stopping: threading.Event
    holds_lock: Callable[[], bool]
    problem: str = ""


class TargetQueue:
    """Delivers to one target."""

    def __init__(self, name: str, shared: Shared) -> None:
        self.target = Target(shared.state_directory, name)
        self.fault = self._look_problem = ""
        self._ends = Ends(self.target.journal, shared.state_directory, shared.problem)
        self._shared = shared
        self._stopping = shared.stopping
        self._threads: List[threading.Thread] = []
        self._waiting = Waiting()
        self._looking = threading.Lock()  # held by the one worker that looks
        self._changed = threading.Condition()
        self._taken: Deque[Union[Action, Unrecorded]] = collections.deque()
        self._at_work = 0
        self._opening = threading.Lock()
        self._is_open = False
        self._look_at = 0.0  # when (of `time.monotonic`) the journal may have something due
        self._expired_at = self._pruned_at = -math.inf
        self._backing_off: Set[str] = set()  # alerts whose oldest action has failed and waits

    def start(self) -> None:
        """Make the journal ready, and deliver from it: this process holds the lock."""
        if not self._threads:
            self._open()
            with self._changed:
                self._start_worker()

    def _open(self) -> bool:
        with self._opening:
            self._is_open = self._is_open or self._ends.attempt(self._make_ready)
            return self._is_open

    def _make_ready(self) -> None:
        journal, now = self.target.journal, time.time()
        journal.recover(now)
        journal.expire(now, delivery.EXPIRE_AFTER_SECONDS)

    def _start_worker(self) -> None:
        if self._at_work == len(self._threads) < self._shared.workers:
            self._threads.append(threading.Thread(target=self._work, name=f"deliver {self.target.name}", daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Have the workers begin no more attempts."""
        with self._changed:
            self._changed.notify_all()
        self._let_go()

    def join(self, end: float) -> None:
        """Wait until then (of `time.monotonic`) for attempts under way, and close the journal."""
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self.target.journal.close()

    def accept(self, found: Sequence[Tuple[Ticket, New]]) -> None:
        """Commit actions to the journal, by one sync, and have them delivered; in memory where that cannot be."""
        holds_lock = self._shared.holds_lock()
        rows: List[Action] = []
        for ticket, new in found:
            self._waiting.add(new, ticket)

        def append() -> None:
            rows.extend(self.target.journal.append([new for _, new in found], time.time()))

        is_ready = not self._shared.problem and (not holds_lock or self._open())
        if is_ready and self._ends.attempt(append):
            for (ticket, _), action in zip(found, rows):
                self._admit(ticket, action, holds_lock=holds_lock)
            self._look_now()
            return
        problem = self._ends.problem
        with self._changed:
            for ticket, new in found:
                ticket.leave()
                ticket.pending = Result(ticket.message, UNANSWERED, kept=False, problem=problem)
                self._taken.append(Unrecorded(new, ticket, problem))
            self._start_worker()
            self._changed.notify_all()
        if self._stopping.is_set():
            self._let_go()

    def _admit(self, ticket: Ticket, action: Action, *, holds_lock: bool) -> None:
        is_ended = not action.is_new and action.state in ("done", "dead")
        if is_ended or not holds_lock:  # nobody here will have another result
            ticket.leave()
            ticket.is_committed = True
            ticket.resolve(Result(ticket.message, outcome_of_row(action) if is_ended else _ELSEWHERE))
            return
        ticket.is_committed = True
        if action.alert in self._backing_off:
            self._waiting.resolve(action, Result(ticket.message, BEHIND))
        elif not self.target.may_hurry(self._at_work):
            self._waiting.resolve(action, Result(ticket.message, self.target.unreached()))

    def wake(self) -> None:
        """Make everything due that waits. Raises JournalError."""
        waiting = [action.id for action in self.target.journal.actions("waiting")]
        self.target.journal.retry(waiting, time.time())
        self._look_now()

    def _look_now(self) -> None:
        with self._changed:
            self._look_at = 0.0
            self._changed.notify_all()

    def _work(self) -> None:
        attempts = Attempts(self._stopping)
        while True:
            with self._looking:
                job = self._next()
            if job is None:
                break
            try:
                self._do(job, attempts)
            except Exception as error:  # noqa: BLE001 - this thread has to go on, and says what is wrong
                self.fault = f"this program fails: {error!r}"
            with self._changed:
                self._at_work -= 1
                if self._look_at <= time.monotonic():
                    self._changed.notify_all()
        attempts.close()

    def _next(self) -> Union[Action, Unrecorded, None]:
        """Wait for an action; None: the end has come, and what was taken and is not tried waits again."""
        while not self._stopping.is_set():
            if not self._taken and self._look_at <= time.monotonic():
                self._ends.save_again()
                self._look_problem = self._look()
            with self._changed:
                if self._stopping.is_set():
                    break
                if self._taken:
                    self._at_work += 1
                    self._start_worker()
                    return self._taken.popleft()
                if not self._changed.wait(self._pause_seconds()):
                    self._look_at = 0.0
        self._let_go()
        return None

    def _let_go(self) -> None:
        """Let go of what was taken and is not tried: it waits again, in the journal or where it came from."""
        with self._changed:
            left = list(self._taken)
            self._taken.clear()
        for job in left:
            if isinstance(job, Unrecorded):
                job.ticket.resolve(Result(job.ticket.message, UNTRIED, kept=False, problem=job.problem))
            else:
                self._ends.attempt(partial(self.target.journal.release, job))

    def _look(self) -> str:
        try:
            if not self._shared.holds_lock():
                return "another process delivers from the journal, or its directory was removed or replaced"
            if not self._open():
                return self._ends.problem
            self._take_due()
            self._keep_house()
        except JournalError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - this thread has to go on, and says what is wrong
            return f"this program fails: {error!r}"
        return ""

    def _pause_seconds(self) -> float:
        reach = self.target.reach
        if self._look_problem or self.target.access is None or (reach.is_down and self._at_work):
            return _LOOK_SECONDS
        return max(0.0, min(_LOOK_SECONDS, max(self._look_at, reach.again_at) - time.monotonic()))

    def _take_due(self) -> None:
        target, now = self.target, time.time()
        with self._changed:
            if target.access is None or not target.reach.may_start(self._at_work, time.monotonic()):
                return
            self._look_at = math.inf  # whoever submits meanwhile sets it anew
        limit = 1 if target.reach.is_down else self._shared.workers - self._at_work
        taken = target.journal.claim(now, limit, _TOO_FAR_SECONDS)
        self._taken.extend(taken)
        for action in taken:
            self._waiting.begin(action)
        due_at = now if len(taken) == limit else target.journal.next_due(now, _TOO_FAR_SECONDS)
        with self._changed:
            if due_at is not None:
                self._look_at = min(self._look_at, time.monotonic() + due_at - time.time())

    def _keep_house(self) -> None:
        journal, now = self.target.journal, time.time()
        if time.monotonic() - self._expired_at > _LOOK_SECONDS:
            self._expired_at = time.monotonic()
            for action in journal.expire(now, delivery.EXPIRE_AFTER_SECONDS):
                self._shared.report(Report(self.target.name, action.kind, action.alert, None, outcome_of_row(action)))
        if time.monotonic() - self._pruned_at > _PRUNE_SECONDS:
            self._pruned_at = time.monotonic()
            journal.prune(now, delivery.FORGET_AFTER_SECONDS)

    def _do(self, job: Union[Action, Unrecorded], attempts: Attempts) -> None:
        if isinstance(job, Unrecorded):
            began = time.monotonic()
            outcome, count = attempts.try_unrecorded(self.target, job, PATIENCE_SECONDS)
            took, message = time.monotonic() - began, job.ticket.message
            self._shared.report(Report(self.target.name, job.new.kind, "", message, outcome, count, took))
            return
        following: Optional[Action] = job
        while following is not None:
            following = self._deliver(following, attempts)

    def _deliver(self, action: Action, attempts: Attempts) -> Optional[Action]:
        """Try an action once, commit what came of it, tell who waits; gives the alert's next action."""
        began = time.monotonic()
        message, outcome = attempts.try_row(self.target, action)
        took, count = time.monotonic() - began, action.attempts + 1
        self._shared.report(Report(self.target.name, action.kind, action.alert, message, outcome, count, took))
        pause = delivery.row_delay_seconds(outcome, count, jitter())
        person = actor(message) if message else ""
        wrote = writes(message, outcome.kind, time.time()) if message else {}
        end = End(action, outcome, wrote, pause, person)
        following = self._ends.save(end, claim_next=not self._stopping.is_set() and self._shared.holds_lock())
        problem = self._ends.problem or self.target.news()
        if outcome.kind is not Kind.KEPT:
            self._backing_off.discard(action.alert)
            self._waiting.resolve(action, Result(message, outcome, problem=problem))
            return following
        again_at = time.monotonic() + pause
        with self._changed:
            self._backing_off.add(action.alert)
            self._look_at = min(self._look_at, again_at)
            self._changed.notify_all()
        self._waiting.resolve(action, Result(message, outcome, again_at=again_at, problem=problem))
        self._waiting.resolve_others(BEHIND, alert=action.alert)
        if self.target.reach.is_down:
            self._waiting.resolve_others(self.target.unreached())
        return None

    @property
    def disk_problem(self) -> str:
        """Why actions cannot be written down; empty where they can."""
        return self._ends.problem or self._look_problem

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand and nothing waits that could be delivered."""
        if self._at_work or self._taken or self._ends.unsaved:
            return False
        try:
            return self.target.access is None or self.target.journal.next_due(time.time(), 0.0) is None
        except JournalError:
            return True
