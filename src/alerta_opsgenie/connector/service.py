"""The process: signals, reloading, the service manager, and the pages that show how it goes."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Callable

from alerta_opsgenie.agent.options import UsageError
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.connector import logs
from alerta_opsgenie.connector.bridge import Bridge
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.notify import Notifier
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.settings import DEFAULT_LISTEN, Plan, parse_listen
from alerta_opsgenie.connector.tasks import end
from alerta_opsgenie.connector.web import Health, WebServer
from alerta_opsgenie.vendor.problems import ConfigError

_LOOK_SECONDS = 2.0
_STARTING = Health(ready=False, status="starting")
_log = logging.getLogger(__name__)


class ListenError(Exception):
    """The pages cannot be served at the place that was asked for."""


class Service:
    """Runs a configuration until SIGTERM or SIGINT, and a new one after SIGHUP.

    `read` reads the configuration afresh; it may block and raise `ConfigError`, `UsageError` or `AddressError`.
    """

    def __init__(self, plan: Plan, read: Callable[[], Plan], *, once: bool = False) -> None:
        self._plan = plan
        self._read = read
        self._once = once
        self._metrics = Metrics()
        self._progress = Progress()
        self._notifier = Notifier()
        self._bridge: Bridge | None = None
        self._stop = asyncio.Event()
        self._ended = False
        self._reloading = False
        self._reload_task: asyncio.Task[None] | None = None
        self._web: WebServer | None = None

    async def run(self) -> str:
        """Run to the end. Gives what was left undone, if anything. Raises `ListenError`, `AddressError`."""
        self._catch_signals()
        bridge = Bridge(self._plan, self._metrics, self._progress, once=self._once)
        await self._listen()
        watching = asyncio.create_task(self._watch())
        try:
            self._notifier.ready()
            while True:
                self._bridge = bridge
                self._stop.clear()
                if self._ended:
                    self._stop.set()
                left = await bridge.run(self._stop)
                if self._ended or self._once or not self._reloading:
                    return left
                self._reloading = False
                bridge = Bridge(self._plan, self._metrics, self._progress)
                self._notifier.ready()
        finally:
            await end(watching)
            if self._web is not None:
                await self._web.stop()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _end(self, number: signal.Signals) -> None:
        _log.info("%s: taking no more messages", number.name)
        self._ended = True
        self._notifier.stopping()
        self._stop.set()

    def _hang_up(self) -> None:
        if self._reload_task is None or self._reload_task.done():
            self._reload_task = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        """Read the configuration again; one that cannot be used changes nothing."""
        try:
            plan = await asyncio.to_thread(self._read)
            # Made to see that its URL and CA file can be used; the one that will run is made on its turn.
            Bridge(plan, self._metrics, self._progress)
        except (ConfigError, UsageError, AddressError) as error:
            self._metrics.reloads.labels("refused").inc()
            mend = f"; {error.mend}" if isinstance(error, ConfigError) else ""
            _log.error("the configuration was not taken over: %s%s", error, mend)
            return
        self._metrics.reloads.labels("taken").inc()
        if plan.own.listen != self._plan.own.listen:
            _log.warning("metrics and health stay at %s until the next start", self._plan.own.listen)
        _log.info("SIGHUP: the configuration is read again")
        logs.hide(plan.secrets())
        self._notifier.reloading()
        self._plan, self._reloading = plan, True
        self._stop.set()

    async def _listen(self) -> None:
        listen = self._plan.own.listen
        place = parse_listen(listen)
        if place is None or self._once:
            return
        self._web = WebServer(*place, self._metrics.render, self._health)
        try:
            await self._web.start()
        except OSError as error:
            words = f"{listen} cannot be listened at ({error.strerror or error})"
            await self._web.stop()
            self._web = None
            if listen != DEFAULT_LISTEN:
                raise ListenError(words) from None
            _log.warning("%s: no metrics and no health; give another place with --listen", words)
            return
        _log.info("metrics and health at http://%s:%d", self._web.host, self._web.port)

    def _health(self) -> Health:
        return self._bridge.health() if self._bridge is not None and self._bridge.opened else _STARTING

    async def _watch(self) -> None:
        """Feed the watchdog while everything gets on, and say how it goes."""
        seconds = self._notifier.watchdog_seconds
        pause = min(_LOOK_SECONDS, seconds / 3) if seconds else _LOOK_SECONDS
        while True:
            health = self._health()
            if not health.stuck:
                self._notifier.alive()
            else:
                _log.error("standing still: %s", ", ".join(health.stuck))
            self._notifier.status(health.status)
            await asyncio.sleep(pause)
