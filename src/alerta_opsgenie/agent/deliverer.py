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
from typing import Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from alerta_opsgenie.agent import state
from alerta_opsgenie.agent.attempts import Attempts
from alerta_opsgenie.agent.options import Options, settings_to_json
from alerta_opsgenie.agent.target import Target, access_of, name_of
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.agent.waiting import BEHIND, Waiting
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.message import Message, MessageError, clean_name, parse
from alerta_opsgenie.core.outcome import REASONS, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.journal import Action, Counts, Journal, JournalError, Lock, New, try_lock
from alerta_opsgenie.journal.upgrade import take_over_spool

WORKERS = 12
"""Alerts at work at once: more brings nothing in front of Alerta's usual two to four processes (bench/connector.py)."""

PATIENCE_SECONDS = 5.0
"""How long what may pass is waited for; then a worker of the connector is better free for other actions."""

_LOOK_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 3600.0
_SAVED_AGAIN_SECONDS = 1.0

DONE_BEFORE = Outcome(Kind.ALREADY, Reason.REDELIVERED, "this very action is done")


class Request(NamedTuple):
    """An action to be delivered. `first_attempt_at`: an attempt of unknown end may have begun then, elsewhere."""

    payload: Union[str, bytes]
    options: Options
    first_attempt_at: Optional[float] = None


class Report(NamedTuple):
    """One attempt and how it ended, for logs and metrics."""

    target: str
    action: str
    alert: str
    message: Optional[Message]
    outcome: Outcome
    attempt: int
    seconds: float


class _Job(NamedTuple):
    """Something for a worker. `action` is None where the journal could not be used."""

    target: Target
    action: Optional[Action]
    message: Optional[Message] = None
    settings: Optional[Settings] = None
    ticket: Optional[Ticket] = None


class _Unsaved(NamedTuple):
    """The end of an action that could not be committed yet."""

    target: Target
    action: Action
    outcome: Outcome
    wrote: Mapping[str, int]


