"""Tickets: a caller that submits an action to the deliverer waits on a ticket for the outcome."""

import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, New


class Result(NamedTuple):
    """The state of an action. `kept`: the journal has it. `again_at`: when (of `time.monotonic`) it is tried next.

    `problem` is what else went wrong, with the advice.
    """

    message: Optional[Message]
    outcome: Outcome
    kept: bool = True
    again_at: Optional[float] = None
    problem: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether the action has ended or is in the journal, so that its message may be deleted."""
        return self.outcome.kind is not Kind.KEPT or self.kept

    def is_retried_before(self, retries_end: float) -> bool:
        """Whether the next attempt is before that time, and needs no action of a person."""
        is_due = self.again_at is not None and self.again_at < retries_end
        return self.outcome.kind is Kind.KEPT and not self.outcome.needs_person and is_due


BEHIND = Outcome(Kind.KEPT, Reason.BEHIND, "earlier actions on this alert wait")
UNANSWERED = Outcome(Kind.KEPT, Reason.TIMEOUT, "Alerta has not answered yet")
UNTRIED = Outcome(Kind.KEPT, Reason.BEHIND, "other actions are in flight")


class Ticket:
    """Waits for the results of one action. Each attempt may give one. A result that is not KEPT is final."""

    def __init__(self, message: Optional[Message] = None, result: Optional[Result] = None) -> None:
        self.message = message
        self.pending = Result(message, UNTRIED)  # The state of the action until there is a result
        self.failures: List[str] = []  # The outcomes of the attempts before the last one, for the debug log
        self.is_committed = False  # Whether the journal has the action
        self.unregister: Callable[[], None] = lambda: None  # For a caller that stops waiting
        self.waits_for_retries = True  # Whether the caller waits for later results too
        self._result = result
        self._changed = threading.Condition()
        self._callbacks: List[Callable[[Result], None]] = []

    def add_callback(self, call: Callable[[Result], None]) -> None:
        """Call `call` with the first result: at once where there is one, else in the deliverer's thread."""
        with self._changed:
            self.waits_for_retries = False
            if self._result is None:
                self._callbacks.append(call)
                return
        call(self._result)

    def resolve(self, result: Result) -> None:
        """Set the result, wake `wait`, and run the callbacks."""
        with self._changed:
            self._result = result
            if result.again_at is not None:
                pause = result.again_at - time.monotonic()
                self.failures.append(f"{result.outcome.detail}; again in {pause:.2f} s")
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for call in callbacks:
            call(result)

    def wait(self, seconds: float, retry_wait_seconds: float = 0.0) -> Result:
        """Return a result within `seconds`, else `pending`; for `retry_wait_seconds` wait for retries too."""
        now = time.monotonic()
        end, retries_end = now + seconds, now + min(seconds, retry_wait_seconds)
        with self._changed:
            while True:
                result = self._result
                left = (end if result is None else retries_end) - time.monotonic()
                if left <= 0 or (result is not None and not result.is_retried_before(retries_end)):
                    return result or self.pending
                self._changed.wait(left)


class WaitingTickets:
    """The tickets of one target's actions that have not ended, by the action's key. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._by_key: Dict[str, List[Tuple[str, Ticket]]] = {}

    def add(self, new: New, ticket: Ticket) -> None:
        """Add the ticket of an action. Call it before the append: the action may end before that returns."""
        ticket.unregister = lambda: self._remove(new.key, ticket)
        with self._mutex:
            self._by_key.setdefault(new.key, []).append((new.alert, ticket))

    def resolve(self, action: Action, result: Result) -> None:
        """Resolve all tickets of an action. Those that wait for retries stay, unless the result is final."""
        with self._mutex:
            found = self._by_key.pop(action.key, [])
            remaining = [one for one in found if one[1].waits_for_retries and result.outcome.kind is Kind.KEPT]
            if remaining:
                self._by_key[action.key] = remaining
        for _, ticket in found:
            ticket.resolve(result._replace(message=result.message or ticket.message))

    def mark_in_flight(self, action: Action) -> None:
        """Mark the tickets of an action that is tried now."""
        with self._mutex:
            for _, ticket in self._by_key.get(action.key, []):
                ticket.pending = Result(ticket.message, UNANSWERED)

    def resolve_untried(self, outcome: Outcome, alert: Optional[str] = None) -> None:
        """Resolve the tickets of untried actions, of one alert or of all, with the reason why they wait."""
        with self._mutex:
            tickets = [one for found in self._by_key.values() for of, one in found if alert in (None, of)]
        for ticket in tickets:
            # An uncommitted action must not be reported as kept.
            if ticket.is_committed and ticket.pending.outcome is UNTRIED:
                ticket.resolve(Result(ticket.message, outcome))

    def _remove(self, key: str, ticket: Ticket) -> None:
        with self._mutex:
            remaining = [one for one in self._by_key.pop(key, []) if one[1] is not ticket]
            if remaining:
                self._by_key[key] = remaining
