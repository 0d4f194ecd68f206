"""What whoever hands an action to the deliverer gets back: the outcome, once there is one."""

import threading
import time
from typing import Callable, List, NamedTuple, Optional, Tuple

from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason


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
        self.row: Tuple[str, str, int] = ("", "", 0)
        """Target, alert, and id of the row that it is about; 0 until that is committed."""
        self.key = ""
        """The key of that row."""
        self.wants_more = True
        """Whether a result that is not final is to be followed by the next one."""
        self._result = result
        self._changed = threading.Condition()
        self._callbacks: List[Callable[[Result], None]] = []

    @property
    def is_committed(self) -> bool:
        """Whether the journal has the action, whatever comes."""
        return bool(self.row[2])

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
