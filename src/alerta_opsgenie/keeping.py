"""What every door that keeps actions on disk does alike: the entry that is made of an action, and how it ends.

The executor, the drainer and the native connector share one directory, so they must agree on these.
"""

import binascii
import time
from typing import TYPE_CHECKING, Dict, Optional

from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.history import CLOCK_DOUBT_SECONDS
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.order import registers
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Call
from alerta_opsgenie.lanes import Desk, Job, Lane, Orphan

if TYPE_CHECKING:
    from alerta_opsgenie.journal import Entry, Spool

ROLE = "drainer"
"""The role of whoever delivers what is left in a spool: one process at a time."""

LEASE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 15.0
"""The longest wait between two attempts on one alert: after it Alerta may have been back for so long."""

EXPIRE_AFTER_SECONDS = 7 * 86400.0
"""What could not be delivered for so long becomes a dead letter."""

CALL_SECONDS = 10.0
"""How long one attempt may take, so that a connection that has died in silence leaves time for a second one."""

LANDING_SECONDS = 1.0
"""How long Alerta, once it answers again, is given for what it was sent while it hung."""

_ONCE = frozenset({
    "Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete", "AddTags", "RemoveTags",
    "UpdatePriority",
})  # fmt: skip
"""Done twice, these leave an alert as once; any other may leave a second note."""

DONE_BEFORE = Outcome(Kind.ALREADY, Reason.REDELIVERED, "this very action is done")
BEHIND = Outcome(Kind.KEPT, Reason.BEHIND, "earlier actions on this alert wait")
BUSY = Outcome(Kind.KEPT, Reason.BEHIND, "an earlier action on this alert is still under way")
_CLOCKS_APART_SECONDS = 5.0
_ADOPTED = Outcome(Kind.KEPT, Reason.TIMEOUT, "the process that had taken it was killed")


def job_of(message: Message, taken_at: float) -> Job:
    """Make the job of a message that has passed the gates; `taken_at` is in seconds since the epoch."""
    lane = str(fields.alias(message)).lower()
    return Job(message.key, lane, message.updated_ns, message.action, fields.essence(message), taken_at)


def written(message: Message) -> Dict[str, int]:
    """Give what a message that was applied has written: each register with its `updatedAt` (ns)."""
    return dict.fromkeys(registers(message), message.updated_ns) if message.updated_ns else {}


def note_begin(lane: Lane, message: Message) -> None:
    """Let the lane, which must be locked, remember that an attempt begins. Raises `OSError`.

    From here on an older change of state is stale, whatever becomes of us: were it let through after we are killed,
    it would undo what Alerta may have done, and our own second attempt would find its line there and do no more.
    """
    if not lane.has_tried(message.key):
        lane.announce(message.key, written(message))


def attempted_before(lane: Lane, message: Message, known_at: Optional[float]) -> Optional[float]:
    """Say when an earlier attempt of unknown end may have begun, in seconds since the epoch; None: there was none.

    `known_at` is what the message's own way tells. A copy of the message may have come another way, to a process that
    was killed; the lane, which must be locked, remembers that.
    """
    if known_at is None and lane.has_tried(message.key):
        return _first_attempt_seconds(message, time.time())
    return known_at


def _first_attempt_seconds(message: Message, now_seconds: float) -> float:
    """Give an instant before which no attempt of this message can have begun: when the person acted.

    The vendor's clock may be ahead of ours.
    """
    acted = message.updated_ns / 1e9 - _CLOCKS_APART_SECONDS if message.updated_ns else 0.0
    return min(acted or now_seconds - EXPIRE_AFTER_SECONDS, now_seconds)


def words_of(message: Message) -> str:
    """Stand for the line that an action leaves in the alert's history: two with the same words leave the same one."""
    alert = message.alert or {}
    said = [message.action, fields.actor(message), *(str(alert.get(name)) for name in ("note", "owner"))]
    return f"{binascii.crc32(repr(said).encode('utf-8', 'backslashreplace')):08x}"


