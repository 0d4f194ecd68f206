"""From a message to its end: delivered to Alerta at once, or kept for later; nothing in between.

The steps, each of which may be the last that the process lives to do (the Go connectors have deleted the message):

1. The action is written down (`lanes.Taken`). From here on whoever comes next finds it.
2. Its lane is locked, so that two processes never act on one alert at once. Where the lane remembers the action, or
   something newer, it ends there; where something waits for that alert in the spool, the action goes behind it.
3. It is tried, and what may pass is tried again for a few seconds.
4. The lane remembers it, or the spool keeps it (fsync'ed). Only then the file of step 1 goes.

Where the directory cannot be used, the action is delivered all the same, without order and memory, and only what
could not be delivered is lost, loudly.
"""

import contextlib
import time
from typing import TYPE_CHECKING, Callable, Iterator, NamedTuple, Optional

from alerta_opsgenie.clients.alerta import AlertaClient, drive
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.order import superseded
from alerta_opsgenie.core.outcome import Kind, Outcome
from alerta_opsgenie.core.relay import Circumstances, Settings, gate, relay
from alerta_opsgenie.keeping import (
    BEHIND,
    BUSY,
    CALL_SECONDS,
    DONE_BEFORE,
    LANDING_SECONDS,
    adopt_one,
    attempted_before,
    count_twins,
    job_of,
    keep,
    landing_look,
    note_begin,
    note_end,
)
from alerta_opsgenie.lanes import Desk, Job, Lane, Taken, mend_of

if TYPE_CHECKING:
    from alerta_opsgenie.journal import Spool

PATIENCE_SECONDS = 5.0
"""How long what may pass is tried again at once; then it is better kept than a worker of the connector held up."""

LEAST_ATTEMPT_SECONDS = 0.2
"""An attempt with less time than this is not begun: it would only end as a timeout and hide the reason before it."""

KEEPING_SECONDS = 2.0
"""What is left of the time limit for keeping an action that could not be delivered (a fifth of a limit below 10 s).

On a busy host a dozen executors wait for one another to write and to sync.
"""


class NoSpoolError(Exception):
    """The spool cannot be used; the text says why and what to do."""


class Delivery(NamedTuple):
    """How it ended, and what it cost.

    `kept` tells that a KEPT action is on disk: in the spool, where `waiting` actions wait now, or where that failed in
    the file `left_in`. `trouble` is what went wrong beside the delivery, with the mend.
    """

    outcome: Outcome
    calls: int = 0
    kept: bool = False
    trouble: str = ""
    waiting: int = 0
    left_in: str = ""


