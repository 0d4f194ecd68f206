"""The process: signals, reloading, the service manager, and the pages that show how it goes."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import types
from contextlib import suppress
from typing import Callable, Mapping

from alerta_opsgenie.agent.options import UsageError
from alerta_opsgenie.agent.target import access_of
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.connector import logs
from alerta_opsgenie.connector.front import Front
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.report import Reporter
from alerta_opsgenie.connector.session import ConnectorSession, Health
from alerta_opsgenie.connector.settings import DEFAULT_LISTEN, Plan, parse_listen
from alerta_opsgenie.core.delivery import CALL_SECONDS
from alerta_opsgenie.page.plugin import PluginFigures
from alerta_opsgenie.page.server import NOT_FOUND, OK, WRONG_METHOD, Request, Response, Server
from alerta_opsgenie.page.site import Page
from alerta_opsgenie.page.view import Part, Problem, Source
from alerta_opsgenie.vendor.problems import ConfigError

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"

_MICROSECONDS = 1_000_000
_DATAGRAMS = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
_UNAVAILABLE = 503
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LOOK_SECONDS = 2.0
_STOP_SLACK_SECONDS = 5.0
_LATE_STOP_SECONDS = 1.0  # for a signal that came while the configuration was being read again
_ENABLING = (
    "To let it retry and drop, name a file that holds a token of your own as pageTokenFile in alertaOpsgenie. On the"
    " command line: alerta-opsgenie spool retry, alerta-opsgenie spool drop."
)
_STARTING = Health(ready=False, status="starting")
_log = logging.getLogger(__name__)


class ListenError(Exception):
    """The pages cannot be served at the place that was asked for."""


class Notifier:
    """Tells the service manager (sd_notify(3)), if there is one. It wants to hear from us each `watchdog_seconds`."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        path = given.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, _DATAGRAMS) if path else None
        self._status = ""
        usec = given.get("WATCHDOG_USEC", "")
        ours = given.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        self.watchdog_seconds = int(usec) / _MICROSECONDS if usec.isdigit() and int(usec) and ours else None

    def tell(self, text: str) -> None:
        """Say one of the constants above."""
        # A manager that is gone or busy may hear the next message; we work either way.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto(text.encode("utf-8", "replace"), self._address)

    def reloading(self) -> None:
        """Say that the configuration is being read again; `READY` ends it."""
        self.tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, text: str) -> None:
        """Say in a line how it goes; the same line is said once."""
        if text != self._status:
            self._status = text
            self.tell("STATUS=" + " ".join(text.split()))


def no_page(_request: Request) -> Response:
    """Answer where there is no page."""
    return Response(NOT_FOUND, b"there are /metrics, /healthz and /readyz\n")


class WebServer(Server):
    """Serves what `render` and `health` give; `page` answers to every other path."""

    def __init__(
        self, host: str, port: int, render: Callable[[], bytes], health: Callable[[], Health],
        page: Callable[[Request], Response] = no_page,
    ) -> None:  # fmt: skip
        super().__init__(host, port, self._answer)
        self._render = render
        self._health = health
        self._page = page

    def _answer(self, request: Request) -> Response:
        if request.path not in ("/metrics", "/healthz", "/readyz"):
            return self._page(request)
        if request.method != "GET":
            return Response(WRONG_METHOD, b"it can only be read\n")
        if request.path == "/metrics":
            return Response(OK, self._render(), _METRICS_TYPE)
        health = self._health()
        is_well = not health.stuck and (health.ready or request.path == "/healthz")
        return Response(OK if is_well else _UNAVAILABLE, _show(health, is_well=is_well), "application/json")


def _show(health: Health, *, is_well: bool) -> bytes:
    body = {
        "ok": is_well,
        "status": health.status,
        "ready": health.ready,
        "transport": health.transport,
        "stuck": list(health.stuck),
        "problems": list(health.problems),
        **health.numbers,
    }
    return json.dumps(body).encode("ascii")


