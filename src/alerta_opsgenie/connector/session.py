"""One session of the connector: polls with one configuration, from its start or reload to the next."""

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
from alerta_opsgenie.connector.credentials import QueueLocation, Token
from alerta_opsgenie.connector.handler import Handler
from alerta_opsgenie.connector.heartbeat import Heartbeat
from alerta_opsgenie.connector.local_delivery import LocalDelivery
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.poller import Poller
from alerta_opsgenie.connector.refresher import Refresher
from alerta_opsgenie.connector.report import Reporter
from alerta_opsgenie.connector.scripts import Scripts
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.connector.sqs import SqsQueue
from alerta_opsgenie.connector.threads import Threads
from alerta_opsgenie.connector.transport import Transport, TransportError
from alerta_opsgenie.journal import JournalError

# Time limits of the stop; together less than the 10 seconds that Docker waits.
_POLL_SECONDS, _DELIVERY_SECONDS, _SCRIPT_SECONDS, _DELETE_SECONDS, _CALLBACK_SECONDS = 0.5, 4.5, 1.0, 1.5, 0.8
_SAMPLE_SECONDS, _COUNT_EVERY = 1.0, 5
_QUEUE_SILENT_SECONDS = 90.0
_ONCE_LOOK_SECONDS = 0.1
_ONCE_FAILURES, _ONCE_EMPTY_POLLS = 3, 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Health:
    """The state of the connector. `stuck` threads do not respond: restart the process. `problems` are for a person.

    `ready`: messages are being received, by the `transport` `sqs` or `channel`.
    """

    ready: bool
    stuck: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    status: str = ""
    transport: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


