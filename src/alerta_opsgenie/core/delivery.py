"""How one action is delivered: what its row in the journal holds, how one attempt goes, and what its end means.

    append --> waiting --> in flight --> done       APPLIED, ALREADY, IGNORED
                  ^            |-------> dead       REJECTED, or waited 7 days
                  '- postpone -'                    KEPT

An attempt whose end is not known (a timeout, a killed process) may have had its effect. So each attempt after the
first looks into the alert's history before it changes anything (`relay`). Two more things can go wrong:

1. Alerta hangs, takes the note, and writes it late. So one call goes first, and then a pause.
2. Somebody acknowledges, unacknowledges and acknowledges: one line is taken for the other. So the lines that other
   actions with the same words have left are counted.
"""

import binascii
import json
from typing import Any, Dict, Generator, Mapping, NamedTuple, Optional, Union

from . import message as fields
from .backoff import delay_seconds
from .duplicates import IDEMPOTENT_ACTIONS
from .history import CLOCK_DOUBT_SECONDS
from .message import Message
from .order import believable_ns, superseded, writes
from .outcome import Answer, Kind, Outcome, Reason
from .relay import relay
from .task import AttemptContext, Call, Settings

CALL_SECONDS = 10.0
"""The longest that one attempt may take."""

LONGEST_PAUSE_SECONDS = 15.0
"""The longest wait between two attempts: Alerta may have been back for so long."""

LANDING_SECONDS = 3.0
"""How long Alerta, once it answers again, is given for what it was sent while it hung, or while it started.

With 1 s a note stood there twice in 1 of some 20 restarts on a loaded machine: Alerta's first requests take seconds.
"""

EXPIRE_AFTER_SECONDS = 7 * 86400.0
"""What could not be delivered for so long becomes a dead letter."""

FORGET_AFTER_SECONDS = 8 * 86400.0
"""How long keys and order are remembered: longer than any copy of an action can wait."""


class NoAnswer(NamedTuple):
    """No answer came to a call. `timed_out` tells a silence from a failure."""

    detail: str
    timed_out: bool


class Pause(NamedTuple):
    """Wait so long before the next step."""

    seconds: float


class Entry(NamedTuple):
    """What the journal holds of an action. `writes` is JSON: per field of the alert, its `updatedAt` (ns)."""

    key: str
    alert: str
    order_ns: int
    kind: str
    body: str
    writes: str
    words: str


class PriorAttempts(NamedTuple):
    """What is known from before an attempt.

    `newest_ns` is the newest `updatedAt` that each field of the alert was written with. `first_attempt_at` (seconds
    since the epoch) is when the first attempt of this action began; None: this is the first. `equal_lines` counts the
    other actions since then that left the same line in the history. `last_reason` is why it waited.
    """

    newest_ns: Mapping[str, int] = {}
    first_attempt_at: Optional[float] = None
    equal_lines: int = 0
    last_reason: str = ""


Attempt = Generator[Union[Call, Pause], Union[Answer, NoAnswer, None], Outcome]


def journal_entry(message: Message, now_seconds: float) -> Entry:
    """Make the entry of a message that has passed the gates of the relay."""
    return Entry(
        key=message.key,
        alert=str(fields.alias(message)).lower(),
        order_ns=believable_ns(message.updated_ns, now_seconds) or int(now_seconds * 1e9),
        kind=message.action,
        body=fields.journal_body(message),
        writes=json.dumps(writes(message, Kind.APPLIED, now_seconds)),
        words=_words(message),
    )


def _words(message: Message) -> str:
    """Stand for the line that an action leaves in the history: two with the same words leave the same line."""
    alert = message.alert or {}
    said = [message.action, fields.actor(message), str(alert.get("note")), str(alert.get("owner"))]
    return f"{binascii.crc32(repr(said).encode('utf-8', 'backslashreplace')):08x}"


def equal_lines_since(first_attempt_at: float) -> float:
    """Give the instant from which lines with the same words count.

    The relay looks back further than the attempt, because clocks differ, and a Date header has no fractions.
    """
    return first_attempt_at - CLOCK_DOUBT_SECONDS - 1.0


def outcome_without_alerta(message: Message, settings: Settings, now_seconds: float) -> Optional[Outcome]:
    """Give the outcome of an action that is about nothing in Alerta, or that cannot be done; None: Alerta is needed."""
    try:
        next(attempt(message, settings, PriorAttempts(), now_seconds))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    return None


