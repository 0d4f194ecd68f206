"""The one place that delivers queued actions to Alerta: per alert in order, many alerts at once, until each has ended.

Theory of operation. The process that holds the lock of the state directory has one deliverer. `submit` commits actions
to the journal of their target, all with one sync, and gives a ticket for each. Workers take actions that are in flight
from a queue in memory and try each once (`core/delivery.py`); what that came to is committed, and the next action of
the same alert goes on in the same worker. A scheduler takes from the journal what is due: what waited for a pause,
what other processes have appended, what a killed deliverer had left.

    submit -----> journal: in flight -----> queue --> worker --> Alerta
              '-> journal: waiting --> scheduler -^      '-----> journal: done | dead | waiting

Where the journal cannot be used (a full disk), an action is delivered without order and memory, and its result says so.
"""

import functools
import math
import queue
import random
import threading
import time
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

from alerta_opsgenie.agent import state
from alerta_opsgenie.agent.attempts import Attempts
from alerta_opsgenie.agent.ends import End, Ends, open_journal, outcome_of_row
from alerta_opsgenie.agent.intake import UNREADABLE, Report, Request, dead_letter, read_request
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.target import Target, access_of, name_of
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.agent.unrecorded import Job, deliver_unrecorded
from alerta_opsgenie.agent.waiting import BEHIND, Waiting
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Kind, Outcome
from alerta_opsgenie.journal import Action, Counts, JournalError, Lock, New, try_lock

WORKERS = 12
"""Alerts at work at once: more brings nothing in front of Alerta's usual two to four processes (bench/connector.py)."""

PATIENCE_SECONDS = 5.0
"""How long what may pass is waited for; then a worker of the connector is better free for other actions."""

# What is due further ahead is due now: a clock was set back. Twice, because a look may begin before the longest pause.
_TOO_FAR_SECONDS = 2 * delivery.LONGEST_PAUSE_SECONDS

_LOOK_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 3600.0


