"""From a message to its end: delivered to Alerta, or kept in the spool; what is neither stays in the queue.

The executor's steps (`executor/delivery.py`), with two differences. What cannot go at once is not tried again here but
kept at once. And an action is not written down whole before the attempt, for SQS gives it again; its lane remembers
that an attempt began, because of a message that was sent twice each copy comes for the first time.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from dataclasses import dataclass

from alerta_opsgenie import keeping
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.connector.alerta_async import AsyncAlerta, drive
from alerta_opsgenie.connector.disk import Disk, HeldLane
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.order import superseded
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Call, Circumstances, Settings, relay
from alerta_opsgenie.journal import SpoolUnavailable
from alerta_opsgenie.lanes import Job, Lane

_RECORDED = frozenset({Reason.NOT_FOUND, Reason.REFUSED, Reason.BAD_MESSAGE})
"""Rejections that a person may mend and retry; an alias that is no id of Alerta's never becomes one."""


@dataclass(frozen=True)
class Delivery:
    """How it ended. `safe` says that the message may be deleted; one that is not has to come again."""

    outcome: Outcome
    safe: bool = True
    trouble: str = ""


class Courier:
    """Delivers messages to one Alerta, each in its alert's lane."""

    def __init__(self, alerta: AsyncAlerta, disk: Disk) -> None:
        self._alerta = alerta
        self.disk = disk

    async def deliver(self, message: Message, settings: Settings, attempted_at: float | None) -> Delivery:
        """Deliver a message that has passed the gates, or keep it.

        `attempted_at` (seconds since the epoch) is when an earlier attempt of unknown end may have begun.
        """
        job = keeping.job_of(message, time.time())
        begin = functools.partial(_begin, message)
        try:
            async with self.disk.hold(job.lane, time.monotonic() + keeping.CALL_SECONDS, begin) as held:
                if held is None:
                    return await self._keep(job, None, keeping.BUSY, attempted_at)
                if held.lane.remembers(message.key):
                    return Delivery(keeping.DONE_BEFORE)
                if held.lane.waits:
                    return await self._keep(job, held, keeping.BEHIND, attempted_at)
                attempted_at = keeping.attempted_before(held.lane, message, attempted_at)
                if attempted_at is not None:
                    await self.let_land(message)
                outcome = await self.attempt(message, settings, attempted_at, held.lane)
                return await self._conclude(message, job, held, outcome, attempted_at)
        except OSError as error:
            return await self._deliver_without_lane(message, settings, job, attempted_at, error)

    async def attempt(
        self, message: Message, settings: Settings, attempted_at: float | None, lane: Lane | None
    ) -> Outcome:
        """Try a message once, in its lane if there is one."""
        late = superseded(message, lane.newest_ns if lane else {}, time.time())
        twins = keeping.count_twins(lane, message, attempted_at) if lane else 0
        end = time.monotonic() + keeping.CALL_SECONDS

        async def send(call: Call) -> Answer:
            return await self._alerta.send(call, end - time.monotonic())

        return await drive(relay(message, settings, Circumstances(time.time(), attempted_at, late, twins)), send)

    async def let_land(self, message: Message) -> None:
        """Give Alerta time for what an earlier attempt sent it while it hung."""
        look = keeping.landing_look(message)
        if look is None:
            return
        with contextlib.suppress(UnreachableError):
            await self._alerta.send(look, keeping.CALL_SECONDS)
            await asyncio.sleep(keeping.LANDING_SECONDS)

    async def _conclude(
        self, message: Message, job: Job, held: HeldLane, outcome: Outcome, attempted_at: float | None
    ) -> Delivery:
        """Remember what came of an attempt, or keep the action."""
        if outcome.kind is Kind.KEPT:
            return await self._keep(job, held, outcome, min(job.taken_at, attempted_at or job.taken_at))
        try:
            await held.do_last(lambda: keeping.note_end(held.lane, message, outcome))
            if outcome.kind is Kind.REJECTED:
                return await self._record_rejection(job, outcome)
        except OSError:
            # It is done all the same, and must not be done again for it.
            return Delivery(outcome, trouble=self.disk.trouble)
        return Delivery(outcome)

    async def _record_rejection(self, job: Job, outcome: Outcome) -> Delivery:
        if outcome.reason not in _RECORDED:
            return Delivery(outcome)
        try:
            await self.disk.bury(job, outcome)
        except (SpoolUnavailable, OSError):
            return Delivery(outcome, safe=False, trouble=self.disk.trouble)
        return Delivery(outcome)

    async def _keep(
        self, job: Job, held: HeldLane | None, outcome: Outcome, attempted_at: float | None
    ) -> Delivery:
        lane = held.lane if held else None
        try:
            kept = await self.disk.run(lambda: self.disk.keep_now(job, outcome, attempted_at, lane))
        except (SpoolUnavailable, OSError):
            return Delivery(outcome, safe=False, trouble=self.disk.trouble)
        return Delivery(outcome if kept else keeping.DONE_BEFORE)

    async def _deliver_without_lane(
        self, message: Message, settings: Settings, job: Job, attempted_at: float | None, error: OSError
    ) -> Delivery:
        """Deliver where the directory cannot be used: without order and memory, but better than not at all."""
        outcome = await self.attempt(message, settings, attempted_at, None)
        trouble = self.disk.trouble or str(error)
        if outcome.kind is Kind.KEPT:
            delivery = await self._keep(job, None, outcome, job.taken_at)
            return Delivery(delivery.outcome, delivery.safe, delivery.trouble or trouble)
        return Delivery(outcome, trouble=trouble)


def _begin(message: Message, lane: Lane) -> None:
    """Note in the lane that the attempt begins, unless there will be none; done in a thread."""
    if lane.waits or lane.remembers(message.key):
        return
    with contextlib.suppress(OSError):  # the attempt is worth more than its mark
        keeping.note_begin(lane, message)
