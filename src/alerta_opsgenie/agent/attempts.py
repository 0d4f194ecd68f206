"""One attempt to do an action: the pure flow of `core/delivery.py`, driven over a kept connection."""

import random
import threading
import time
from typing import Any, Dict, NamedTuple, Optional, Tuple

from alerta_opsgenie.agent.options import settings_from_json
from alerta_opsgenie.agent.target import MOST_ACCESSES, Access, Target
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.core import delivery
from alerta_opsgenie.core.message import Message, MessageError, recall
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.journal import Action, JournalError

MOST_FAULTS = 5
"""After so many attempts in which this program failed, the action becomes a dead letter."""


class Unrecorded(NamedTuple):
    """An action that could not be written down; `trouble` says why."""

    message: Message
    settings: Settings
    ticket: Ticket
    trouble: str


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
            message = recall(action.body, action.key)
            settings = settings_from_json(action.options)
            return message, self._try(target, message, settings, _earlier(target, action))
        except (MessageError, ValueError) as error:
            return message, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
        except JournalError as error:
            return message, Outcome(Kind.KEPT, Reason.BEHIND, str(error))
        except Exception as error:  # noqa: BLE001 - one action on which this program fails must not end the others
            what = f"this program fails on it: {type(error).__name__}"
            if action.attempts + 1 >= MOST_FAULTS:
                return message, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, what)
            return message, Outcome(Kind.KEPT, Reason.FAULT, what)

    def persist(self, target: Target, job: Unrecorded, patience_seconds: float) -> Tuple[Outcome, int]:
        """Try an action that is in no journal, again and again for so long, and tell its ticket.

        Gives the last outcome, and how many attempts there were.
        """
        ends, began_at = time.monotonic() + patience_seconds, time.time()
        earlier, count, again_at = delivery.Earlier(), 0, 0.0
        while True:
            count += 1
            outcome = self._try(target, job.message, job.settings, earlier)
            pause = delivery.pause_seconds(outcome, count, random.random())  # noqa: S311 - jitter
            again_at = time.monotonic() + pause
            is_over = outcome.kind is not Kind.KEPT or outcome.loud or again_at > ends or self._stopping.is_set()
            result = Result(job.message, outcome, kept=False, trouble=job.trouble)
            job.ticket.resolve(result if is_over else result._replace(again_at=again_at))
            if is_over:
                return outcome, count
            self._stopping.wait(pause)
            earlier = delivery.Earlier(first_attempt_at=began_at, last_reason=outcome.reason.value)

    def _try(self, target: Target, message: Message, settings: Settings, earlier: delivery.Earlier) -> Outcome:
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
        """Give the kept client of an access. Raises AddressError."""
        if access not in self._clients:
            if len(self._clients) >= MOST_ACCESSES:
                self.close()
            self._clients[access] = access.client()
        return self._clients[access]

    def _drive(self, steps: delivery.Attempt, client: AlertaClient) -> Outcome:
        """Make the calls and the pauses that an attempt asks for."""
        answer: Any = None
        deadline = time.monotonic() + delivery.CALL_SECONDS
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                return outcome
            if isinstance(step, delivery.Pause):
                self._stopping.wait(step.seconds)
                answer, deadline = None, time.monotonic() + delivery.CALL_SECONDS
                continue
            try:
                answer = client.send(step, deadline)
            except UnreachableError as error:
                answer = delivery.NoAnswer(str(error), error.timed_out)


def _earlier(target: Target, action: Action) -> delivery.Earlier:
    """Read from the journal what is known from before this attempt. Raises JournalError."""
    first, same_words, now = action.first_attempt_at, 0, time.time()
    if first is not None:
        if first > now:  # a clock was set back: it began before now, nobody knows when
            first = now - delivery.EXPIRE_AFTER_SECONDS
        same_words = target.journal.count_words(action.alert, action.words, delivery.count_words_since(first))
    return delivery.Earlier(target.journal.memory(action.alert), first, same_words, action.reason)