class Courier:
    """Delivers messages to one Alerta; used by the executor, the drainer and the command line.

    `say` takes debug lines. `directory` is the spool's.
    """

    def __init__(
        self, client: AlertaClient, settings: Settings, directory: str, say: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._client = client
        self._settings = settings
        self.desk = Desk(directory)
        self._say = say
        self._trouble = ""
        self._limit = 0.0

    def deliver(self, message: Message, deadline: float) -> Delivery:
        """Deliver a message or keep it, by `deadline` (of `time.monotonic`)."""
        shut = gate(message, self._settings)
        if shut:
            return Delivery(shut)
        self._limit = deadline
        deadline -= min(KEEPING_SECONDS, (deadline - time.monotonic()) / 5)
        job = job_of(message, time.time())
        taken = None
        try:
            self.desk.prepare()
            taken = self.desk.take(job)
            delivery = self._deliver_in_lane(message, job, deadline)
        except OSError as error:
            delivery = self._deliver_without_lane(message, job, deadline, error)
        return delivery if taken is None else self._let_go(taken, delivery)

    def close(self) -> None:
        """Close the connection to Alerta."""
        self._client.close()

    def attempt(self, message: Message, lane: Lane, attempted_at: Optional[float], deadline: float) -> Outcome:
        """Try a message once in its lane, which must be locked and remembers what came of it."""
        if lane.remembers(message.key):
            return DONE_BEFORE
        attempted_at = attempted_before(lane, message, attempted_at)
        late, twins = superseded(message, lane.newest_ns, time.time()), count_twins(lane, message, attempted_at)
        self._note(lambda: note_begin(lane, message))
        outcome = self._try(message, Circumstances(time.time(), attempted_at, late, twins), deadline)
        self._note(lambda: note_end(lane, message, outcome))
        return outcome

    def let_land(self, message: Message) -> None:
        """Give Alerta time for what an earlier attempt sent it while it hung."""
        look = landing_look(message)
        if look is None:
            return
        try:
            self._client.send(look, time.monotonic() + CALL_SECONDS)
        except UnreachableError:
            return
        time.sleep(LANDING_SECONDS)

    def _note(self, write: Callable[[], object]) -> None:
        """Write into the lane; where that fails an action is done all the same, and must not be done again for it."""
        try:
            write()
        except OSError as error:
            self._trouble = f"{self.desk.directory} ({error.strerror}): {mend_of(error)}"

    def _try(self, message: Message, circumstances: Circumstances, deadline: float) -> Outcome:
        end = min(deadline, time.monotonic() + CALL_SECONDS)
        return drive(relay(message, self._settings, circumstances), lambda call: self._client.send(call, end))

    def _deliver_in_lane(self, message: Message, job: Job, deadline: float) -> Delivery:
        lane = self.desk.lane(job.lane)
        lane.read()
        if lane.remembers(job.key):
            return Delivery(DONE_BEFORE)
        if lane.waits:
            return self._keep(job, lane, BEHIND, None)
        with lane.locked(deadline) as held:
            if not held:
                return self._keep(job, lane, BUSY, None)
            if not lane.remembers(job.key) and (lane.waits or self._adopt(job.lane)):
                return self._keep(job, lane, BEHIND, None)
            outcome = self._persist(lambda at: self.attempt(message, lane, at, deadline), deadline)
            if outcome.kind is Kind.KEPT:
                return self._keep(job, lane, outcome, job.taken_at)
            return Delivery(outcome, self._client.calls, trouble=self._trouble)

    def _adopt(self, lane: str) -> bool:
        """Let what a killed process had under way for this alert go first, by the spool; False where nothing was."""
        if not self.desk.has_orphans(lane):
            return False
        try:
            with self._spool() as spool:
                for orphan in self.desk.orphans(lane):
                    adopt_one(self.desk, spool, orphan)
        except NoSpoolError as error:
            self._trouble = str(error)
            return False
        return True

    def _deliver_without_lane(self, message: Message, job: Job, deadline: float, error: OSError) -> Delivery:
        """Deliver where the directory cannot be used: without order and memory, but better than not at all."""

        def attempt(attempted_at: Optional[float]) -> Outcome:
            return self._try(message, Circumstances(time.time(), attempted_at), deadline)

        outcome = self._persist(attempt, deadline)
        trouble = f"{self.desk.directory} cannot be used ({error.strerror or error}): {mend_of(error)}"
        if outcome.kind is Kind.KEPT:
            delivery = self._keep(job, None, outcome, job.taken_at)
            return delivery._replace(trouble=delivery.trouble or trouble)
        return Delivery(outcome, self._client.calls, trouble=trouble)

    def _persist(self, attempt: Callable[[Optional[float]], Outcome], deadline: float) -> Outcome:
        """Try, and try again what may pass, for as long as that is worth a worker of the connector."""
        patience_ends = min(time.monotonic() + PATIENCE_SECONDS, deadline)
        began_at = time.time()
        outcome = attempt(None)
        tries = 1
        while outcome.kind is Kind.KEPT and not outcome.loud:
            pause = _pause_seconds(tries, outcome)
            again_at = time.monotonic() + pause
            if again_at >= patience_ends or again_at + LEAST_ATTEMPT_SECONDS > deadline:
                break
            self._say(f"{outcome.detail}; again in {pause:.2f} s")
            time.sleep(pause)
            tries += 1
            outcome = attempt(began_at)
        return outcome

    def _keep(self, job: Job, lane: Optional[Lane], outcome: Outcome, attempted_at: Optional[float]) -> Delivery:
        try:
            with self._spool() as spool:
                keep(spool, job, outcome, attempted_at)
                trouble, waiting = set_aside(spool), spool.counts(time.time()).waiting
        except NoSpoolError as error:
            return Delivery(outcome, self._client.calls, trouble=str(error))
        try:
            self.desk.mark_waiting(waits=True)
            if lane is not None:
                lane.mark_waiting(waits=True)
        except OSError as error:
            trouble = trouble or f"{self.desk.directory} ({error.strerror}): {mend_of(error)}"
        return Delivery(outcome, self._client.calls, kept=True, trouble=trouble, waiting=waiting)

    @contextlib.contextmanager
    def _spool(self) -> "Iterator[Spool]":
        """Open the spool, which may be held by others for what is left of the time limit. Raises `NoSpoolError`."""
        # Opening and writing each wait for others so long.
        busy_seconds = max(0.1, (self._limit - time.monotonic()) / 2)
        try:
            from alerta_opsgenie.journal import Spool, SpoolUnavailable  # noqa: PLC0415 - only what stays behind needs SQLite
        except ImportError:
            raise NoSpoolError("this Python has no sqlite3: install that module, or take another Python") from None
        try:
            with Spool(self.desk.directory, busy_seconds=busy_seconds) as spool:
                yield spool
        except SpoolUnavailable as error:
            raise NoSpoolError(f"{error.reason}: {error.mend}") from None

    def _let_go(self, taken: Taken, delivery: Delivery) -> Delivery:
        """Remove what was written down, unless that is all there is now of an action that could not be kept."""
        if delivery.outcome.kind is Kind.KEPT and not delivery.kept:
            taken.leave()
            return delivery._replace(kept=True, left_in=taken.path)
        try:
            taken.done()
        except OSError as error:
            return delivery._replace(trouble=delivery.trouble or f"{self.desk.directory}: {error.strerror}")
        return delivery


def set_aside(spool: "Spool") -> str:
    """Say that a damaged spool was set aside, if one was."""
    if not spool.set_aside:
        return ""
    return f"the spool was damaged and is now {spool.set_aside}; {spool.salvaged} entries were carried over: look at it"


def _pause_seconds(tries: int, outcome: Outcome) -> float:
    import random  # noqa: PLC0415 - brings hashlib along, which the usual action has no use for

    return delay_seconds(tries, random.random(), retry_after_seconds=outcome.retry_after_seconds)  # noqa: S311
