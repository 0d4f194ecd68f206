"""The directory of lanes and the spool, off the event loop: all of it may wait for a disk or for another process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import AsyncIterator, Callable, TypeVar

from alerta_opsgenie import keeping
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Counts, Spool, SpoolUnavailable
from alerta_opsgenie.lanes import Desk, Job, Lane, mend_of

_T = TypeVar("_T")
_THREADS = 6
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.002, 0.05
_OWNER = f"connector {os.getpid()}"


@dataclass(eq=False)
class _Turn:
    """Whose turn it is among the tasks that want one lane."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


@dataclass(eq=False)
class HeldLane:
    """A lane that this task alone has, until `Disk.hold` ends."""

    lane: Lane
    _disk: Disk
    _stack: contextlib.ExitStack

    async def do(self, work: Callable[[], _T]) -> _T:
        """Do something on disk while the lane is held."""
        return await self._disk.run(work)

    async def do_last(self, work: Callable[[], _T]) -> _T:
        """Do something on disk, and let go of the lane."""

        def run() -> _T:
            with self._stack:
                return work()

        return await self._disk.run(run)


class Disk:
    """What the connector has on disk. `OSError` and `SpoolUnavailable` tell that it cannot be used now.

    `trouble` says what was wrong the last time, with the mend, and is empty where nothing was.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.desk = Desk(directory)
        self.trouble = ""
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="disk")
        self._spool: Spool | None = None
        self._turns: dict[str, _Turn] = {}

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do blocking work in a thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except SpoolUnavailable as error:
            self.trouble = f"{error.reason}; {error.mend}"
            raise
        except OSError as error:
            self.trouble = f"{self.directory} ({error.strerror or error}); {mend_of(error)}"
            raise

    async def prepare(self) -> None:
        """Make what is missing, and see that it can be used."""

        def work() -> None:
            self.desk.prepare()
            # Before the first message: what a killed process left may be the same action as one that comes now.
            keeping.adopt(self.desk, self.spool())

        await self.run(work)
        self.trouble = ""

    def spool(self) -> Spool:
        """Give the spool, opened at its first use; call it in a thread."""
        if self._spool is None:
            self._spool = Spool(self.directory)
        return self._spool

    @contextlib.asynccontextmanager
    async def hold(
        self, name: str, deadline: float, first: Callable[[Lane], None] = lambda _lane: None
    ) -> AsyncIterator[HeldLane | None]:
        """Hold a lane against the other tasks here and the other processes of this host.

        `first` is done with it at once, in the same thread. Gives None where it was not to be had by `deadline`
        (of `time.monotonic`). Raises `OSError`.
        """
        turn = self._turns.setdefault(name, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                stack = contextlib.ExitStack()
                try:
                    yield await self._enter(self.desk.lane(name), deadline, stack, first)
                finally:
                    stack.close()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[name]

    async def _enter(
        self, lane: Lane, deadline: float, stack: contextlib.ExitStack, first: Callable[[Lane], None]
    ) -> HeldLane | None:
        pause = _FIRST_LOOK_SECONDS

        def enter() -> bool:
            inner = contextlib.ExitStack()
            if inner.enter_context(lane.locked(0.0)):
                stack.push(inner)
                first(lane)
                return True
            inner.close()
            return False

        while not await self.run(enter):
            if time.monotonic() + pause >= deadline:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_LOOK_SECONDS)
        return HeldLane(lane, self, stack)

    # -- the spool

    def keep_now(self, job: Job, outcome: Outcome, attempted_at: float | None, lane: Lane | None) -> bool:
        """Keep a job; call it in a thread. False: it was delivered before, and there is nothing to keep."""
        spool = self.spool()
        if not keeping.keep(spool, job, outcome, attempted_at) and spool.is_delivered(job.key):
            return False
        with contextlib.suppress(OSError):  # the entry is safe; without the mark the order may suffer
            self.desk.mark_waiting(waits=True)
            (lane or self.desk.lane(job.lane)).mark_waiting(waits=True)
        return True

    async def bury(self, job: Job, outcome: Outcome) -> None:
        """Record an action that will never work as a dead letter, for a person to see."""
        await self.run(lambda: self._bury(job, outcome))

    async def set_aside(self, message_id: str, body: str, why: str) -> None:
        """Record as a dead letter what is no action of ours; nothing will ever take it for one."""
        # A list is no message, so a retry by hand ends in the same place.
        shut = json.dumps([why, body])
        lane = "aside-" + hashlib.sha256(f"{message_id}\0{body}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        job = Job(lane, lane, 0, "set aside", shut, time.time())
        await self.bury(job, Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, why))

    def _bury(self, job: Job, outcome: Outcome) -> None:
        spool = self.spool()
        if not keeping.keep(spool, job, outcome, job.taken_at):
            return
        entry = spool.claim(time.time(), keeping.LEASE_SECONDS, _OWNER, job.lane)
        if entry is None:
            return
        if entry.key == job.key:
            spool.bury(entry, outcome.reason.value, outcome.detail, time.time())
        else:  # something older of that alert came first; whoever drains will come to ours
            spool.release(entry)

    async def counts(self) -> Counts:
        """Count what lies in the spool."""
        return await self.run(lambda: self.spool().counts(time.time()))

    async def close(self) -> None:
        """Close the spool and end the threads."""
        if self._spool is not None:
            await self.run(self._spool.close)
        self._pool.shutdown(wait=False)
