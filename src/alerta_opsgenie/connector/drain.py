"""What lies in the spool, delivered by the same process, in order with what is new.

Whatever is kept makes its alert's lane wait (`Lane.waits`), so that what comes later goes behind it. One process for
each spool drains it; where an executor's drainer or a person has that role, it is asked for again and again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from typing import Callable

from alerta_opsgenie import keeping
from alerta_opsgenie.connector.courier import Courier
from alerta_opsgenie.connector.disk import Disk, HeldLane
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.tasks import run_together, wait_event
from alerta_opsgenie.core.backoff import delay_seconds
from alerta_opsgenie.core.message import Message, MessageError, recall
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.journal import Entry, Lock, SpoolUnavailable, try_lock

WORKERS = 4
"""Alerts delivered at once: one that Alerta hangs on holds up one of these."""

LOOK_SECONDS = 0.5
"""How often the spool is looked at while nothing of ours is due: executors of the same host put things there too."""

CARE_SECONDS = 60.0
"""How often what is too old is seen to, and what killed executors left is picked up."""

_ROLE_SECONDS = 2.0
_OWNER = f"connector {os.getpid()}"
_log = logging.getLogger(__name__)

Report = Callable[[Entry, "Message | None", Outcome], None]


class SpoolDrainer:
    """Delivers what waits, until cancelled. `settings_of` says how a message is to be relayed; `report` hears of each.

    `leads` says whether this process has the role; `in_hand` counts what is being delivered.
    `ended` is set when `run` has ended after `stop`.
    """

    def __init__(
        self, courier: Courier, settings_of: Callable[[Message], Settings], report: Report, progress: Progress
    ) -> None:
        self._courier = courier
        self._disk: Disk = courier.disk
        self._settings_of = settings_of
        self._report = report
        self._progress = progress
        self._news = asyncio.Event()
        self.in_hand = 0
        self._stopping = asyncio.Event()
        self.ended = asyncio.Event()
        self.leads = False

    def wake(self) -> None:
        """Look at the spool soon: something was kept."""
        self._news.set()

    async def run(self) -> None:
        """Drain whenever the role is free."""
        while not self._stopping.is_set():
            self._progress.beat("spool")
            try:
                lock = await self._disk.run(lambda: try_lock(self._disk.directory, keeping.ROLE))
                if lock is not None:
                    await self._lead(lock)
            except (SpoolUnavailable, OSError):
                _log.error("the spool is not drained: %s", self._disk.trouble)
            await self._pause(_ROLE_SECONDS)
        self._progress.forget("spool")
        self.ended.set()

    def stop(self) -> None:
        """Let `run` end after what is in hand."""
        self._stopping.set()
        self._news.set()

    async def _pause(self, seconds: float) -> None:
        await wait_event(self._stopping, seconds)

    async def _lead(self, lock: Lock) -> None:
        self.leads = True
        try:
            await run_together(self._care(), *(self._work() for _ in range(WORKERS)))
        finally:
            self.leads = False
            lock.release()

    async def _care(self) -> None:
        while not self._stopping.is_set():
            await self._disk.run(self._care_once)
            self._disk.trouble = ""
            await self._pause(CARE_SECONDS)

    def _care_once(self) -> None:
        desk, spool, now = self._disk.desk, self._disk.spool(), time.time()
        desk.prepare()
        keeping.adopt(desk, spool)
        for entry in spool.expire(now, keeping.EXPIRE_AFTER_SECONDS):
            _log.error("%s of %s could not be delivered for 7 days and is a dead letter", entry.kind, entry.lane)
        spool.prune(now, keeping.EXPIRE_AFTER_SECONDS)
        desk.forget(now)
        keeping.unmark(desk, spool)

    async def _work(self) -> None:
        while not self._stopping.is_set():
            self._progress.beat("spool")
            now = time.time()
            entry = await self._disk.run(
                lambda now=now: self._disk.spool().claim(now, keeping.LEASE_SECONDS, _OWNER)  # type: ignore[misc]
            )
            if entry is None:
                await self._rest(now)
                continue
            self.in_hand += 1
            try:
                await self._deliver(entry)
            finally:
                self.in_hand -= 1

    async def _rest(self, now: float) -> None:
        due_at = await self._disk.run(lambda: self._disk.spool().next_due())
        pause = LOOK_SECONDS if due_at is None else min(LOOK_SECONDS, max(0.01, due_at - now))
        await wait_event(self._news, pause)
        if not self._stopping.is_set():
            self._news.clear()

    async def _deliver(self, entry: Entry) -> None:
        message = None
        async with self._disk.hold(entry.lane, time.monotonic() + keeping.CALL_SECONDS) as held:
            if held is None:
                await self._disk.run(lambda: self._disk.spool().release(entry))
                return
            try:
                message = recall(entry.body, entry.key)
                outcome = await self._attempt(message, entry, held)
            except MessageError as error:
                outcome = Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, str(error))
            except asyncio.CancelledError:
                # Its end is not known; the entry remembers that it was tried.
                self._disk.spool().release(entry)
                raise
            pause = _pause_seconds(entry, outcome)
            await held.do_last(lambda: self._settle(held, entry, message, outcome, pause))
        self._report(entry, message, outcome)

    async def _attempt(self, message: Message, entry: Entry, held: HeldLane) -> Outcome:
        if held.lane.remembers(message.key):
            return keeping.DONE_BEFORE
        attempted_at = keeping.attempted_before(held.lane, message, entry.attempted_at)
        if entry.reason == Reason.TIMEOUT.value or attempted_at != entry.attempted_at:
            await self._courier.let_land(message)
        await held.do(lambda: keeping.note_begin(held.lane, message))
        return await self._courier.attempt(message, self._settings_of(message), attempted_at, held.lane)

    def _settle(
        self, held: HeldLane, entry: Entry, message: Message | None, outcome: Outcome, pause_seconds: float
    ) -> None:
        if message is not None:
            keeping.note_end(held.lane, message, outcome)
        keeping.settle(self._disk.spool(), held.lane, entry, outcome, pause_seconds)


def _pause_seconds(entry: Entry, outcome: Outcome) -> float:
    return delay_seconds(
        entry.attempts + 1,
        random.random(),  # noqa: S311 - jitter
        longest_seconds=keeping.LONGEST_PAUSE_SECONDS,
        retry_after_seconds=outcome.retry_after_seconds,
    )
