"""The connector process: signals, reload, service manager, and its web server with metrics, health and page."""

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
from alerta_opsgenie.connector.local_delivery import LocalDelivery
from alerta_opsgenie.connector.metrics import Metrics
from alerta_opsgenie.connector.report import Reporter
from alerta_opsgenie.connector.session import ConnectorSession, Health
from alerta_opsgenie.connector.settings import DEFAULT_LISTEN, Plan, parse_listen
from alerta_opsgenie.core.delivery import CALL_SECONDS
from alerta_opsgenie.page.plugin import PluginFigures
from alerta_opsgenie.page.server import NOT_FOUND, OK, WRONG_METHOD, Request, Response, Server
from alerta_opsgenie.page.site import Page
from alerta_opsgenie.page.view import PageInputs, Part, Problem
from alerta_opsgenie.vendor.problems import ConfigError

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"

_MICROSECONDS = 1_000_000
_DATAGRAMS = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
_UNAVAILABLE = 503
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LOOK_SECONDS = 2.0
_STOP_SLACK_SECONDS = 5.0
_LATE_STOP_SECONDS = 1.0  # for a signal during a reload
_ENABLING = (
    "To let it retry and drop, name a file that holds a token of your own as pageTokenFile in alertaOpsgenie. On the"
    " command line: alerta-opsgenie spool retry, alerta-opsgenie spool drop."
)
_STARTING = Health(ready=False, status="starting")
_log = logging.getLogger(__name__)


class ListenError(Exception):
    """The web server cannot listen at the given address."""