class ConnectorSession:
    """Polls the queues of one configuration; with `once` until they are empty. Raises `AddressError`."""

    def __init__(
        self, plan: Plan, delivery: LocalDelivery, metrics: Metrics, reporter: Reporter, *, once: bool = False
    ) -> None:
        self._plan = plan
        self._delivery = delivery
        self._metrics = metrics
        self._reporter = reporter
        self._once = once
        self._ending = threading.Event()
        self._threads = Threads(self._ending.set)
        config, settings = plan.config, plan.settings
        self._callbacks = Callbacks(config.dialect, self._make_api, lambda how: metrics.callbacks.labels(how).inc())
        self._scripts = Scripts(config, settings.script_limit_seconds, self._callbacks, metrics)
        self._handler = Handler(plan, delivery, self._callbacks, self._scripts, reporter)
        self._refresher = Refresher(self._make_api(), config.dialect, self._use, self._threads, settings.transport)
        self._pollers: dict[str, Poller] = {}
        self._heartbeat = self._make_heartbeat()
        self._unfinished = ""

    def run(self, stop: threading.Event, is_reloading: Callable[[], bool]) -> str:
        """Run until `stop` is set, or with `once` until all is done. Return what was left undone, if anything.

        If `is_reloading()` at the end, the deliverer keeps running for the next session.
        """
        try:
            while not stop.wait(_ONCE_LOOK_SECONDS) and not self._ending.is_set():
                if self._once and self._is_done():
                    break
        finally:
            self._stop(is_reloading)
        if self._threads.failed:
            raise RuntimeError(f"the thread {self._threads.failed!r} has failed")
        return self._unfinished

    def start(self) -> None:
        """Start the threads."""
        for number in range(SENDERS):
            self._threads.start(f"results {number}", self._callbacks.run)
        self._threads.start("credentials", self._refresher.run)
        self._threads.start("numbers", self._sample)
        if self._heartbeat is not None:
            heartbeat = self._heartbeat
            self._threads.start("heartbeat", lambda: heartbeat.run(self._ending))

    def _stop(self, is_reloading: Callable[[], bool]) -> None:
        began = time.monotonic()
        self._ending.set()
        self._refresher.stop()
        pollers = list(self._pollers.values())
        for poller in pollers:
            poller.stop()
        self._handler.in_flight.close()
        # Messages of a poll in progress would stay hidden until their visibility timeout.
        while any(poller.is_polling() for poller in pollers) and time.monotonic() < began + _POLL_SECONDS:
            time.sleep(0.01)
        end = time.monotonic() + _DELIVERY_SECONDS
        # Results of later attempts are not sent to the vendor.
        while is_reloading() and len(self._handler.in_flight) > self._scripts.unfinished and time.monotonic() < end:
            time.sleep(0.01)
        if not is_reloading():
            self._delivery.stop(end - time.monotonic())
        self._scripts.stop(_SCRIPT_SECONDS)
        end = time.monotonic() + _DELETE_SECONDS
        for poller in pollers:
            poller.flush(max(0.1, end - time.monotonic()))
        self._callbacks.stop(_CALLBACK_SECONDS)
        _log.info("the session has ended, after %.1f s", time.monotonic() - began)

    def _make_api(self) -> VendorApi:
        return VendorApi(self._plan.config, self._plan.environment)

    def _make_heartbeat(self) -> Heartbeat | None:
        seconds, dialect = self._plan.settings.heartbeat_seconds, self._plan.config.dialect
        clients = [access_of(options).client() for options in self._plan.each_alerta()]
        if not seconds or self._once:
            return None
        count = self._metrics.heartbeats
        return Heartbeat(clients, seconds, dialect, self._is_well, lambda how: count.labels(how).inc())

    def _use(self, token: Token) -> None:
        self._handler.owner_id = token.owner_id
        wanted = {token.channel} if token.channel else {place.url for place in token.queues}
        if token.channel:
            self._add_poller(token.channel, lambda: self._make_channel(token))
        for place in token.queues:
            self._use_queue(place)
        for url in set(self._pollers) - wanted:
            poller = self._pollers.pop(url)
            _log.info("the vendor no longer names the queue %s", poller.name)
            poller.stop()
            poller.flush(_DELETE_SECONDS)

    def _use_queue(self, place: QueueLocation) -> None:
        known = self._pollers.get(place.url)
        if known is not None and isinstance(known.transport, SqsQueue):
            known.transport.renew(place.credentials)
            return
        seconds = self._plan.config.poller["visibilityTimeoutInSeconds"]
        url, region, credentials = place.url, place.region, place.credentials
        self._add_poller(url, lambda: SqsQueue(url, region, credentials, visibility_seconds=seconds))

    def _make_channel(self, token: Token) -> Transport:
        wait_seconds = self._plan.config.poller["pollingWaitIntervalInMillis"] / 1000
        return Channel(token.channel, token.owner_id, self._make_api, wait_seconds=wait_seconds)

    def _add_poller(self, url: str, make: Callable[[], Transport]) -> None:
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
            transport, self._handler, self._refresher.refresh, metrics, self._threads, batch=batch, once=self._once
        )
        self._pollers[url] = poller
        poller.start()
        _log.info("taking the queue %s", transport.name)

    def health(self) -> Health:
        """Return the current state."""
        now = time.time()
        pollers = list(self._pollers.values())
        polled = [poller for poller in pollers if now - poller.polled_at < _QUEUE_SILENT_SECONDS]
        problems = [poller.failure for poller in pollers if poller.failure]
        if self._refresher.failure:
            words = f"no credentials: {self._refresher.failure}", self._refresher.advice
            problems.append("; ".join(filter(None, words)))
        problems += filter(None, [self._reporter.alerta_problem, self._delivery.deliverer.problem])
        ready = bool(polled) and not any(poller.failure for poller in polled)
        held = len(self._handler.in_flight)
        status = f"{len(polled)} of {len(pollers)} queues answer, {held} messages in flight"
        if problems:
            status = f"{problems[0]}; {status}"
        stuck = tuple(self._threads.stuck())
        numbers = {
            "held": held,
            "queue_answered_at": min((poller.polled_at for poller in pollers), default=0.0),
            "heartbeat_at": self._heartbeat.sent_at if self._heartbeat else 0.0,
        }
        return Health(ready, stuck, tuple(problems), status, self._refresher.source, numbers)

    def _is_well(self) -> bool:
        return self.health().ready and not self._reporter.alerta_problem

    def _sample(self) -> None:
        for rounds in itertools.count():
            self._take_gauges()
            if rounds % _COUNT_EVERY == 0:
                self._count_journals()
            if self._ending.wait(_SAMPLE_SECONDS):
                return

    def _take_gauges(self) -> None:
        metrics, refresher, now = self._metrics, self._refresher, time.time()
        metrics.held.set(len(self._handler.in_flight))
        metrics.callbacks_waiting.set(len(self._callbacks))
        metrics.credentials_failures.set(refresher.failures)
        metrics.credentials_age.set(now - refresher.fetched_at if refresher.fetched_at else 0)
        metrics.credentials_left.set(refresher.expires_at - now if refresher.expires_at else 0)
        metrics.people_failures.set(FILES.failures)
        metrics.alerta_refuses.set(bool(self._reporter.alerta_problem))
        for poller in list(self._pollers.values()):
            metrics.undeleted.labels(poller.name).set(poller.undeleted)

    def _count_journals(self) -> None:
        deliverer = self._delivery.deliverer
        try:
            self._metrics.journals(list(deliverer.counts().values()), len(self._scripts.running))
            self._metrics.spool_usable.set(not deliverer.disk_problem)
        except JournalError:
            self._metrics.spool_usable.set(0)

    def _is_done(self) -> bool:
        refresher = self._refresher
        if not refresher.fetched_at:
            if refresher.permanent or refresher.failures >= _ONCE_FAILURES:
                self._unfinished = f"no credentials: {refresher.failure}; {refresher.advice}".rstrip("; ")
            return bool(self._unfinished)
        pollers, deliverer = list(self._pollers.values()), self._delivery.deliverer
        if not pollers or any(poller.empty_polls < _ONCE_EMPTY_POLLS or poller.undeleted for poller in pollers):
            return False
        if len(self._handler.in_flight) or len(self._callbacks) or not deliverer.is_idle:
            return False
        try:
            waiting = sum(one.waiting for one in deliverer.counts().values())
        except JournalError as error:
            self._unfinished = str(error)
        else:
            self._unfinished = f"{waiting} actions wait in the journal until Alerta takes them" if waiting else ""
        return True