class Deliverer:
    """Delivers what lies in one state directory. `report` hears of each attempt, in the worker's thread."""

    def __init__(
        self, state_directory: str, *, workers: int = WORKERS, report: Callable[[Report], None] = lambda _report: None
    ) -> None:
        self.state_directory = state_directory
        self._report = report
        self._most = workers
        self._queue: queue.SimpleQueue[Optional[_Job]] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._targets: Dict[str, Target] = {}
        self.waiting = Waiting()
        self._unsaved: List[_Unsaved] = []
        self._in_hand = 0
        self._stopping = threading.Event()
        self._threads: List[threading.Thread] = []
        self._lock: Optional[Lock] = None
        self._disk_trouble = ""
        self._kept_house_at = -math.inf
        self._has_journal = True

    # -- Its life

    def start(self) -> bool:
        """Take the delivery lock and begin. False: another process holds it.

        Raises UnsafeError, OSError, JournalError.
        """
        state.prepare(self.state_directory)
        self._lock = try_lock(self.state_directory, state.LOCK_NAME)
        if self._lock is None:
            return False
        self._start_threads()
        return True

    def start_without_journal(self, trouble: str) -> None:
        """Begin where the state directory cannot be used: everything goes without order and memory, and says so."""
        self._disk_trouble = trouble
        self._has_journal = False
        self._start_threads()

    def _start_threads(self) -> None:
        self._spawn(self._schedule, "deliverer")
        for number in range(self._most):
            self._spawn(self._work, f"deliverer-{number + 1}")

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

    def _spawn(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _give_back(self) -> None:
        """Let what is in the queue wait again: it was not tried."""
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.action is not None:
                self._try_to_save(lambda job=job: job.target.journal.release(job.action))  # type: ignore[misc]

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
        try:
            message = parse(request.payload)
        except MessageError as error:
            return self._refuse(request, None, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))), None
        settings = request.options.settings
        shut = delivery.outcome_without_alerta(message, settings, time.time())
        if shut is None:
            entry = delivery.entry_of(message, time.time())
            options = settings_to_json(settings)
            return Ticket(message), New(**entry._asdict(), options=options, first_attempt_at=request.first_attempt_at)
        if shut.kind is Kind.REJECTED:
            return self._refuse(request, message, shut), None
        self._report(Report(name_of(request.options), message.action, "", message, shut, 0, 0.0))
        return Ticket(message, Result(message, shut)), None

    def _refuse(self, request: Request, message: Optional[Message], outcome: Outcome) -> Ticket:
        """Record what is refused before it reaches Alerta as a dead letter."""
        raw = request.payload
        text = (raw if isinstance(raw, bytes) else raw.encode("utf-8", "backslashreplace")).decode("utf-8", "replace")
        trouble = self.bury(request.options, text, outcome, message.action if message else "unreadable")
        return Ticket(message, Result(message, outcome, kept=not trouble, trouble=trouble))

    def bury(self, options: Options, text: str, outcome: Outcome, kind: str = "unreadable") -> str:
        """Record a text as a dead letter. Gives why that was not possible, or an empty text. Raises AddressError."""
        new = New(key=_digest(text), alert="", order_ns=time.time_ns(), kind=clean_name(kind)[:100], body=text)
        target = self._target(name_of(options), (options,))
        self._report(Report(target.name, kind, "", None, outcome, 0, 0.0))
        try:
            target.journal.bury(new, time.time(), outcome.reason.value, outcome.detail)
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
            if not target.is_open and self._has_journal:
                target.is_open = self._try_to_save(lambda: _open(target.journal, self.state_directory))
                self._changed.notify_all()
            return target

    def _accept(self, target: Target, found: List[Tuple[Ticket, Request, New]]) -> None:
        claim = self._has_room(target, len(found))
        if not self._has_journal:
            self._deliver_unrecorded(target, found)
            return
        try:
            actions = target.journal.append([new for _, _, new in found], time.time(), claim=claim)
        except JournalError as error:
            self._disk_trouble = str(error)
            self._deliver_unrecorded(target, found)
            return
        self._disk_trouble = ""
        for (ticket, _, _), action in zip(found, actions):
            self._admit(target, ticket, action)

    def _deliver_unrecorded(self, target: Target, found: List[Tuple[Ticket, Request, New]]) -> None:
        for ticket, request, _new in found:
            ticket.is_kept, ticket.trouble = False, self._disk_trouble
            self._hand_out(_Job(target, None, ticket.message, request.options.settings, ticket))

    def _admit(self, target: Target, ticket: Ticket, action: Action) -> None:
        """Let a ticket wait for its row, unless the row's result is known."""
        if not action.is_new and action.state in ("done", "dead"):
            ticket.resolve(Result(ticket.message, outcome_of_row(action)))
            return
        self.waiting.add(target.name, action, ticket)
        if action.is_new and action.state == "in-flight":
            ticket.is_tried = True
            self._hand_out(_Job(target, action))
            return
        self._look_now(target)
        if target.reach.is_down or action.alert in target.backing_off:
            outcome = BEHIND if action.alert in target.backing_off else _unreached(target)
            self.waiting.resolve(target.name, action, Result(ticket.message, outcome))

    def _has_room(self, target: Target, count: int) -> bool:
        with self._changed:
            if target.reach.is_down:
                return target.in_flight == 0 and count == 1
            return self._in_hand + count <= 2 * self._most and not self._stopping.is_set()

    def _hand_out(self, job: _Job) -> None:
        with self._changed:
            self._in_hand += 1
            job.target.in_flight += 1
        self._queue.put(job)

    # -- Taking from the journal what is due

    def _schedule(self) -> None:
        while self._has_journal and not self._stopping.is_set():
            self._save_again()
            for target in list(self._targets.values()):
                self._try_to_save(lambda target=target: self._take_due(target))  # type: ignore[misc]
            with self._changed:
                if not self._stopping.is_set() and not any(self._is_wanted(one) for one in self._targets.values()):
                    self._changed.wait(self._next_look_seconds())

    def _next_look_seconds(self) -> float:
        now = time.monotonic()
        return max(0.0, min([_LOOK_SECONDS, *(one.look_at - now for one in self._targets.values() if self._free())]))

    def _is_wanted(self, target: Target) -> bool:
        now = time.monotonic()
        return self._free() > 0 and target.look_at <= now and target.reach.may_start(target.in_flight, now)

    def _free(self) -> int:
        """How many actions more may be in hand: up to twice the workers, taken in some at a time."""
        return 2 * self._most - self._in_hand if self._in_hand <= self._most else 0

    def _take_due(self, target: Target) -> None:
        if not target.is_open:
            _open(target.journal, self.state_directory)
            target.is_open = True
        now = time.time()
        with self._changed:
            wanted = target.access is not None and self._free() > 0
            wanted = wanted and target.reach.may_start(target.in_flight, time.monotonic())
            limit = 1 if target.reach.is_down else self._free()
        if not wanted:
            return
        actions = target.journal.claim(now, limit, delivery.LONGEST_PAUSE_SECONDS)
        for action in actions:
            self._hand_out(_Job(target, action))
        if len(actions) < limit:
            target.look_again(target.journal.next_due(now, delivery.LONGEST_PAUSE_SECONDS))
        if now - self._kept_house_at > _HOUSEKEEPING_SECONDS:
            self._kept_house_at = now
            target.journal.prune(now, delivery.FORGET_AFTER_SECONDS)
        target.journal.expire(now, delivery.EXPIRE_AFTER_SECONDS)

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
            if job.action is None:
                self._deliver_without_journal(job, attempts)
            action = job.action
            while action is not None:
                action = self._deliver(job.target, action, attempts)
            with self._changed:
                self._in_hand -= 1
                job.target.in_flight -= 1
                if job.target.look_at <= time.monotonic():
                    self._changed.notify_all()
        attempts.close()

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
        following: List[Optional[Action]] = [None]
        wrote = delivery.wrote(message, outcome, time.time())
        again_at = None
        if outcome.kind is Kind.KEPT:
            pause = delivery.pause_seconds(outcome, action.attempts + 1, random.random())  # noqa: S311 - jitter
            again_at = time.monotonic() + pause
            saved = self._try_to_save(lambda: self._postpone(target, action, outcome, pause))
        else:
            go_on = not self._stopping.is_set()
            end = functools.partial(_finish, target, action, outcome, wrote, claim_next=go_on)
            saved = self._try_to_save(lambda: following.append(end()))
        if not saved:
            with self._changed:
                self._unsaved.append(_Unsaved(target, action, outcome, wrote))
        result = Result(message, outcome, again_at=again_at, trouble=self._disk_trouble or target.news())
        self.waiting.resolve(target.name, action, result)
        if outcome.kind is Kind.KEPT:
            self.waiting.resolve_behind(target.name, action)
        else:
            with self._changed:
                target.backing_off.discard(action.alert)
        return following[-1]

    def _postpone(self, target: Target, action: Action, outcome: Outcome, pause: float) -> None:
        now = time.time()
        target.journal.postpone(action, now, now + pause, outcome.reason.value, outcome.detail)
        with self._changed:
            target.backing_off.add(action.alert)
            target.look_at = min(target.look_at, time.monotonic() + pause)
            self._changed.notify_all()

    def _deliver_without_journal(self, job: _Job, attempts: Attempts) -> None:
        """Try an action that could not be written down, for as long as that is worth a worker."""
        message, settings, ticket = job.message, job.settings, job.ticket
        assert message is not None and settings is not None and ticket is not None  # noqa: S101, PT018 - of `_accept`

        def failed(outcome: Outcome, pause: float) -> None:
            again_at = time.monotonic() + pause
            ticket.resolve(Result(message, outcome, kept=False, again_at=again_at, trouble=self._disk_trouble))

        began = time.monotonic()
        outcome, count = attempts.persist(job.target, message, settings, PATIENCE_SECONDS, failed)
        took = time.monotonic() - began
        self._report(Report(job.target.name, message.action, "", message, outcome, count, took))
        ticket.resolve(Result(message, outcome, kept=False, trouble=self._disk_trouble))

    # -- The journal, where it may fail

    def _try_to_save(self, work: Callable[[], object]) -> bool:
        """Do something with a journal; where that fails, say why and go on."""
        try:
            work()
        except JournalError as error:
            self._disk_trouble = str(error)
            return False
        self._disk_trouble = ""
        return True

    def _save_again(self) -> None:
        """Commit the ends that could not be committed before."""
        with self._changed:
            unsaved, self._unsaved = self._unsaved, []
        for one in unsaved:
            if one.outcome.kind is Kind.KEPT:
                saved = self._try_to_save(lambda one=one: self._postpone(one.target, one.action, one.outcome, 0.0))  # type: ignore[misc]
            else:
                saved = self._try_to_save(lambda one=one: _finish(*one))  # type: ignore[misc]
            if not saved:
                with self._changed:
                    self._unsaved.append(one)

    # -- What others may know

    @property
    def disk_trouble(self) -> str:
        """Why actions cannot be written down; empty where they can."""
        return self._disk_trouble

    @property
    def trouble(self) -> str:
        """What a person has to do about the disk or an Alerta; empty where nothing."""
        troubles = [self._disk_trouble, *(target.trouble for target in self._targets.values())]
        return "; ".join(text for text in troubles if text)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand and nothing waits that could be delivered."""
        with self._changed:
            targets = list(self._targets.values())
            if self._in_hand or self._unsaved:
                return False
        return not any(_waits(target) for target in targets)

    def counts(self) -> Dict[str, Counts]:
        """Count the rows of each target's journal. Raises JournalError."""
        return {name: target.journal.counts(time.time()) for name, target in list(self._targets.items())}


