"""What whoever hands an action to the deliverer gets back: the outcome, once there is one."""

import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, New


class Result(NamedTuple):
    """How an action stands. `kept`: the journal has it. `again_at`: when (of `time.monotonic`) it is tried next.

    `problem` is what else went wrong, with the advice.
    """

    message: Optional[Message]
    outcome: Outcome
    kept: bool = True
    again_at: Optional[float] = None
    problem: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether the action is done, refused and recorded, or in the journal: its other copies may go."""
        return self.outcome.kind is not Kind.KEPT or self.kept

    def is_worth_waiting(self, patience_ends: float) -> bool:
        """Whether the next attempt comes before then, and nobody has to do something for it."""
        is_due = self.again_at is not None and self.again_at < patience_ends
        return self.outcome.kind is Kind.KEPT and not self.outcome.needs_person and is_due


BEHIND = Outcome(Kind.KEPT, Reason.BEHIND, "earlier actions on this alert wait")
UNANSWERED = Outcome(Kind.KEPT, Reason.TIMEOUT, "Alerta has not answered yet")
UNTRIED = Outcome(Kind.KEPT, Reason.BEHIND, "other actions are under way")


class Ticket:
    """Waits for the results of one action. Each attempt may bring one, until one is final."""

    def __init__(self, message: Optional[Message] = None, result: Optional[Result] = None) -> None:
        self.message = message
        self.pending = Result(message, UNTRIED)  # How the action stands while there is no result
        self.failures: List[str] = []  # What the attempts before the last one came to, for whoever looks for a fault
        self.is_committed = False  # Whether the journal has the action, whatever comes
        self.leave: Callable[[], None] = lambda: None  # Call it when nobody waits for a result any more
        self.wants_more = True  # Whether a result that is not final is to be followed by the next one
        self._result = result
        self._changed = threading.Condition()
        self._callbacks: List[Callable[[Result], None]] = []

    def add_callback(self, call: Callable[[Result], None]) -> None:
        """Have the first result told: at once where there is one, else from the deliverer's thread."""
        with self._changed:
            self.wants_more = False
            if self._result is None:
                self._callbacks.append(call)
                return
        call(self._result)

    def resolve(self, result: Result) -> None:
        """Take a result in."""
        with self._changed:
            self._result = result
            if result.again_at is not None:
                pause = result.again_at - time.monotonic()
                self.failures.append(f"{result.outcome.detail}; again in {pause:.2f} s")
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for call in callbacks:
            call(result)

    def wait(self, seconds: float, patience_seconds: float = 0.0) -> Result:
        """Wait for a result so long; within the patience also for the next attempt. Else gives `pending`."""
        now = time.monotonic()
        end, patience_ends = now + seconds, now + min(seconds, patience_seconds)
        with self._changed:
            while True:
                result = self._result
                left = (end if result is None else patience_ends) - time.monotonic()
                if left <= 0 or (result is not None and not result.is_worth_waiting(patience_ends)):
                    return result or self.pending
                self._changed.wait(left)


class Waiting:
    """The tickets of one target's actions that have not ended, by the action's key. Any thread may call it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._tickets: Dict[str, List[Tuple[str, Ticket]]] = {}

    def add(self, new: New, ticket: Ticket) -> None:
        """Let a ticket have the results of an action that is about to be appended: it may end before that returns."""
        ticket.leave = lambda: self._forget(new.key, ticket)
        with self._mutex:
            self._tickets.setdefault(new.key, []).append((new.alert, ticket))

    def resolve(self, action: Action, result: Result) -> None:
        """Give a result to all who wait for an action; those who want more stay, unless it is final."""
        with self._mutex:
            found = self._tickets.pop(action.key, [])
            staying = [one for one in found if one[1].wants_more and result.outcome.kind is Kind.KEPT]
            if staying:
                self._tickets[action.key] = staying
        for _, ticket in found:
            ticket.resolve(result._replace(message=result.message or ticket.message))

    def begin(self, action: Action) -> None:
        """Let those who wait for an action know that it is tried now."""
        with self._mutex:
            for _, ticket in self._tickets.get(action.key, []):
                ticket.pending = Result(ticket.message, UNANSWERED)

    def resolve_others(self, outcome: Outcome, alert: Optional[str] = None) -> None:
        """Tell those whose action is not tried yet, of an alert or of all, what holds it up."""
        with self._mutex:
            tickets = [one for found in self._tickets.values() for of, one in found if alert in (None, of)]
        for ticket in tickets:
            if ticket.is_committed and ticket.pending.outcome is UNTRIED:  # else nobody may be told that it is kept
                ticket.resolve(Result(ticket.message, outcome))

    def _forget(self, key: str, ticket: Ticket) -> None:
        with self._mutex:
            staying = [one for one in self._tickets.pop(key, []) if one[1] is not ticket]
            if staying:
                self._tickets[key] = staying