class Notifier:
    """Sends notifications to the service manager (sd_notify(3)), if there is one. `watchdog_seconds`: its limit."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        path = given.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, _DATAGRAMS) if path else None
        self._status = ""
        usec = given.get("WATCHDOG_USEC", "")
        ours = given.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        self.watchdog_seconds = int(usec) / _MICROSECONDS if usec.isdigit() and int(usec) and ours else None

    def send(self, text: str) -> None:
        """Send one of the constants above."""
        # Ignore errors: a manager that is gone or busy may receive the next one.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto(text.encode("utf-8", "replace"), self._address)

    def status(self, text: str) -> None:
        """Send a status line, if it is not the last one sent."""
        if text != self._status:
            self._status = text
            self.send("STATUS=" + " ".join(text.split()))


def no_page(_request: Request) -> Response:
    """Respond where the page is off."""
    return Response(NOT_FOUND, b"there are /metrics, /healthz and /readyz\n")


class WebServer(Server):
    """Serves the metrics of `render`, and `health`; `page` responds to every other path."""

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
    """Runs a configuration until SIGTERM or SIGINT; after SIGHUP the one that `read` returns."""

    def __init__(self, plan: Plan, read: Callable[[], Plan], *, once: bool = False) -> None:
        self._plan = plan
        self._read = read
        self._once = once
        self._metrics = Metrics()
        self.reporter = Reporter(self._metrics)
        self._delivery = LocalDelivery(plan, self.reporter.attempted)
        self._notifier = Notifier()
        self._session: ConnectorSession | None = None
        self._stop = threading.Event()
        self._finished = threading.Event()
        self._is_stopping = False
        self._next_plan: Plan | None = None
        self._reloading = threading.Lock()
        self._web: WebServer | None = None
        self._page: Page | None = None

    def run(self) -> str:
        """Run to the end. Return what was left undone, if anything. Raises `ListenError`, `AddressError`."""
        session = self._make_session(self._plan)
        self._listen()
        self._catch_signals()
        watching = threading.Thread(target=self._watch, name="watch", daemon=True)
        try:
            self._delivery.start(self._stop)
            self._start_session(session)
            watching.start()
            return self._serve(session)
        finally:
            self._finished.set()
            if self._web is not None:
                self._web.stop()

    def _start_session(self, session: ConnectorSession) -> None:
        self._session = session
        session.start()
        self._notifier.send(READY)

    def _serve(self, session: ConnectorSession) -> str:
        while True:
            left = session.run(self._stop, self._is_reloading)
            if self._next_plan is None or self._is_stopping:
                self._delivery.stop(_LATE_STOP_SECONDS)
                return left
            self._stop.clear()
            if self._is_stopping:  # by a signal just before
                self._stop.set()
            self._plan, self._next_plan = self._next_plan, None
            self._make_page()
            self._apply_plan()
            session = self._make_session(self._plan)
            self._start_session(session)

    def _make_session(self, plan: Plan) -> ConnectorSession:
        return ConnectorSession(plan, self._delivery, self._metrics, self.reporter, once=self._once)

    def _is_reloading(self) -> bool:
        return self._next_plan is not None and not self._is_stopping

    def _apply_plan(self) -> None:
        """Keep the deliverer, or replace it after its last attempt has ended."""
        if self._delivery.can_use(self._plan):
            self._delivery.use(self._plan)
            return
        self._delivery.stop(CALL_SECONDS + _STOP_SLACK_SECONDS)
        self._delivery = LocalDelivery(self._plan, self.reporter.attempted)
        self._delivery.start(self._stop)

    def _catch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)

    def _on_stop_signal(self, number: int, _frame: types.FrameType | None) -> None:
        # In a thread: the main thread, which runs this handler, may hold the log's lock.
        self._is_stopping = True
        self._stop.set()
        name = signal.Signals(number).name
        threading.Thread(target=lambda: _log.info("%s: receiving no more messages", name), daemon=True).start()
        self._notifier.send(STOPPING)

    def _on_hangup(self, _number: int, _frame: types.FrameType | None) -> None:
        threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        """Reload the configuration; one that cannot be used changes nothing."""
        with self._reloading:
            try:
                plan = self._read()
                # Check its URLs and CA file; the session that will run is made later.
                self._make_session(plan)
                parse_listen(plan.settings.listen)
            except (ConfigError, AddressError, UsageError) as error:
                self._metrics.reloads.labels("refused").inc()
                advice = f"; {error.advice}" if isinstance(error, ConfigError) else ""
                _log.error("the configuration was not taken over: %s%s", error, advice)
                return
            self._metrics.reloads.labels("taken").inc()
            if plan.settings.listen != self._plan.settings.listen:
                _log.warning("metrics and health stay at %s until the next start", self._plan.settings.listen)
            _log.info("SIGHUP: the configuration is read again")
            logs.hide(plan.secrets())
            logs.set_level(plan.settings.log_level)
            self._notifier.send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")  # ends with `READY`
            self._next_plan = plan
            self._stop.set()

    def _listen(self) -> None:
        listen = self._plan.settings.listen
        place = parse_listen(listen)
        if place is None or self._once:
            return
        self._make_page()
        try:
            web = WebServer(*place, self._metrics.render, self._health, self._answer)
        except OSError as error:
            text = f"cannot listen at {listen} ({error.strerror or error})"
            if listen != DEFAULT_LISTEN:
                raise ListenError(text) from None
            _log.warning("%s: no metrics, no health and no page; give another address with --listen", text)
            return
        web.start()
        self._web = web
        _log.info("metrics and health at %s", web.url)
        if self._page is not None:
            _log.info("the page is at %s/", web.url)

    def _make_page(self) -> None:
        place = parse_listen(self._plan.settings.listen)
        host = self._web.host if self._web is not None else place[0] if place else ""
        source = PageInputs(
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
        self._page = Page(source, host) if self._plan.settings.page == "on" else None

    def _answer(self, request: Request) -> Response:
        return (self._page.answer if self._page else no_page)(request)

    def _queue_part(self) -> Part:
        health = self._health()
        return Part("Queue", health.status, health.ready, health.numbers.get("queue_answered_at", 0.0))

    def _problems(self) -> list[Problem]:
        health = self._health()
        stuck = [Problem(f"{name} makes no progress", "restart the service") for name in health.stuck]
        return [*stuck, *map(Problem, health.problems)]

    def _health(self) -> Health:
        return self._session.health() if self._session is not None else _STARTING

    def _watch(self) -> None:
        seconds = self._notifier.watchdog_seconds
        pause = min(_LOOK_SECONDS, seconds / 3) if seconds else _LOOK_SECONDS
        while True:
            health = self._health()
            if not health.stuck:
                self._notifier.send(ALIVE)
            else:
                _log.error("no progress: %s", ", ".join(health.stuck))
            self._notifier.status(health.status)
            if self._finished.wait(pause):
                return