class Deliverer:
    """Delivers what lies in one state directory. `report` hears of each attempt, in the worker's thread."""

    def __init__(
        self, state_directory: str, *, workers: int = WORKERS, report: Callable[[Report], None] = lambda _report: None
    ) -> None:
        self.state_directory = state_directory
        self._hear = report
        self._most = workers
        self._queue: queue.SimpleQueue[Optional[Job]] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._targets: Dict[str, Target] = {}
        self.waiting = Waiting()
        self._in_hand = 0
        self._stopping = threading.Event()
        self._threads: List[threading.Thread] = []
        self._lock: Optional[Lock] = None
        self._ends = Ends(state_directory)
        self._look_trouble = self._fault = ""
        self._place: Optional[Tuple[int, int]] = None

    # -- Its life

    def start(self) -> bool:
        """Take the delivery lock and begin. False: another process holds it.

        Raises UnsafeError, OSError, JournalError.
        """
        state.prepare(self.state_directory)
        self._lock = try_lock(self.state_directory, state.LOCK_NAME)
        if self._lock is None:
            return False
        self._place = state.identity(self._lock.path)
        self._start_threads()
        return True

    @property
    def is_displaced(self) -> bool:
        """Whether the state directory was removed or replaced: another process may hold the lock that is there now."""
        return self._lock is not None and state.identity(self._lock.path) != self._place

    def start_without_journal(self, trouble: str) -> None:
        """Begin where the state directory cannot be used: everything goes without order and memory, and says so."""
        self._ends.trouble = trouble
        self._start_threads()

    def _start_threads(self) -> None:
        works = [self._schedule, *[self._work] * self._most]
        self._threads = [threading.Thread(target=work, name="deliverer", daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Begin no more attempts, wait so long for those under way, and let go of the lock.

        What is not finished then stays in the journal; the next deliverer looks first whether it had its effect.
        """
        end = time.monotonic() + seconds
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        self._give_back()
        for _ in range(self._most):
            self._queue.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for target in self._targets.values():
            target.journal.close()
        if self._lock is not None:
            self._lock.release()

    def _give_back(self) -> None:
        """Let what is in the queue wait again: it was not tried."""
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.action is not None:
                self._ends.attempt(functools.partial(job.target.journal.release, job.action))

    # -- Taking actions

    def submit(self, requests: Sequence[Request]) -> List[Ticket]:
        """Commit actions to the journal, with one sync for each target, and deliver them. Raises AddressError."""
        tickets: List[Ticket] = []
        accepted: Dict[str, List[Tuple[Ticket, Request, New]]] = {}
        for request in requests:
            name = name_of(request.options)
            ticket, new = self.read(request)
            tickets.append(ticket)
            if new is not None:
                accepted.setdefault(name, []).append((ticket, request, new))
        for name, found in accepted.items():
            self._accept(self._target(name, (request.options for _, request, _ in found)), found)
        return tickets

    def read(self, request: Request) -> Tuple[Ticket, Optional[New]]:
        """Pass a message through the gates. Gives its row, or a ticket that has its result already."""
        reading = read_request(request)
        message, outcome = reading.message, reading.outcome
        if outcome is None:
            return Ticket(message), reading.new
        kind = message.action if message else UNREADABLE
        if outcome.kind is Kind.REJECTED:
            trouble = self.bury(request.options, request.payload, outcome, kind)
            return Ticket(message, Result(message, outcome, kept=not trouble, trouble=trouble)), None
        self._report(Report(name_of(request.options), kind, "", message, outcome, 0, 0.0))
        return Ticket(message, Result(message, outcome)), None

    def bury(self, options: Options, text: Union[str, bytes], outcome: Outcome, kind: str = UNREADABLE) -> str:
        """Record a text as a dead letter. Gives why that was not possible, or an empty text. Raises AddressError."""
        target = self._target(name_of(options), (options,))
        self._report(Report(target.name, kind, "", None, outcome, 0, 0.0))
        try:
            target.journal.bury(dead_letter(text, kind), time.time(), outcome.reason.value, outcome.detail)
        except JournalError as error:
            return str(error)
        return ""

    def wake(self, options: Options) -> None:
        """Use the access of these options, and make everything due that waits for their Alerta. Raises AddressError."""
        target = self._target(name_of(options), (options,))
        waiting = [action.id for action in target.journal.actions("waiting")]
        target.journal.retry(waiting, time.time())
        self._look_now(target)

    def _target(self, name: str, options: Iterable[Options]) -> Target:
        with self._changed:
            target = self._targets.get(name)
            if target is None:
                target = self._targets[name] = Target(self.state_directory, name)
            for one in options:
                target.use(access_of(one))
            if not target.is_open and self._lock is not None:  # only its holder knows that nothing is in flight
                target.is_open = self._ends.attempt(lambda: open_journal(target.journal, self.state_directory))
                self._changed.notify_all()
            return target

    def _accept(self, target: Target, found: List[Tuple[Ticket, Request, New]]) -> None:
        claim = self._has_room(target, len(found))
        actions: List[Action] = []
        news = [new for _, _, new in found]
        for ticket, _, new in found:
            self.waiting.add(target.name, new, ticket)

        def append() -> None:
            actions.extend(target.journal.append(news, time.time(), claim=claim))

        if self._lock is None or not self._ends.attempt(append):
            self._deliver_unrecorded(target, found)
            return
        for (ticket, _, _), action in zip(found, actions):
            self._admit(target, ticket, action)

    def _deliver_unrecorded(self, target: Target, found: List[Tuple[Ticket, Request, New]]) -> None:
        for ticket, request, _new in found:
            self.waiting.forget(ticket)
            ticket.is_kept, ticket.trouble = False, self._ends.trouble
            self._hand_out(Job(target, None, ticket.message, request.options.settings, ticket))

    def _admit(self, target: Target, ticket: Ticket, action: Action) -> None:
        """Let a ticket wait for its row, unless the row's result is known."""
        if not action.is_new and action.state in ("done", "dead"):
            self.waiting.forget(ticket)
            ticket.resolve(Result(ticket.message, outcome_of_row(action)))
            return
        ticket.row = (target.name, action.alert, action.id)
        if action.is_new and action.state == "in-flight":
            ticket.is_tried = True
            self._hand_out(Job(target, action))
            return
        self._look_now(target)
        if target.reach.rests(time.monotonic()) or action.alert in target.backing_off:
            outcome = BEHIND if action.alert in target.backing_off else target.unreached()
            self.waiting.resolve(target.name, action, Result(ticket.message, outcome))

    def _has_room(self, target: Target, count: int) -> bool:
        with self._changed:
            if self._stopping.is_set() or self._in_hand + count > 2 * self._most:
                return False
            return target.reach.may_try_new(target.in_flight, count, time.monotonic())

    def _hand_out(self, job: Job) -> None:
        with self._changed:
            self._in_hand += 1
            job.target.in_flight += 1
        self._queue.put(job)

    # -- Taking from the journal what is due

    def _schedule(self) -> None:
        while self._lock is not None and not self._stopping.is_set():
            self._ends.save_again()
            targets = sorted(self._targets.values(), key=lambda one: one.in_flight)  # whose attempts hang comes last
            self._look_trouble = "; ".join(filter(None, [self._look_at(target) for target in targets]))
            with self._changed:
                if not self._stopping.is_set():
                    self._changed.wait(self._next_look_seconds())

    def _look_at(self, target: Target) -> str:
        """Take what is due; gives why that was not possible, or an empty text."""
        try:
            self._take_due(target)
            self._keep_house(target)
        except Exception as error:  # noqa: BLE001 - this thread has to go on, and says what is wrong
            target.look_at = time.monotonic() + _LOOK_SECONDS
            return str(error) if isinstance(error, JournalError) else f"this program fails: {error!r}"
        return ""

    def _next_look_seconds(self) -> float:
        """How long the scheduler may sleep: until the first target can be given work, or something changes."""
        now = time.monotonic()
        return max(0.0, min([_LOOK_SECONDS, *(self._wanted_at(target) - now for target in self._targets.values())]))

    def _wanted_at(self, target: Target) -> float:
        """Give when (of `time.monotonic`) a target may be given more work; infinity: not before one in hand ends."""
        if self._free() <= 0 or target.access is None or (target.reach.is_down and target.in_flight):
            return math.inf
        return max(target.look_at, target.reach.again_at)

    def _free(self) -> int:
        """How many actions more may be in hand: up to twice the workers, taken in some at a time."""
        return 2 * self._most - self._in_hand if self._in_hand <= self._most else 0

    def _take_due(self, target: Target) -> None:
        if not target.is_open:
            open_journal(target.journal, self.state_directory)
            target.is_open = True
        now = time.time()
        with self._changed:
            is_wanted = target.access is not None and target.reach.may_start(target.in_flight, time.monotonic())
            limit = min(self._free(), 1 if target.reach.is_down else 2 * self._most)
            if not is_wanted or not limit:
                return
            target.look_at = math.inf  # whoever submits meanwhile sets it anew
        actions = target.journal.claim(now, limit, _TOO_FAR_SECONDS)
        for action in actions:
            self._hand_out(Job(target, action))
        due_at = now if len(actions) == limit else target.journal.next_due(now, _TOO_FAR_SECONDS)
        with self._changed:
            target.look_again(due_at)

    def _keep_house(self, target: Target) -> None:
        """Make dead letters of what has waited too long, and forget what is old."""
        now = time.time()
        for action in target.journal.expire(now, delivery.EXPIRE_AFTER_SECONDS):
            self._report(Report(target.name, action.kind, action.alert, None, outcome_of_row(action), 0, 0.0))
        if time.monotonic() - target.kept_house_at > _HOUSEKEEPING_SECONDS:
            target.kept_house_at = time.monotonic()
            target.journal.prune(now, delivery.FORGET_AFTER_SECONDS)

    def _look_now(self, target: Target) -> None:
        with self._changed:
            target.look_at = 0.0
            self._changed.notify_all()

    # -- Trying

    def _work(self) -> None:
        attempts = Attempts(self._stopping)
        while True:
            job = self._queue.get()
            if job is None:
                break
            try:
                self._do(job, attempts)
            except Exception as error:  # noqa: BLE001 - this thread has to go on, and says what is wrong
                self._fault = f"this program fails: {error!r}"
            with self._changed:
                self._in_hand -= 1
                job.target.in_flight -= 1
                if job.target.look_at <= time.monotonic():
                    self._changed.notify_all()
        attempts.close()

    def _do(self, job: Job, attempts: Attempts) -> None:
        action = job.action
        if action is None:
            self._report(deliver_unrecorded(job, attempts, self._ends, PATIENCE_SECONDS))
        elif job.target.reach.is_down and job.target.in_flight > 1:
            self._put_back(job.target, action)
        else:
            while action is not None:
                action = self._deliver(job.target, action, attempts)

    def _put_back(self, target: Target, action: Action) -> None:
        """Let an action wait that was taken before its Alerta stopped answering: a worker is better free for others."""
        if self._ends.attempt(lambda: target.journal.release(action)):
            target.look_at = 0.0
            self.waiting.resolve(target.name, action, Result(None, target.unreached()))

    def _report(self, report: Report) -> None:
        try:
            self._hear(report)
        except Exception as error:  # noqa: BLE001 - an action is not to suffer from whoever logs it
            self._fault = f"this program fails: {error!r}"

    def _deliver(self, target: Target, action: Action, attempts: Attempts) -> Optional[Action]:
        """Try an action once and commit what came of it. Gives the next one of the same alert, if there is one."""
        began = time.monotonic()
        message, outcome = attempts.try_row(target, action)
        took = time.monotonic() - began
        self._report(Report(target.name, action.kind, action.alert, message, outcome, action.attempts + 1, took))
        return self._settle(target, action, message, outcome)

    def _settle(
        self, target: Target, action: Action, message: Optional[Message], outcome: Outcome
    ) -> Optional[Action]:
        """Commit what an attempt came to, and tell those who wait."""
        pause = delivery.row_pause_seconds(outcome, action.attempts + 1, random.random())  # noqa: S311 - jitter
        wrote = delivery.wrote(message, outcome, time.time())
        end = End(target, action, outcome, wrote, pause)
        following = self._ends.save(end, claim_next=not self._stopping.is_set())
        again_at = time.monotonic() + pause if outcome.kind is Kind.KEPT else None
        self._note_end(target, action, again_at)
        result = Result(message, outcome, again_at=again_at, trouble=self._ends.trouble or target.news())
        self.waiting.resolve(target.name, action, result)
        if outcome.kind is Kind.KEPT:
            self.waiting.resolve_behind(target.name, action)
        return following

    def _note_end(self, target: Target, action: Action, again_at: Optional[float]) -> None:
        """Let the scheduler know when the alert is due again; None: it is not held up any more."""
        with self._changed:
            if again_at is None:
                target.backing_off.discard(action.alert)
                return
            target.backing_off.add(action.alert)
            target.look_at = min(target.look_at, again_at)
            self._changed.notify_all()

    # -- What others may know

    @property
    def disk_trouble(self) -> str:
        """Why actions cannot be written down; empty where they can."""
        return self._ends.trouble or self._look_trouble

    @property
    def trouble(self) -> str:
        """What a person has to do about the disk or an Alerta; empty where nothing."""
        troubles = [self._fault, self.disk_trouble, *(target.trouble for target in self._targets.values())]
        return "; ".join(text for text in troubles if text)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand and nothing waits that could be delivered."""
        with self._changed:
            if self._in_hand or not self._ends.are_saved:
                return False
        return not any(target.waits() for target in list(self._targets.values()))

    def counts(self) -> Dict[str, Counts]:
        """Count the rows of each target's journal. Raises JournalError."""
        return {name: target.journal.counts(time.time()) for name, target in list(self._targets.items())}
