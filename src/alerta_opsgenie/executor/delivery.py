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

import time
from typing import TYPE_CHECKING, Callable, Dict, NamedTuple, Optional

from alerta_opsgenie.alerta import AlertaClient, drive
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.order import registers, superseded
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Circumstances, Settings, gate, relay
from alerta_opsgenie.lanes import Desk, Job, Lane, Taken, mend_of

if TYPE_CHECKING:
    from alerta_opsgenie.spool import Spool

PATIENCE_SECONDS = 5.0
"""How long what may pass is tried again at once; then it is better kept than a worker of the connector held up."""

CALL_SECONDS = 10.0
"""How long one attempt may take, so that a connection that has died in silence leaves time for a second one."""

KEEPING_SECONDS = 1.0
"""What is left of the time limit for keeping an action that could not be delivered (a tenth of a shorter limit)."""

_DONE_BEFORE = Outcome(Kind.ALREADY, Reason.REDELIVERED, "this very action is done")
_BEHIND = Outcome(Kind.KEPT, Reason.BEHIND, "earlier actions on this alert wait")
_BUSY = Outcome(Kind.KEPT, Reason.BEHIND, "an earlier action on this alert is still under way")


class Delivery(NamedTuple):
    """How it ended, and what it cost.

    `kept` tells that a KEPT action lies in the spool; one that does not is lost unless `trouble` says where it is.
    `trouble` is what went wrong beside the delivery, with the mend.
    """

    outcome: Outcome
    calls: int = 0
    kept: bool = False
    trouble: str = ""


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

    def deliver(self, message: Message, deadline: float) -> Delivery:
        """Deliver a message or keep it, by `deadline` (of `time.monotonic`)."""
        shut = gate(message, self._settings)
        if shut:
            return Delivery(shut)
        left = deadline - time.monotonic()
        deadline -= min(KEEPING_SECONDS, left / 10)
        job = _job(message)
        taken = None
        try:
            self.desk.prepare()
            taken = self.desk.take(job)
            delivery = self._deliver_in_lane(message, job, deadline)
        except OSError as error:
            delivery = self._deliver_without_lane(message, job, deadline, error)
        return delivery if taken is None else self._let_go(taken, delivery)

    def attempt(self, message: Message, lane: Lane, attempted_at: Optional[float], deadline: float) -> Outcome:
        """Try a message once in its lane, which must be locked and remembers what came of it."""
        if lane.remembers(message.key):
            return _DONE_BEFORE
        late = superseded(message, lane.newest_ns)
        outcome = self._try(message, Circumstances(time.time(), attempted_at, late), deadline)
        if outcome.kind in (Kind.APPLIED, Kind.ALREADY):
            self._record(lane, message.key, _written(message))
        elif outcome.reason is Reason.STALE:
            self._record(lane, message.key, {})
        return outcome

    def _record(self, lane: Lane, key: str, wrote: Dict[str, int]) -> None:
        """Remember what is done; where that fails it is done all the same, and must not be done again for it."""
        try:
            lane.record(key, wrote)
        except OSError as error:
            self._trouble = f"{self.desk.directory} ({error.strerror}): {mend_of(error)}"

    def _try(self, message: Message, circumstances: Circumstances, deadline: float) -> Outcome:
        end = min(deadline, time.monotonic() + CALL_SECONDS)
        return drive(relay(message, self._settings, circumstances), lambda call: self._client.send(call, end))

    def _deliver_in_lane(self, message: Message, job: Job, deadline: float) -> Delivery:
        lane = self.desk.lane(job.lane)
        lane.read()
        if lane.remembers(job.key):
            return Delivery(_DONE_BEFORE)
        if lane.waits:
            return self._keep(job, lane, _BEHIND, None)
        with lane.locked(deadline) as held:
            if not held:
                return self._keep(job, lane, _BUSY, None)
            if lane.waits and not lane.remembers(job.key):
                return self._keep(job, lane, _BEHIND, None)
            outcome = self._persist(lambda at: self.attempt(message, lane, at, deadline), deadline)
            if outcome.kind is Kind.KEPT:
                return self._keep(job, lane, outcome, job.taken_at)
            return Delivery(outcome, self._client.calls, trouble=self._trouble)

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
            if time.monotonic() + pause >= patience_ends:
                break
            self._say(f"{outcome.detail}; again in {pause:.2f} s")
            time.sleep(pause)
            tries += 1
            outcome = attempt(began_at)
        return outcome

    def _keep(self, job: Job, lane: Optional[Lane], outcome: Outcome, attempted_at: Optional[float]) -> Delivery:
        from alerta_opsgenie.spool import Spool, SpoolUnavailable  # noqa: PLC0415 - only what stays behind pays for SQLite

        try:
            with Spool(self.desk.directory) as spool:
                keep(spool, job, outcome, attempted_at)
                trouble = set_aside(spool)
        except SpoolUnavailable as error:
            return Delivery(outcome, self._client.calls, trouble=f"{error.reason}: {error.mend}")
        try:
            self.desk.mark_waiting(waits=True)
            if lane is not None:
                lane.mark_waiting(waits=True)
        except OSError as error:
            trouble = trouble or f"{self.desk.directory} ({error.strerror}): {mend_of(error)}"
        return Delivery(outcome, self._client.calls, kept=True, trouble=trouble)

    def _let_go(self, taken: Taken, delivery: Delivery) -> Delivery:
        """Remove what was written down, unless that is all there is now of an action that could not be kept."""
        if delivery.outcome.kind is Kind.KEPT and not delivery.kept:
            where = f"the action lies in {taken.path} and is picked up from there"
            return delivery._replace(trouble=f"{delivery.trouble}; {where}", kept=True)
        try:
            taken.done()
        except OSError as error:
            return delivery._replace(trouble=delivery.trouble or f"{self.desk.directory}: {error.strerror}")
        return delivery


def keep(spool: "Spool", job: Job, outcome: Outcome, attempted_at: Optional[float]) -> None:
    """Put a job into the spool, with the reason why."""
    spool.keep(
        job.key,
        job.lane,
        job.order_ns,
        job.body,
        kind=job.kind,
        now=time.time(),
        reason=outcome.reason.value,
        detail=outcome.detail,
        attempted_at=attempted_at,
    )


def set_aside(spool: "Spool") -> str:
    """Say that a damaged spool was set aside, if one was."""
    if not spool.set_aside:
        return ""
    return f"the spool was damaged and is now {spool.set_aside}; {spool.salvaged} entries were carried over: look at it"


def _job(message: Message) -> Job:
    lane = str(fields.alias(message)).lower()
    return Job(message.key, lane, message.updated_ns, message.action, fields.essence(message), time.time())


def _pause_seconds(tries: int, outcome: Outcome) -> float:
    import random  # noqa: PLC0415 - brings hashlib along, which the usual action has no use for

    return delay_seconds(tries, random.random(), retry_after_seconds=outcome.retry_after_seconds)  # noqa: S311


def _written(message: Message) -> Dict[str, int]:
    return dict.fromkeys(registers(message), message.updated_ns) if message.updated_ns else {}