class Service:
    """Runs a configuration until SIGTERM or SIGINT, and after SIGHUP the one that `read` gives."""

    def __init__(self, plan: Plan, read: Callable[[], Plan], *, once: bool = False) -> None:
        self._plan = plan
        self._read = read
        self._once = once
        self._metrics = Metrics()
        self.reporter = Reporter(self._metrics)
        self._front = Front(plan, self.reporter.attempted)
        self._notifier = Notifier()
        self._bridge: ConnectorSession | None = None
        self._stop = threading.Event()
        self._over = threading.Event()
        self._ended = False
        self._next: Plan | None = None
        self._reloading = threading.Lock()
        self._web: WebServer | None = None
        self._page: Page | None = None

    def run(self) -> str:
        """Run to the end. Gives what was left undone, if anything. Raises `ListenError`, `AddressError`."""
        bridge = self._make_bridge(self._plan)
        self._listen()
        self._catch_signals()
        watching = threading.Thread(target=self._watch, name="watch", daemon=True)
        try:
            self._front.start(self._stop)
            self._begin(bridge)
            watching.start()
            return self._serve(bridge)
        finally:
            self._over.set()
            if self._web is not None:
                self._web.stop()

    def _begin(self, bridge: ConnectorSession) -> None:
        self._bridge = bridge
        bridge.start()
        self._notifier.tell(READY)

    def _serve(self, bridge: ConnectorSession) -> str:
        while True:
            left = bridge.run(self._stop, self._goes_on)
            if self._next is None or self._ended:
                self._front.stop(_LATE_STOP_SECONDS)
                return left
            self._stop.clear()
            if self._ended:  # by a signal that came just before
                self._stop.set()
            self._plan, self._next = self._next, None
            self._make_page()
            self._take_over()
            bridge = self._make_bridge(self._plan)
            self._begin(bridge)

    def _make_bridge(self, plan: Plan) -> ConnectorSession:
        return ConnectorSession(plan, self._front, self._metrics, self.reporter, once=self._once)

    def _goes_on(self) -> bool:
        return self._next is not None and not self._ended

    def _take_over(self) -> None:
        """Go on with the deliverer, or with another one once no attempt of this one can still be under way."""
        if self._front.serves(self._plan):
            self._front.use(self._plan)
            return
        self._front.stop(CALL_SECONDS + _STOP_SLACK_SECONDS)
        self._front = Front(self._plan, self.reporter.attempted)
        self._front.start(self._stop)

    def _catch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._hang_up)

    def _end(self, number: int, _frame: types.FrameType | None) -> None:
        # A signal handler runs between two steps of the main thread, which may hold the log's lock.
        self._ended = True
        self._stop.set()
        name = signal.Signals(number).name
        threading.Thread(target=lambda: _log.info("%s: taking no more messages", name), daemon=True).start()
        self._notifier.tell(STOPPING)

    def _hang_up(self, _number: int, _frame: types.FrameType | None) -> None:
        threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        """Read the configuration again; one that cannot be used changes nothing."""
        with self._reloading:
            try:
                plan = self._read()
                # Made to see that its URLs and CA file can be used; the one that will run is made on its turn.
                self._make_bridge(plan)
                parse_listen(plan.own.listen)
            except (ConfigError, AddressError, UsageError) as error:
                self._metrics.reloads.labels("refused").inc()
                advice = f"; {error.advice}" if isinstance(error, ConfigError) else ""
                _log.error("the configuration was not taken over: %s%s", error, advice)
                return
            self._metrics.reloads.labels("taken").inc()
            if plan.own.listen != self._plan.own.listen:
                _log.warning("metrics and health stay at %s until the next start", self._plan.own.listen)
            _log.info("SIGHUP: the configuration is read again")
            logs.hide(plan.secrets())
            logs.set_level(plan.own.log_level)
            self._notifier.reloading()
            self._next = plan
            self._stop.set()

    def _listen(self) -> None:
        listen = self._plan.own.listen
        place = parse_listen(listen)
        if place is None or self._once:
            return
        self._make_page()
        web = WebServer(*place, self._metrics.render, self._health, self._answer)
        try:
            web.start()
        except OSError as error:
            words = f"{listen} cannot be listened at ({error.strerror or error})"
            if listen != DEFAULT_LISTEN:
                raise ListenError(words) from None
            _log.warning("%s: no metrics, no health and no page; give another place with --listen", words)
            return
        self._web = web
        _log.info("metrics and health at %s", web.url)
        if self._page is not None:
            _log.info("the page is at %s/", web.url)

    def _make_page(self) -> None:
        place = parse_listen(self._plan.own.listen)
        host = self._web.host if self._web is not None else place[0] if place else ""
        source = Source(
            self._plan.options.spool_directory,
            self._queue_part,
            alerta_at=lambda: self._health().numbers.get("heartbeat_at", 0.0),
            problems=self._problems,
            plugins=[PluginFigures(one.url, one.client) for one in map(access_of, self._plan.each_alerta())],
            ignored=self.reporter.ignored.copy,
            secrets=self._plan.secrets,
            token=lambda: self._plan.page_token,
            enabling=_ENABLING,
        )
        self._page = Page(source, host) if self._plan.own.page == "on" else None

    def _answer(self, request: Request) -> Response:
        return (self._page.answer if self._page else no_page)(request)

    def _queue_part(self) -> Part:
        health = self._health()
        return Part("Queue", health.status, health.ready, health.numbers.get("queue_answered_at", 0.0))

    def _problems(self) -> list[Problem]:
        health = self._health()
        stuck = [Problem(f"{part} stands still", "start the service anew") for part in health.stuck]
        return [*stuck, *map(Problem, health.problems)]

    def _health(self) -> Health:
        return self._bridge.health() if self._bridge is not None else _STARTING

    def _watch(self) -> None:
        seconds = self._notifier.watchdog_seconds
        pause = min(_LOOK_SECONDS, seconds / 3) if seconds else _LOOK_SECONDS
        while True:
            health = self._health()
            if not health.stuck:
                self._notifier.tell(ALIVE)
            else:
                _log.error("standing still: %s", ", ".join(health.stuck))
            self._notifier.status(health.status)
            if self._over.wait(pause):
                return
