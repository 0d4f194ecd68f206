"""Delivery of one action: its row in the journal, one attempt, and the effect of the outcome on the row.

    append --> waiting --> in flight --> done       APPLIED, ALREADY, IGNORED
                  ^            |-------> dead       REJECTED, or waited 7 days
                  '- postpone -'                    KEPT

An attempt whose end is unknown (a timeout, a killed process) may have had its effect. So each attempt after the first
reads the alert's history before it changes anything (`relay`). Two more cases need care:

1. Alerta hangs, accepts a note, and writes it late. So the next attempt first makes one call, and then pauses.
2. A person acknowledges, unacknowledges and acknowledges again: the history has two equal entries. So the equal entries
   of other actions are counted.
"""

import binascii
import json
from typing import Any, Generator, Mapping, NamedTuple, Optional, Union

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
"""The time limit of one attempt."""

LONGEST_PAUSE_SECONDS = 15.0
"""The longest pause between two attempts. After an outage, Alerta is tried at most this long after it is back."""

LANDING_SECONDS = 3.0
"""The pause after Alerta answers again, in which it processes requests from while it hung or started.

With 1 s a note was stored twice in 1 of about 20 restarts on a loaded machine: Alerta's first requests take seconds.
"""

EXPIRE_AFTER_SECONDS = 7 * 86400.0
"""An action that has waited so long becomes a dead letter."""

FORGET_AFTER_SECONDS = 8 * 86400.0
"""How long keys and registers are stored: longer than any copy of an action can wait."""


class NoAnswer(NamedTuple):
    """A call got no answer. `timed_out`: because of a timeout, and not of a network error."""

    detail: str
    timed_out: bool


class Pause(NamedTuple):
    """Pause before the next step."""

    seconds: float


class Entry(NamedTuple):
    """The columns of an action in the journal. `writes` is JSON: register to `updatedAt` (ns)."""

    key: str
    alert: str
    order_ns: int
    kind: str
    body: str
    writes: str
    words: str


class PriorAttempts(NamedTuple):
    """What is known before an attempt.

    `newest_ns` is the newest `updatedAt` of each register of the alert. `first_attempt_at` (seconds
    since the epoch) is the start of the first attempt of this action; None: this is the first. `equal_lines` counts the
    other actions since then that wrote an equal history entry. `last_reason` is the reason of the last attempt.
    """

    newest_ns: Mapping[str, int] = {}
    first_attempt_at: Optional[float] = None
    equal_lines: int = 0
    last_reason: str = ""


Attempt = Generator[Union[Call, Pause], Union[Answer, NoAnswer, None], Outcome]


def journal_entry(message: Message, now_seconds: float) -> Entry:
    """Return the journal entry of a message that has passed the gates of the relay."""
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
    """Return a checksum of the texts in the history entry of an action, by which equal entries are found."""
    alert = message.alert or {}
    texts = [message.action, fields.actor(message), str(alert.get("note")), str(alert.get("owner"))]
    return f"{binascii.crc32(repr(texts).encode('utf-8', 'backslashreplace')):08x}"


def equal_lines_since(first_attempt_at: float) -> float:
    """Return the time from which equal history entries count.

    The relay reads further back than the attempt, because clocks differ, and a Date header has whole seconds.
    """
    return first_attempt_at - CLOCK_DOUBT_SECONDS - 1.0


def outcome_without_alerta(message: Message, settings: Settings, now_seconds: float) -> Optional[Outcome]:
    """Return the outcome of an action that needs no call to Alerta; None if it needs one."""
    try:
        next(attempt(message, settings, PriorAttempts(), now_seconds))
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    return None


