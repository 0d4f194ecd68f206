"""What whoever hands an action to the deliverer gets back: the outcome, once there is one."""

import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional

from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Action, New


class Result(NamedTuple):
    """How an action stands.

    `kept` says that the journal has it, so that nothing is lost where the outcome is KEPT. `again_at` (of
    `time.monotonic`) is when it is tried next; None: not before a person has done something, or not known.
    `trouble` is what else went wrong, with the advice.
    """

    message: Optional[Message]
    outcome: Outcome
    kept: bool = True
    again_at: Optional[float] = None
    trouble: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether the action is done, refused and recorded, or in the journal: its other copies may go."""
        return self.outcome.kind is not Kind.KEPT or self.kept


BEHIND = Outcome(Kind.KEPT, Reason.BEHIND, "earlier actions on this alert wait")
_UNANSWERED = Outcome(Kind.KEPT, Reason.TIMEOUT, "Alerta has not answered yet")
_UNTRIED = Outcome(Kind.KEPT, Reason.BEHIND, "other actions are under way")


class Ticket:
    """Waits for the results of one action. Each attempt may bring one, until one is final."""

    def __init__(self, message: Optional[Message] = None, result: Optional[Result] = None) -> None:
        self.message = message
        self.is_tried = False
        """Whether an attempt has begun."""
        self.is_kept = True
        """Whether the journal has the action."""
        self.trouble = ""
        self.failures: List[str] = []
        """What the attempts before the last one came to, for whoever looks for a fault."""
        self.is_committed = False
        """Whether the journal has the action, whatever comes."""
        self.leave: Callable[[], None] = lambda: None
        """Call it when nobody waits for a result any more."""
        self.wants_more = True
        """Whether a result that is not final is to be followed by the next one."""
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
        """Wait for a result, at most so long; one that will soon be tried again is waited for within the patience.

        Gives a KEPT result that says that the action is under way where there is none in time.
        """
        now = time.monotonic()
        end, patience_ends = now + seconds, now + min(seconds, patience_seconds)
        with self._changed:
            while True:
                result = self._result
                if result is not None and not _is_worth_waiting(result, patience_ends):
                    return result
                left = (end if result is None else patience_ends) - time.monotonic()
                if left <= 0:
                    outcome = _UNANSWERED if self.is_tried else _UNTRIED
                    return result or Result(self.message, outcome, self.is_kept, trouble=self.trouble)
                self._changed.wait(left)


def _is_worth_waiting(result: Result, patience_ends: float) -> bool:
    is_kept = result.outcome.kind is Kind.KEPT
    return is_kept and not result.outcome.loud and result.again_at is not None and result.again_at < patience_ends


class Waiting:
    """The tickets of one target's actions that have not ended, by alert and key. Any thread may call it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._tickets: Dict[str, Dict[str, List[Ticket]]] = {}

    def add(self, new: New, ticket: Ticket) -> None:
        """Let a ticket have the results of an action that is about to be appended: it may end before that returns."""
        with self._mutex:
            self._tickets.setdefault(new.alert, {}).setdefault(new.key, []).append(ticket)

    def resolve(self, action: Action, result: Result) -> None:
        """Give a result to all who wait for an action; those who want more stay, unless it is final."""
        with self._mutex:
            tickets = list(self._tickets.get(action.alert, {}).get(action.key, []))
            for ticket in tickets:
                if not ticket.wants_more or result.outcome.kind is not Kind.KEPT:
                    self._remove(action.alert, action.key, ticket)
        for ticket in tickets:
            ticket.resolve(result._replace(message=result.message or ticket.message))

    def resolve_behind(self, action: Action) -> None:
        """Tell those who wait for other actions of the alert that this one holds them up."""
        with self._mutex:
            rows = self._tickets.get(action.alert, {})
            tickets = [ticket for key, found in rows.items() if key != action.key for ticket in found]
        for ticket in tickets:
            if ticket.is_committed:  # else nobody may be told yet that it is kept
                ticket.resolve(Result(ticket.message, BEHIND))

    def forget(self, new: New, ticket: Ticket) -> None:
        """Let go of a ticket: nobody waits for it any more."""
        with self._mutex:
            self._remove(new.alert, new.key, ticket)

    def _remove(self, alert: str, key: str, ticket: Ticket) -> None:
        rows = self._tickets.get(alert, {})
        if ticket in rows.get(key, []):
            rows[key].remove(ticket)
        if key in rows and not rows[key]:
            del rows[key]
        if not rows:
            self._tickets.pop(alert, None)
