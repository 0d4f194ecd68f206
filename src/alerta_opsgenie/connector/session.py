"""One configuration at work, from its first request to its last: what `run` starts and stops."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Callable

from alerta_opsgenie.agent.people import FILES
from alerta_opsgenie.agent.target import access_of
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.connector.callbacks import SENDERS, Callbacks
from alerta_opsgenie.connector.channel import Channel
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.connector.credentials import QueuePlace, Token
from alerta_opsgenie.connector.front import Front
from alerta_opsgenie.connector.handler import Handler
from alerta_opsgenie.connector.heartbeat import Heartbeat
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.parts import Parts
from alerta_opsgenie.connector.poller import Poller
from alerta_opsgenie.connector.refresher import Refresher
from alerta_opsgenie.connector.report import Reporter
from alerta_opsgenie.connector.scripts import Scripts
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.connector.sqs import SqsQueue
from alerta_opsgenie.connector.transport import Transport, TransportError
from alerta_opsgenie.journal import JournalError

# At the end; together less than 10 seconds, a container's patience.
_POLL_SECONDS, _FINISH_SECONDS, _SCRIPT_SECONDS, _DELETE_SECONDS, _TELL_SECONDS = 0.5, 4.5, 1.0, 1.5, 0.8
_SAMPLE_SECONDS, _COUNT_EVERY = 1.0, 5
_QUEUE_SILENT_SECONDS = 90.0
_ONCE_LOOK_SECONDS = 0.1
_ONCE_FAILURES, _ONCE_EMPTY_POLLS = 3, 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Health:
    """How it goes. `stuck` parts stand still: the process should be started anew. `problems` are for a person.

    `ready`: messages are being taken, by the `transport` `sqs` or `channel`.
    """

    ready: bool
    stuck: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    status: str = ""
    transport: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


class ConnectorSession:
    """Takes the queues of one configuration; `once`: until they are empty. Raises `AddressError`."""

    def __init__(self, plan: Plan, front: Front, metrics: Metrics, reporter: Reporter, *, once: bool = False) -> None:
        self._plan = plan
        self._front = front
        self._metrics = metrics
        self._reporter = reporter
        self._once = once
        self._ending = threading.Event()
        self._parts = Parts(self._ending.set)
        config, own = plan.config, plan.own
        self._callbacks = Callbacks(config.dialect, self._make_api, lambda how: metrics.callbacks.labels(how).inc())
        self._scripts = Scripts(config, own.script_limit_seconds, self._callbacks, metrics)
        self._handler = Handler(plan, front, self._callbacks, self._scripts, reporter)
        self._refresher = Refresher(self._make_api(), config.dialect, self._use, self._parts, own.transport)
        self._pollers: dict[str, Poller] = {}
        self._heartbeat = self._make_heartbeat()
        self._left_over = ""

    def run(self, stop: threading.Event, goes_on: Callable[[], bool]) -> str:
        """Work until `stop` is set, or with `once` until nothing is left. Gives what was left undone, if anything.

        Where the process `goes_on` its deliverer does too.
        """
        try:
            while not stop.wait(_ONCE_LOOK_SECONDS) and not self._ending.is_set():
                if self._once and self._is_done():
                    break
        finally:
            self._stop(goes_on)
        if self._parts.broken:
            raise RuntimeError(f"the part {self._parts.broken!r} has failed")
        return self._left_over

    def start(self) -> None:
        """Begin."""
        for number in range(SENDERS):
            self._parts.start(f"results {number}", self._callbacks.run)
        self._parts.start("credentials", self._refresher.run)
        self._parts.start("numbers", self._sample)
        if self._heartbeat is not None:
            heartbeat = self._heartbeat
            self._parts.start("heartbeat", lambda: heartbeat.run(self._ending))

    def _stop(self, goes_on: Callable[[], bool]) -> None:
        began = time.monotonic()
        self._ending.set()
        self._refresher.stop()
        pollers = list(self._pollers.values())
        for poller in pollers:
            poller.stop()
        self._handler.room.close()
        # What a poll under way brings would stay hidden until its time is over.
        while any(poller.is_polling() for poller in pollers) and time.monotonic() < began + _POLL_SECONDS:
            time.sleep(0.01)
        end = time.monotonic() + _FINISH_SECONDS
        # Results that come later are told to nobody.
        while goes_on() and len(self._handler.room) > self._scripts.held and time.monotonic() < end:
            time.sleep(0.01)
        if not goes_on():
            self._front.stop(end - time.monotonic())
        self._scripts.stop(_SCRIPT_SECONDS)
        end = time.monotonic() + _DELETE_SECONDS
        for poller in pollers:
            poller.flush(max(0.1, end - time.monotonic()))
        self._callbacks.stop(_TELL_SECONDS)
        _log.info("the queues are left, after %.1f s", time.monotonic() - began)

    def _make_api(self) -> VendorApi:
        return VendorApi(self._plan.config, self._plan.environment)

    def _make_heartbeat(self) -> Heartbeat | None:
        seconds, dialect = self._plan.own.heartbeat_seconds, self._plan.config.dialect
        clients = [access_of(options).client() for options in self._plan.each_alerta()]
        if not seconds or self._once:
            return None
        count = self._metrics.heartbeats
        return Heartbeat(clients, seconds, dialect, self._is_well, lambda how: count.labels(how).inc())

    def _use(self, token: Token) -> None:
        self._handler.owner_id = token.owner_id
        wanted = {token.channel} if token.channel else {place.url for place in token.queues}
        if token.channel:
            self._begin(token.channel, lambda: self._make_channel(token))
        for place in token.queues:
            self._take_up(place)
        for url in set(self._pollers) - wanted:
            poller = self._pollers.pop(url)
            _log.info("leaving the queue %s", poller.name)
            poller.stop()
            poller.flush(_DELETE_SECONDS)

    def _take_up(self, place: QueuePlace) -> None:
        known = self._pollers.get(place.url)
        if known is not None and isinstance(known.transport, SqsQueue):
            known.transport.renew(place.grant)
            return
        visibility = self._plan.config.poller["visibilityTimeoutInSeconds"]
        self._begin(place.url, lambda: SqsQueue(place.url, place.region, place.grant, visibility_seconds=visibility))

    def _make_channel(self, token: Token) -> Transport:
        wait_seconds = self._plan.config.poller["pollingWaitIntervalInMillis"] / 1000
        return Channel(token.channel, token.owner_id, self._make_api, wait_seconds=wait_seconds)

    def _begin(self, url: str, make: Callable[[], Transport]) -> None:
        if url in self._pollers or self._ending.is_set():
            return
        try:
            transport = make()
        except (TransportError, AddressError) as error:
            _log.error("%s", error)
            return
        if self._ending.is_set():
            return
        batch, metrics = self._plan.config.poller["maxNumberOfMessages"], self._metrics
        poller = Poller(
            transport, self._handler, self._refresher.refresh, metrics, self._parts, batch=batch, once=self._once
        )
        self._pollers[url] = poller
        poller.start()
        _log.info("taking the queue %s", transport.name)

    def health(self) -> Health:
        """Say how it goes."""
        now = time.time()
        pollers = list(self._pollers.values())
        polled = [poller for poller in pollers if now - poller.polled_at < _QUEUE_SILENT_SECONDS]
        problems = [poller.failure for poller in pollers if poller.failure]
        if self._refresher.failure:
            words = f"no credentials: {self._refresher.failure}", self._refresher.advice
            problems.append("; ".join(filter(None, words)))
        problems += filter(None, [self._reporter.alerta_trouble, self._front.deliverer.problem])
        ready = bool(polled) and not any(poller.failure for poller in polled)
        held = len(self._handler.room)
        status = f"{len(polled)} of {len(pollers)} queues answer, {held} messages in hand"
        if problems:
            status = f"{problems[0]}; {status}"
        stuck = tuple(self._parts.stuck())
        numbers = {
            "held": held,
            "queue_answered_at": min((poller.polled_at for poller in pollers), default=0.0),
            "heartbeat_at": self._heartbeat.sent_at if self._heartbeat else 0.0,
        }
        return Health(ready, stuck, tuple(problems), status, self._refresher.source, numbers)

    def _is_well(self) -> bool:
        return self.health().ready and not self._reporter.alerta_trouble

    def _sample(self) -> None:
        for rounds in itertools.count():
            self._take_gauges()
            if rounds % _COUNT_EVERY == 0:
                self._count_journals()
            if self._ending.wait(_SAMPLE_SECONDS):
                return

    def _take_gauges(self) -> None:
        metrics, keeper, now = self._metrics, self._refresher, time.time()
        metrics.held.set(len(self._handler.room))
        metrics.callbacks_waiting.set(len(self._callbacks))
        metrics.credentials_failures.set(keeper.failures)
        metrics.credentials_age.set(now - keeper.fetched_at if keeper.fetched_at else 0)
        metrics.credentials_left.set(keeper.expires_at - now if keeper.expires_at else 0)
        metrics.people_failures.set(FILES.failures)
        metrics.alerta_refuses.set(bool(self._reporter.alerta_trouble))
        for poller in list(self._pollers.values()):
            metrics.undeleted.labels(poller.name).set(poller.undeleted)

    def _count_journals(self) -> None:
        deliverer = self._front.deliverer
        try:
            self._metrics.journals(list(deliverer.counts().values()), self._scripts.in_hand)
            self._metrics.spool_usable.set(not deliverer.disk_problem)
        except JournalError:
            self._metrics.spool_usable.set(0)

    def _is_done(self) -> bool:
        keeper = self._refresher
        if not keeper.fetched_at:
            if keeper.permanent or keeper.failures >= _ONCE_FAILURES:
                self._left_over = f"no credentials: {keeper.failure}; {keeper.advice}".rstrip("; ")
            return bool(self._left_over)
        pollers, deliverer = list(self._pollers.values()), self._front.deliverer
        if not pollers or any(poller.empty_polls < _ONCE_EMPTY_POLLS or poller.undeleted for poller in pollers):
            return False
        if len(self._handler.room) or len(self._callbacks) or not deliverer.is_idle:
            return False
        try:
            waiting = sum(one.waiting for one in deliverer.counts().values())
        except JournalError as error:
            self._left_over = str(error)
        else:
            self._left_over = f"{waiting} actions wait in the journal until Alerta takes them" if waiting else ""
        return True