def _open(journal: Journal, state_directory: str) -> None:
    """Make a journal ready that no other process delivers from: what was in flight has an unknown end."""
    now = time.time()
    take_over_spool(journal, state_directory)
    journal.recover(now)
    journal.expire(now, delivery.EXPIRE_AFTER_SECONDS)


def _finish(
    target: Target, action: Action, outcome: Outcome, wrote: Mapping[str, int], *, claim_next: bool = False
) -> Optional[Action]:
    journal, now, reason = target.journal, time.time(), outcome.reason.value
    if outcome.kind is Kind.REJECTED:
        return journal.dead(action, now, reason, outcome.detail, claim_next=claim_next)
    return journal.done(
        action,
        now,
        reason,
        outcome.detail,
        wrote=wrote,
        count_words=delivery.left_words(outcome),
        claim_next=claim_next,
    )


def outcome_of_row(action: Action, *, is_ours: bool = False) -> Outcome:
    """Give the outcome of an action that has ended; `is_ours` is False for one that came again."""
    if action.state == "done" and not is_ours:
        return DONE_BEFORE
    kinds = {reason.value: (kind, reason) for kind, reasons in REASONS.items() for reason in reasons}
    kind, reason = kinds.get(action.reason, (Kind.REJECTED, Reason.REFUSED))
    return Outcome(kind if action.state == "done" else Kind.REJECTED, reason, action.detail)


def _unreached(target: Target) -> Outcome:
    return Outcome(Kind.KEPT, Reason.UNAVAILABLE, target.trouble or "Alerta has not answered the last attempts")


def _waits(target: Target) -> bool:
    try:
        return target.access is not None and target.journal.next_due(time.time(), 0.0) is not None
    except JournalError:
        return False


def _digest(text: str) -> str:
    import hashlib  # noqa: PLC0415 - only refused input needs it

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
