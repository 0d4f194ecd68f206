"""One attempt to deliver an action (the flow of `core/delivery.py` over a kept connection), and its journal entry."""

import contextlib
import os
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from alerta_opsgenie.agent.options import settings_from_json
from alerta_opsgenie.agent.target import MOST_ACCESSES, Access, Target, jitter
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.message import Message, journal_body_of_person, read_journal_body
from alerta_opsgenie.core.outcome import REASONS, Kind, Outcome, Reason
from alerta_opsgenie.core.task import Settings
from alerta_opsgenie.journal import Action, Journal, JournalError, New

# With this reason the next attempt looks whether the earlier one took effect.
_UNSETTLED = Outcome(Kind.KEPT, Reason.TIMEOUT, "the process ended while an earlier attempt could still take effect")

MOST_FAULTS = 5  # After this many attempts that failed by a fault of this program, the action becomes a dead letter


class Unrecorded(NamedTuple):
    """An action that could not be written to the journal; `problem` is the reason."""

    new: New
    ticket: Ticket
    problem: str


class Attempts:
    """Makes the attempts of one worker. Setting `stopping` ends a pause early."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._clients: Dict[Access, AlertaClient] = {}

    def close(self) -> None:
        """Close the connections."""
        while self._clients:
            self._clients.popitem()[1].close()

    def try_row(self, target: Target, action: Action) -> Tuple[Optional[Message], Outcome]:
        """Try an action of the journal once. Every error becomes an outcome."""
        message: Optional[Message] = None
        try:
            message = read_journal_body(action.body, action.key)
            settings = settings_from_json(action.options)
            return message, self._try(target, message, settings, _earlier(target, action))
        except ValueError as error:
            return message, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
        except JournalError as error:
            return message, Outcome(Kind.KEPT, Reason.BEHIND, str(error))
        except Exception as error:  # noqa: BLE001 - a fault in one action must not stop the others
            what = f"this program fails on it: {type(error).__name__}"
            if action.attempts + 1 >= MOST_FAULTS:
                return message, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, what)
            return message, Outcome(Kind.KEPT, Reason.FAULT, what)

    def try_unrecorded(self, target: Target, job: Unrecorded, retry_wait_seconds: float) -> Tuple[Outcome, int]:
        """Try an action without the journal, with retries. Return the outcome and the number of attempts."""
        message, settings = read_journal_body(job.new.body, job.new.key), settings_from_json(job.new.options)
        ends, now, count = time.monotonic() + retry_wait_seconds, time.time(), 0
        earlier = delivery.PriorAttempts(first_attempt_at=_began_at(job.new.first_attempt_at, now))
        while True:
            count += 1
            outcome = self._try(target, message, settings, earlier)
            pause = delivery.pause_seconds(outcome, count, jitter())
            again_at = time.monotonic() + pause
            is_over = outcome.kind is not Kind.KEPT or outcome.needs_person or again_at > ends
            if not is_over and job.ticket.waits_for_retries:
                job.ticket.resolve(Result(message, outcome, kept=False, again_at=again_at, problem=job.problem))
            if is_over or self._stopping.wait(pause):
                job.ticket.resolve(Result(message, outcome, kept=False, problem=job.problem))
                return outcome, count
            first = now if earlier.first_attempt_at is None else earlier.first_attempt_at
            earlier = delivery.PriorAttempts(first_attempt_at=first, last_reason=outcome.reason.value)

    def _try(self, target: Target, message: Message, settings: Settings, earlier: delivery.PriorAttempts) -> Outcome:
        access = target.access
        if access is None:
            return Outcome(Kind.KEPT, Reason.BEHIND, "there is no key for this Alerta yet")
        try:
            client = self._client(access)
        except AddressError as error:
            return Outcome(Kind.KEPT, Reason.NOT_ALERTA, str(error))
        outcome = self._drive(delivery.attempt(message, settings, earlier, time.time()), client)
        target.record(access, outcome)
        return outcome

    def _client(self, access: Access) -> AlertaClient:
        if access not in self._clients:
            if len(self._clients) >= MOST_ACCESSES:
                self.close()
            self._clients[access] = access.client()
        return self._clients[access]

    def _drive(self, steps: delivery.Attempt, client: AlertaClient) -> Outcome:
        answer: Any = None
        deadline = time.monotonic() + delivery.CALL_SECONDS
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                return outcome
            if isinstance(step, delivery.Pause):
                if self._stopping.wait(step.seconds):
                    return _UNSETTLED
                answer, deadline = None, time.monotonic() + delivery.CALL_SECONDS
                continue
            try:
                answer = client.send(step, deadline)
            except UnreachableError as error:
                answer = delivery.NoAnswer(str(error), error.timed_out)


def _began_at(first: Optional[float], now: float) -> Optional[float]:
    """Return when the first attempt began; after the clock was set back (`first > now`), the earliest possible time."""
    return now - delivery.EXPIRE_AFTER_SECONDS if first is not None and first > now else first


def _earlier(target: Target, action: Action) -> delivery.PriorAttempts:
    first, equal_lines = _began_at(action.first_attempt_at, time.time()), 0
    if first is not None:
        equal_lines = target.journal.count_words(action.alert, action.words, delivery.equal_lines_since(first))
    return delivery.PriorAttempts(target.journal.memory(action.alert), first, equal_lines, action.reason)


# -- The outcome in the journal

DONE_BEFORE = Outcome(Kind.ALREADY, Reason.REDELIVERED, "this action was done before")

_PROBE_BYTES = 16_384


class AttemptEnd(NamedTuple):
    """The outcome of an attempt. `pause_seconds` is until the next attempt, where the action is kept."""

    action: Action
    outcome: Outcome
    wrote: Mapping[str, int]
    pause_seconds: float
    person: str = ""  # Who acted: stays in the journal after the message is removed


class OutcomeWriter:
    """Commits outcomes to one journal. `problem` is why the last write failed; empty after one that succeeded."""

    def __init__(self, journal: Journal, state_directory: str, problem: str = "") -> None:
        self.problem = problem
        self.unsaved: List[AttemptEnd] = []
        self._journal = journal
        self._path = state_directory
        self._mutex = threading.Lock()

    def save(self, end: AttemptEnd, *, claim_next: bool) -> Optional[Action]:
        """Commit an outcome, now or later. With `claim_next` return the next action of the alert, now in flight."""
        following: List[Optional[Action]] = [None]
        if not self.try_write(lambda: following.append(_commit(self._journal, end, claim_next=claim_next))):
            with self._mutex:
                self.unsaved.append(end)
        return following[-1]

    def save_again(self) -> None:
        """Commit the outcomes that could not be committed before; test whether the disk can be written again."""
        with self._mutex:
            unsaved, self.unsaved = self.unsaved, []
        for end in unsaved:
            self.save(end._replace(pause_seconds=0.0), claim_next=False)
        if self.problem and not unsaved:
            self._test_disk()

    def try_write(self, work: Callable[[], object]) -> bool:
        """Run a write to the journal. Return whether it succeeded; `problem` has the error."""
        try:
            work()
        except JournalError as error:
            self.problem = str(error)
            return False
        except RuntimeError:
            raise  # the journal was closed
        except Exception as error:  # noqa: BLE001 - an action that cannot be written is still delivered
            self.problem = f"the journal cannot be used, this program fails: {error!r}"
            return False
        self.problem = ""
        return True

    def _test_disk(self) -> None:
        """Clear the problem if a file can be written. While no action arrives, nothing else tests the disk."""
        path = os.path.join(self._path, ".probe")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            file = os.open(path, flags, 0o600)
            try:
                if os.write(file, bytes(_PROBE_BYTES)) == _PROBE_BYTES:
                    os.fsync(file)
                    self.problem = ""
            finally:
                os.close(file)
                os.unlink(path)


def _commit(journal: Journal, end: AttemptEnd, *, claim_next: bool) -> Optional[Action]:
    action, outcome, wrote, pause_seconds, person = end
    now, reason, detail = time.time(), outcome.reason.value, outcome.detail
    if outcome.kind is Kind.KEPT:
        journal.postpone(action, now, now + pause_seconds, reason, detail)
        return None
    if outcome.kind is Kind.REJECTED:
        return journal.dead(action, now, reason, detail, claim_next=claim_next)
    ended = action if delivery.left_history_line(outcome) else action._replace(words="")
    left = journal_body_of_person(person)
    return journal.done(ended, now, reason, detail, wrote=wrote, left=left, claim_next=claim_next)


def outcome_of_row(action: Action, *, is_ours: bool = False) -> Outcome:
    """Return the outcome of an action that has ended; `is_ours` is False for a redelivered one."""
    if action.state == "done" and not is_ours:
        return DONE_BEFORE
    kinds = {reason.value: (kind, reason) for kind, reasons in REASONS.items() for reason in reasons}
    kind, reason = kinds.get(action.reason, (Kind.REJECTED, Reason.REFUSED))
    return Outcome(kind if action.state == "done" else Kind.REJECTED, reason, action.detail)
