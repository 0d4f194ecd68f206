"""One attempt to do an action: the pure flow of `core/delivery.py`, driven over a kept connection; and its end."""

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

# The reason says to the next attempt that an earlier one may still take effect.
_UNSETTLED = Outcome(Kind.KEPT, Reason.TIMEOUT, "the process ended while an earlier attempt could still take effect")

MOST_FAULTS = 5  # After so many attempts in which this program failed, the action becomes a dead letter


class Unrecorded(NamedTuple):
    """An action that could not be written down; `problem` says why."""

    new: New
    ticket: Ticket
    problem: str


class Attempts:
    """Makes the attempts of one worker. `stopping` cuts pauses short."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._clients: Dict[Access, AlertaClient] = {}

    def close(self) -> None:
        """Close the connections."""
        while self._clients:
            self._clients.popitem()[1].close()

    def try_row(self, target: Target, action: Action) -> Tuple[Optional[Message], Outcome]:
        """Try an action of the journal once. Whatever goes wrong is an outcome."""
        message: Optional[Message] = None
        try:
            message = read_journal_body(action.body, action.key)
            settings = settings_from_json(action.options)
            return message, self._try(target, message, settings, _earlier(target, action))
        except ValueError as error:
            return message, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
        except JournalError as error:
            return message, Outcome(Kind.KEPT, Reason.BEHIND, str(error))
        except Exception as error:  # noqa: BLE001 - one action on which this program fails must not end the others
            what = f"this program fails on it: {type(error).__name__}"
            if action.attempts + 1 >= MOST_FAULTS:
                return message, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, what)
            return message, Outcome(Kind.KEPT, Reason.FAULT, what)

    def try_unrecorded(self, target: Target, job: Unrecorded, patience_seconds: float) -> Tuple[Outcome, int]:
        """Try an action that is in no journal, again for so long, and tell its ticket. Gives how often it was tried."""
        message, settings = read_journal_body(job.new.body, job.new.key), settings_from_json(job.new.options)
        ends, now, count = time.monotonic() + patience_seconds, time.time(), 0
        earlier = delivery.PriorAttempts(first_attempt_at=_began_at(job.new.first_attempt_at, now))
        while True:
            count += 1
            outcome = self._try(target, message, settings, earlier)
            pause = delivery.pause_seconds(outcome, count, jitter())
            again_at = time.monotonic() + pause
            is_over = outcome.kind is not Kind.KEPT or outcome.needs_person or again_at > ends
            if not is_over and job.ticket.wants_more:
                job.ticket.resolve(Result(message, outcome, kept=False, again_at=again_at, problem=job.problem))
            if is_over or self._stopping.wait(pause):
                job.ticket.resolve(Result(message, outcome, kept=False, problem=job.problem))
                return outcome, count
            first = now if earlier.first_attempt_at is None else earlier.first_attempt_at
            earlier = delivery.PriorAttempts(first_attempt_at=first, last_reason=outcome.reason.value)

    def _try(self, target: Target, message: Message, settings: Settings, earlier: delivery.PriorAttempts) -> Outcome:
        access = target.access
        if access is None:
            return Outcome(Kind.KEPT, Reason.BEHIND, "no key for this Alerta has come yet")
        try:
            client = self._client(access)
        except AddressError as error:
            return Outcome(Kind.KEPT, Reason.NOT_ALERTA, str(error))
        outcome = self._drive(delivery.attempt(message, settings, earlier, time.time()), client)
        target.note(access, outcome)
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
    """Give when the first attempt began. After now: a clock was set back, and nobody knows when it was."""
    return now - delivery.EXPIRE_AFTER_SECONDS if first is not None and first > now else first


def _earlier(target: Target, action: Action) -> delivery.PriorAttempts:
    first, equal_lines = _began_at(action.first_attempt_at, time.time()), 0
    if first is not None:
        equal_lines = target.journal.count_words(action.alert, action.words, delivery.equal_lines_since(first))
    return delivery.PriorAttempts(target.journal.memory(action.alert), first, equal_lines, action.reason)


# -- Its end in the journal

DONE_BEFORE = Outcome(Kind.ALREADY, Reason.REDELIVERED, "this very action is done")

_PROBE_BYTES = 16_384


class End(NamedTuple):
    """What an attempt came to. `pause_seconds` is for an outcome that keeps the action."""

    action: Action
    outcome: Outcome
    wrote: Mapping[str, int]
    pause_seconds: float
    person: str = ""  # Who acted, kept when the message goes


class Ends:
    """Commits ends to one journal. `problem` says why that cannot be written, and is empty once it can again."""

    def __init__(self, journal: Journal, state_directory: str, problem: str = "") -> None:
        self.problem = problem
        self.unsaved: List[End] = []
        self._journal = journal
        self._path = state_directory
        self._mutex = threading.Lock()

    def save(self, end: End, *, claim_next: bool) -> Optional[Action]:
        """Commit an end, now or later. Gives the next action of the alert, in flight, where that is wanted."""
        following: List[Optional[Action]] = [None]
        if not self.attempt(lambda: following.append(_commit(self._journal, end, claim_next=claim_next))):
            with self._mutex:
                self.unsaved.append(end)
        return following[-1]

    def save_again(self) -> None:
        """Commit what could not be committed before; see whether the disk takes something again."""
        with self._mutex:
            unsaved, self.unsaved = self.unsaved, []
        for end in unsaved:
            self.save(end._replace(pause_seconds=0.0), claim_next=False)
        if self.problem and not unsaved:
            self._probe()

    def attempt(self, work: Callable[[], object]) -> bool:
        """Write something to a journal; where that fails, remember why."""
        try:
            work()
        except JournalError as error:
            self.problem = str(error)
            return False
        except RuntimeError:
            raise  # the journal was closed: nothing is promised any more
        except Exception as error:  # noqa: BLE001 - what is not written down is delivered all the same
            self.problem = f"the journal cannot be used, this program fails: {error!r}"
            return False
        self.problem = ""
        return True

    def _probe(self) -> None:
        """Clear the problem if the state directory takes a file: the last error may have passed with nobody writing."""
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


def _commit(journal: Journal, end: End, *, claim_next: bool) -> Optional[Action]:
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
    """Give the outcome of an action that has ended; `is_ours` is False for one that came again."""
    if action.state == "done" and not is_ours:
        return DONE_BEFORE
    kinds = {reason.value: (kind, reason) for kind, reasons in REASONS.items() for reason in reasons}
    kind, reason = kinds.get(action.reason, (Kind.REJECTED, Reason.REFUSED))
    return Outcome(kind if action.state == "done" else Kind.REJECTED, reason, action.detail)