def attempt(message: Message, settings: Settings, earlier: PriorAttempts, now_seconds: float) -> Attempt:
    """Try an action once. Yields calls and pauses, is sent answers, returns the outcome."""
    if _may_land_late(message, earlier):
        look = yield Call("GET", f"/alert/{fields.alias(message)}", None, "")
        if isinstance(look, NoAnswer):
            return _outcome_of_silence(look)
        yield Pause(LANDING_SECONDS)
    late = superseded(message, earlier.newest_ns, now_seconds)
    context = AttemptContext(now_seconds, earlier.first_attempt_at, late, earlier.equal_lines)
    return (yield from _follow(relay(message, settings, context)))


def _follow(steps: Any) -> Attempt:
    """Run the relay until it ends, or until a call gets no answer."""
    answer: Any = None
    try:
        while not isinstance(answer, NoAnswer):
            answer = yield steps.send(answer)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    return _outcome_of_silence(answer)


def _may_land_late(message: Message, earlier: PriorAttempts) -> bool:
    """Whether an earlier attempt may still take effect and add a second history entry."""
    unknown_end = earlier.first_attempt_at is not None and earlier.last_reason in ("", Reason.TIMEOUT.value)
    return unknown_end and message.action not in IDEMPOTENT_ACTIONS


def _outcome_of_silence(silence: NoAnswer) -> Outcome:
    return Outcome(Kind.KEPT, Reason.TIMEOUT if silence.timed_out else Reason.NETWORK, silence.detail)


# -- The effect of an outcome on the row


def left_history_line(outcome: Outcome) -> bool:
    """Whether the action has written its history entry."""
    return outcome.kind is Kind.APPLIED or outcome.reason is Reason.REDELIVERED


def pause_seconds(outcome: Outcome, attempts: int, fraction: float) -> float:
    """Return the pause before the next attempt, after that many attempts. `fraction` is random, in [0, 1)."""
    return delay_seconds(
        attempts, fraction, longest_seconds=LONGEST_PAUSE_SECONDS, retry_after_seconds=outcome.retry_after_seconds
    )


def row_delay_seconds(outcome: Outcome, attempts: int, fraction: float) -> float:
    """Return the pause of the row: at most `LONGEST_PAUSE_SECONDS`, because a later due time counts as a clock error.

    The target keeps the longer pauses.
    """
    pause = pause_seconds(outcome, attempts, fraction)
    return min(pause, LONGEST_PAUSE_SECONDS) if outcome.kind is Kind.KEPT else 0.0


# -- Whether Alerta can be reached

_UNREACHED = frozenset(
    {Reason.NETWORK, Reason.TIMEOUT, Reason.UNAVAILABLE, Reason.THROTTLED, Reason.UNAUTHORIZED, Reason.NOT_ALERTA}
)
_FAILURES_UNTIL_DOWN = 3


class Reachability(NamedTuple):
    """Whether one Alerta can be reached. While it cannot, only one attempt at a time is made, with pauses between.

    An alert on which Alerta always fails has no effect while actions on other alerts succeed. `again_at` is by the
    caller's monotonic clock. `is_asked`: Alerta has requested the pause (`Retry-After`).
    """

    failures: int = 0
    again_at: float = 0.0
    is_asked: bool = False

    @property
    def is_down(self) -> bool:
        """Whether the last attempts all failed because Alerta could not be reached."""
        return self.failures >= _FAILURES_UNTIL_DOWN

    def after(self, outcome: Outcome, now: float, fraction: float) -> "Reachability":
        """Return the state after an attempt with that outcome."""
        if outcome.reason not in _UNREACHED:
            return UP
        failures = self.failures + 1
        is_asked = bool(outcome.retry_after_seconds)
        beyond = failures - _FAILURES_UNTIL_DOWN + 1
        pause = pause_seconds(outcome, beyond, fraction) if is_asked or beyond > 0 else 0.0
        return Reachability(failures, now + pause, is_asked)

    def may_start(self, in_flight: int, now: float) -> bool:
        """Whether another attempt may start."""
        return now >= self.again_at and not (self.is_down and in_flight)

    def rests(self, now: float) -> bool:
        """Whether waiting actions will not be tried soon."""
        return self.is_down or (self.is_asked and now < self.again_at)


UP = Reachability()