def attempt(message: Message, settings: Settings, earlier: PriorAttempts, now_seconds: float) -> Attempt:
    """Try an action once. Yields calls and pauses, is sent answers, returns how it ended."""
    if _may_land_late(message, earlier):
        look = yield Call("GET", f"/alert/{fields.alias(message)}", None, "")
        if isinstance(look, NoAnswer):
            return _outcome_of_silence(look)
        yield Pause(LANDING_SECONDS)
    late = superseded(message, earlier.newest_ns, now_seconds)
    context = AttemptContext(now_seconds, earlier.first_attempt_at, late, earlier.equal_lines)
    return (yield from _follow(relay(message, settings, context)))


def _follow(steps: Any) -> Attempt:
    """Pass the relay's calls on until it ends, or until no answer comes."""
    answer: Any = None
    try:
        while not isinstance(answer, NoAnswer):
            answer = yield steps.send(answer)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    return _outcome_of_silence(answer)


def _may_land_late(message: Message, earlier: PriorAttempts) -> bool:
    """Whether an earlier attempt may still take effect, in a way that people would see twice."""
    unknown_end = earlier.first_attempt_at is not None and earlier.last_reason in ("", Reason.TIMEOUT.value)
    return unknown_end and message.action not in IDEMPOTENT_ACTIONS


def _outcome_of_silence(silence: NoAnswer) -> Outcome:
    return Outcome(Kind.KEPT, Reason.TIMEOUT if silence.timed_out else Reason.NETWORK, silence.detail)


# -- What an outcome means for the row


def wrote(message: Optional[Message], outcome: Outcome, now_seconds: float) -> Dict[str, int]:
    """Give what an action that ended so has written: each field of the alert with its `updatedAt` (ns)."""
    return writes(message, outcome.kind, now_seconds) if message is not None else {}


def left_history_line(outcome: Outcome) -> bool:
    """Whether the action has left its line in the alert's history."""
    return outcome.kind is Kind.APPLIED or outcome.reason is Reason.REDELIVERED


def pause_seconds(outcome: Outcome, attempts: int, fraction: float) -> float:
    """Give the wait before the next attempt, after so many that failed. `fraction` is a random number in [0, 1)."""
    return delay_seconds(
        attempts, fraction, longest_seconds=LONGEST_PAUSE_SECONDS, retry_after_seconds=outcome.retry_after_seconds
    )


def row_delay_seconds(outcome: Outcome, attempts: int, fraction: float) -> float:
    """Give how long the row waits: longer pauses are the target's, and a row that lies further ahead is due at once."""
    pause = pause_seconds(outcome, attempts, fraction)
    return min(pause, LONGEST_PAUSE_SECONDS) if outcome.kind is Kind.KEPT else 0.0


# -- Whether Alerta can be reached

_UNREACHED = frozenset(
    {Reason.NETWORK, Reason.TIMEOUT, Reason.UNAVAILABLE, Reason.THROTTLED, Reason.UNAUTHORIZED, Reason.NOT_ALERTA}
)
_FAILURES_UNTIL_DOWN = 3


class Reachability(NamedTuple):
    """Whether one Alerta answers. While it does not, one attempt at a time is made, with a pause between two.

    An alert on which Alerta always fails does not count as long as other alerts succeed in between. `again_at` is by
    the caller's monotonic clock; `is_asked`: Alerta has asked for that pause (`Retry-After`).
    """

    failures: int = 0
    again_at: float = 0.0
    is_asked: bool = False

    @property
    def is_down(self) -> bool:
        """Whether the last attempts all failed for a reason that is not the action's own."""
        return self.failures >= _FAILURES_UNTIL_DOWN

    def after(self, outcome: Outcome, now: float, fraction: float) -> "Reachability":
        """Give the state after an attempt that ended so."""
        if outcome.reason not in _UNREACHED:
            return UP
        failures = self.failures + 1
        is_asked = bool(outcome.retry_after_seconds)
        beyond = failures - _FAILURES_UNTIL_DOWN + 1
        pause = pause_seconds(outcome, beyond, fraction) if is_asked or beyond > 0 else 0.0
        return Reachability(failures, now + pause, is_asked)

    def may_start(self, in_flight: int, now: float) -> bool:
        """Whether another attempt may begin beside those in flight."""
        return now >= self.again_at and not (self.is_down and in_flight)

    def rests(self, now: float) -> bool:
        """Whether nothing that waits is to be expected soon."""
        return self.is_down or (self.is_asked and now < self.again_at)


UP = Reachability()