def count_twins(lane: Lane, message: Message, attempted_at_seconds: Optional[float]) -> int:
    """Say how many other actions may have left this one's line since its first attempt; the lane must be locked."""
    if attempted_at_seconds is None:
        return 0
    # The relay looks back further than the attempt, for the clocks' sake, and a Date header has no fractions.
    return lane.count_said(words_of(message), attempted_at_seconds - CLOCK_DOUBT_SECONDS - 1.0)


def landing_look(message: Message) -> Optional[Call]:
    """Give the call to make, and `LANDING_SECONDS` to wait after its answer, before a second attempt.

    What an earlier attempt sent to an Alerta that hung waits in the server's queue and may be served after the next
    request: then the look for our line comes too early, and a note would be written twice. Once Alerta answers, the
    queue is short. None for an action that nobody could see twice.
    """
    return None if message.action in _ONCE else Call("GET", f"/alert/{fields.alias(message)}", None, "")


def note_end(lane: Lane, message: Message, outcome: Outcome) -> None:
    """Let the lane, which must be locked, remember how an attempt ended. Raises `OSError`."""
    if outcome.kind is Kind.APPLIED or outcome.reason is Reason.REDELIVERED:
        lane.record(message.key, written(message), words_of(message), time.time())
    elif outcome.kind is Kind.ALREADY:
        lane.record(message.key, written(message))
    elif outcome.reason is Reason.STALE:
        lane.record(message.key, {})
    elif outcome.kind is not Kind.KEPT:
        lane.announce(message.key, {})  # it has written nothing, and will not


def keep(spool: "Spool", job: Job, outcome: Outcome, attempted_at: Optional[float]) -> bool:
    """Put a job into the spool, with the reason why. False: the spool knows its key already."""
    return spool.keep(
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


def adopt(desk: Desk, spool: "Spool") -> int:
    """Take into the spool what killed processes had taken, and gives how many that were.

    Those of an alert that somebody is at are left to whoever that is, or for another time.
    """
    adopted = 0
    for orphan in desk.orphans():
        with desk.lane(orphan.job.lane).locked(time.monotonic()) as held:
            if held and orphan.is_there:
                adopt_one(desk, spool, orphan)
                adopted += 1
            orphan.close()
    return adopted


def adopt_one(desk: Desk, spool: "Spool", orphan: Orphan) -> None:
    """Do so with one of a lane that is held: it could have had its effect, and is found by nobody meanwhile."""
    try:
        keep(spool, orphan.job, _ADOPTED, orphan.job.taken_at)
        desk.mark_waiting(waits=True)
        desk.lane(orphan.job.lane).mark_waiting(waits=True)
        orphan.adopted()
    finally:
        orphan.close()


def settle(spool: "Spool", lane: Lane, entry: "Entry", outcome: Outcome, pause_seconds: float) -> None:
    """Do with an entry what its delivery came to; the lane must be locked. `pause_seconds` is for one that stays."""
    now = time.time()
    if outcome.kind is Kind.KEPT:
        spool.postpone(entry, now + pause_seconds, outcome.reason.value, outcome.detail)
        return
    if outcome.kind is Kind.REJECTED:
        spool.bury(entry, outcome.reason.value, outcome.detail, now)
    else:
        spool.deliver(entry, now)
    if not spool.waits(entry.lane):
        lane.mark_waiting(waits=False)
        # Whoever keeps something marks the lane after it; what came in between would be forgotten.
        if spool.waits(entry.lane):
            lane.mark_waiting(waits=True)


def unmark(desk: Desk, spool: "Spool") -> None:
    """Say for other processes that the spool holds nothing, if that is so."""
    if not spool.counts(time.time()).waiting:
        desk.mark_waiting(waits=False)
        if spool.counts(time.time()).waiting:
            desk.mark_waiting(waits=True)
