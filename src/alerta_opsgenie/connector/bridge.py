"""One configuration at work, from its first request to its last: what `run` starts and stops.

What is in our hands at the end is finished or given back, within `STOP_SECONDS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass

from alerta_opsgenie.connector.alerta_async import AsyncAlerta
from alerta_opsgenie.connector.callbacks import Callbacks
from alerta_opsgenie.connector.cloud import find_proxy, open_session
from alerta_opsgenie.connector.courier import Courier
from alerta_opsgenie.connector.credentials import CredentialsKeeper, QueuePlace, Token
from alerta_opsgenie.connector.disk import Disk
from alerta_opsgenie.connector.drain import WORKERS as DRAIN_WORKERS
from alerta_opsgenie.connector.drain import SpoolDrainer
from alerta_opsgenie.connector.handler import Handler
from alerta_opsgenie.connector.heartbeat import Heartbeat
from alerta_opsgenie.connector.holding import Holding
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.poller import Poller
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.queue import QueueError, SqsQueue
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.connector.tasks import end, run_together, wait_event, within
from alerta_opsgenie.connector.web import Health
from alerta_opsgenie.connector.work import Dispatcher
from alerta_opsgenie.journal import SpoolUnavailable

STOP_SECONDS = 10.0
"""The end comes within this: systemd's own patience is 90 s, a container's 10 s."""

LONGEST_HAND_SECONDS = 120.0
"""An action in hand for longer than its own limits allow means that this program stands still."""

_POLL_SECONDS, _FINISH_SECONDS, _GIVE_BACK_SECONDS, _TELL_SECONDS = 0.5, 5.5, 2.0, 1.0
_SAMPLE_SECONDS, _COUNT_EVERY = 1.0, 5
_QUEUE_SILENT_SECONDS = 90.0
_ONCE_LOOK_SECONDS = 0.1
_ONCE_FAILURES = 3
_ONCE_EMPTY_POLLS = 2


@dataclass(eq=False)
class _Intake:
    """One queue with what belongs to it."""

    queue: SqsQueue
    holding: Holding
    poller: Poller
    polling: asyncio.Task[None]
    keeping: asyncio.Task[None]


_log = logging.getLogger(__name__)


class Bridge:
    """Takes the queues of one configuration. `once`: until they are empty. `opened` says whether `health` knows.

    Raises `AddressError` where Alerta's URL or CA file, or a proxy, cannot be used.
    """

    def __init__(self, plan: Plan, metrics: Metrics, progress: Progress, *, once: bool = False) -> None:
        own, options = plan.own, plan.options
        self.plan = plan
        self._metrics = metrics
        self._progress = progress
        self._once = once
        self._alerta = AsyncAlerta(
            options.alerta_url,
            options.alerta_key,
            ca_file=options.ca_file,
            environment=plan.environment,
            connections=own.workers + DRAIN_WORKERS + 1,
        )
        self._proxy = find_proxy(plan.config.api_root)
        self._disk = Disk(options.spool_directory)
        self._work = Dispatcher(own.workers)
        self._scripts = Dispatcher(plan.config.pool.max_workers)
        self._intakes: dict[str, _Intake] = {}
        self._token = asyncio.Event()
        self._latest: Token | None = None
        self.opened = False
        self._stopping = False
        self._left_over = ""
        self._give_up = ""

    # -- its life

    async def run(self, stop: asyncio.Event) -> str:
        """Work until `stop` is set, or with `once` until nothing is left. Gives what was left undone, if anything."""
        await self._open()
        parts = asyncio.create_task(self._run_parts())
        waits = [parts, asyncio.create_task(stop.wait())]
        if self._once:
            waits.append(asyncio.create_task(self._wait_done()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if parts.done():
                parts.result()
        finally:
            for task in waits[1:]:
                task.cancel()
            await self._stop(parts)
        return self._give_up or self._left_over

    async def _open(self) -> None:
        config = self.plan.config
        self._alerta.open()
        self._session = open_session(self._proxy)
        try:
            await self._disk.prepare()
        except (SpoolUnavailable, OSError):
            _log.error("nothing can be kept now: %s", self._disk.trouble)
        courier = Courier(self._alerta, self._disk)
        self._callbacks = Callbacks(config, self._session, lambda how: self._metrics.callbacks.labels(how).inc())
        self._handler = Handler(self.plan, courier, self._callbacks, self._metrics, self._work, self._scripts)
        self._drainer = SpoolDrainer(courier, self.plan.settings_of, self._handler.drained, self._progress)
        self._handler.drainer = self._drainer
        self._credentials = CredentialsKeeper(config, self._session, self._use, self._progress)
        self._work.start()
        self._scripts.start()
        self.opened = True

    async def _run_parts(self) -> None:
        parts = [
            self._credentials.run(), self._manage_queues(), self._callbacks.run(), self._drainer.run(), self._sample(),
        ]  # fmt: skip
        seconds = self.plan.own.heartbeat_seconds
        if seconds and not self._once:
            heartbeat = Heartbeat(
                self._alerta,
                seconds,
                self.plan.config.dialect,
                lambda: self.health().ready and not self._handler.alerta_trouble,
                lambda how: self._metrics.heartbeats.labels(how).inc(),
            )
            parts.append(heartbeat.run())
        await run_together(*parts)

    async def _stop(self, parts: asyncio.Task[None]) -> None:
        """Take nothing more; finish what is in hand or give it back; delete and tell what is done."""
        began = time.monotonic()
        self._stopping = True
        self._drainer.stop()
        await asyncio.gather(
            *(intake.poller.stop(intake.polling, _POLL_SECONDS) for intake in self._intakes.values()),
            self._work.stop(_FINISH_SECONDS),
            self._scripts.stop(_FINISH_SECONDS),
            wait_event(self._drainer.ended, _FINISH_SECONDS),
        )
        with contextlib.suppress(asyncio.TimeoutError):
            await within(_GIVE_BACK_SECONDS, self._let_go())
        with contextlib.suppress(asyncio.TimeoutError):
            await within(_TELL_SECONDS, self._callbacks.flush())
        await end(parts, *(intake.keeping for intake in self._intakes.values()))
        await self._close()
        _log.info("stopped after %.1f s", time.monotonic() - began)

    async def _let_go(self) -> None:
        await asyncio.gather(*(self._let_go_of(intake) for intake in self._intakes.values()))

    async def _let_go_of(self, intake: _Intake) -> None:
        await intake.holding.flush()
        await intake.holding.give_back(intake.holding.messages())

    async def _close(self) -> None:
        for intake in self._intakes.values():
            self._forget(intake)
            await intake.queue.close()
        await self._alerta.close()
        await self._session.close()
        with contextlib.suppress(SpoolUnavailable, OSError):
            await self._disk.close()

    # -- queues

    def _use(self, token: Token) -> None:
        self._latest = token
        self._token.set()

    async def _manage_queues(self) -> None:
        """Take up the queues that the vendor names, renew their credentials, and leave those that it names no more."""
        while True:
            await self._token.wait()
            self._token.clear()
            token = self._latest
            if token is None or self._stopping:
                continue
            self._handler.owner_id = token.owner_id
            for place in token.queues:
                await self._take_up(place)
            for url in set(self._intakes) - {place.url for place in token.queues}:
                await self._leave(self._intakes.pop(url))

    async def _take_up(self, place: QueuePlace) -> None:
        known = self._intakes.get(place.url)
        if known is not None:
            if place.grant is not None:
                await known.queue.renew(place.grant)
            return
        if place.grant is None:
            self._credentials.refresh()
            return
        queue = SqsQueue(place.url, place.region, place.grant)
        try:
            await queue.connect()
        except QueueError as error:
            _log.error("%s", error)
            return
        if self._stopping:
            await queue.close()
            return
        self._intakes[place.url] = self._begin(queue)
        _log.info("taking the queue %s (%s)", queue.name, place.region)

    def _begin(self, queue: SqsQueue) -> _Intake:
        poller_conf = self.plan.config.poller
        self._metrics.queue(queue.name)
        holding = Holding(
            queue,
            most=self.plan.own.most_held,
            visibility_seconds=poller_conf.visibility_timeout_seconds,
            progress=self._progress,
            stale=self._credentials.refresh,
        )
        poller = Poller(
            holding,
            self._handler.accept,
            self._credentials.refresh,
            self._metrics,
            self._progress,
            batch=poller_conf.max_number_of_messages,
            once=self._once,
        )
        polling, keeping = asyncio.create_task(poller.run()), asyncio.create_task(holding.run())
        return _Intake(queue, holding, poller, polling, keeping)

    async def _leave(self, intake: _Intake) -> None:
        """Leave a queue; what of it is in our hands comes to its next receiver."""
        _log.info("leaving the queue %s", intake.queue.name)
        await intake.poller.stop(intake.polling, _POLL_SECONDS)
        await intake.holding.flush()
        await intake.holding.give_back(intake.holding.messages())
        await end(intake.keeping)
        self._forget(intake)
        await intake.queue.close()

    def _forget(self, intake: _Intake) -> None:
        for part in ("queue", "visibility", "deletions"):
            self._progress.forget(f"{part} {intake.queue.name}")

    # -- how it goes

    def health(self) -> Health:
        """Say how it goes."""
        now = time.time()
        troubles = [intake.poller.failure for intake in self._intakes.values() if intake.poller.failure]
        polled = [intake for intake in self._intakes.values() if now - intake.poller.polled_at < _QUEUE_SILENT_SECONDS]
        if self._credentials.failure:
            troubles.append(f"no credentials: {self._credentials.failure}")
        troubles += [trouble for trouble in (self._handler.alerta_trouble, self._disk.trouble) if trouble]
        stuck = self._progress.stuck()
        if self._work.oldest_seconds() > LONGEST_HAND_SECONDS:
            stuck.append("work")
        broken = [task for intake in self._intakes.values() for task in (intake.polling, intake.keeping) if task.done()]
        stuck += ["queue"] * bool(broken)
        ready = bool(polled) and not any(intake.poller.failure for intake in polled)
        held = sum(len(intake.holding) for intake in self._intakes.values())
        status = f"{len(polled)} of {len(self._intakes)} queues answer, {held} messages in hand"
        if troubles:
            status = f"{troubles[0]}; {status}"
        return Health(ready, tuple(stuck), tuple(troubles), status, {"held": held})

    async def _sample(self) -> None:
        """Bring the gauges up to date, and see that no part has ended that should not."""
        rounds = 0
        while True:
            self._take_gauges()
            if rounds % _COUNT_EVERY == 0:
                await self._count_spool()
            rounds += 1
            for intake in self._intakes.values():
                for task in (intake.polling, intake.keeping):
                    if task.done() and not task.cancelled():
                        task.result()  # raises what ended it, which ends us too: the service is started anew
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _take_gauges(self) -> None:
        metrics, credentials, now = self._metrics, self._credentials, time.time()
        metrics.in_hand.set(self._work.in_hand + self._scripts.in_hand)
        metrics.callbacks_waiting.set(len(self._callbacks))
        metrics.credentials_failures.set(credentials.failures)
        metrics.credentials_age.set(now - credentials.fetched_at if credentials.fetched_at else 0)
        metrics.credentials_left.set(credentials.expires_at - now if credentials.expires_at else 0)
        metrics.alerta_refuses.set(bool(self._handler.alerta_trouble))
        metrics.spool_usable.set(not self._disk.trouble)
        for intake in self._intakes.values():
            name, holding = intake.queue.name, intake.holding
            metrics.held.labels(name).set(len(holding))
            metrics.undeleted.labels(name).set(holding.undeleted)
            counted = metrics.deleted.labels(name)
            counted.inc(holding.take_deleted())

    async def _count_spool(self) -> None:
        try:
            counts = await self._disk.counts()
        except (SpoolUnavailable, OSError):
            return  # Disk.trouble says so in health and metrics
        self._metrics.spool(counts)

    # -- once

    async def _wait_done(self) -> None:
        """Wait until queues and spool are empty, or nothing more can be done now."""
        while not await self._is_done():  # noqa: ASYNC110 - half a dozen parts have to be quiet at once
            await asyncio.sleep(_ONCE_LOOK_SECONDS)

    async def _is_done(self) -> bool:
        if not self._credentials.fetched_at:
            if self._credentials.failures >= _ONCE_FAILURES:
                self._give_up = f"no credentials: {self._credentials.failure}"
            return bool(self._give_up)
        intakes = self._intakes.values()
        if not intakes or any(intake.poller.empty_polls < _ONCE_EMPTY_POLLS for intake in intakes):
            return False
        if any(len(intake.holding) or intake.holding.undeleted for intake in intakes) or len(self._callbacks):
            return False
        return await self._spool_done()

    async def _spool_done(self) -> bool:
        """Whether what waits in the spool is gone, or has to wait for Alerta."""
        try:
            waiting = (await self._disk.counts()).waiting
            due_at = await self._disk.run(lambda: self._disk.spool().next_due())
        except (SpoolUnavailable, OSError):
            self._give_up = self._disk.trouble
            return True
        if self._drainer.in_hand or (self._drainer.leads and waiting and due_at is not None and due_at <= time.time()):
            return False
        self._left_over = f"{waiting} actions wait in the spool until Alerta takes them" if waiting else ""
        return True
