"""What one process of Alerta holds: its settings, its outbox, and the threads that send."""

import atexit
import os
import re
import threading
import time
from typing import Any, Callable, List, Optional

from alerta.models.alert import Alert
from flask import Flask, current_app, g

from alerta_opsgenie.core.agreed import AgreedState
from alerta_opsgenie.core.wording import AlertValues
from alerta_opsgenie.plugin import LOG, uwsgi
from alerta_opsgenie.plugin.alert_values import values_of
from alerta_opsgenie.plugin.destination import Destination
from alerta_opsgenie.plugin.sender import Duty
from alerta_opsgenie.plugin.sender_process import SenderProcess
from alerta_opsgenie.plugin.settings import Settings, read_settings

_VENDOR_ID = re.compile(r"[0-9A-Za-z-]{1,64}")

REPORTER = "alerta-opsgenie"
"""Whose notes they are that say why something could not be sent."""


class Process(Destination):
    """What belongs to one process; a forked child gets its own.

    As a destination it is the product that both sides are compared with; `also` is the other one that is told.
    """

    def __init__(self, app: Flask) -> None:
        self.pid = os.getpid()
        self.app = app
        settings = read_settings(app.config)
        super().__init__(settings, app.config, self._find, self._report, self._link)
        self.also: Optional[Destination] = None
        if settings.also:
            # What it refuses is in the log: a note on the alert would have people do twice what is done.
            self.also = Destination(settings.also, app.config, self._find, _nobody, _nobody)
        self.sender.duties += filter(None, (make(self) for make in _more_duties))
        self._started = False
        self._sender_process: Optional[SenderProcess] = None
        for problem in settings.problems:
            LOG.error("opsgenie: %s", problem)

    @property
    def destinations(self) -> List[Destination]:
        """All products that are told."""
        return [self, self.also] if self.also else [self]

    @property
    def sends(self) -> bool:
        """Whether anything goes out: the plugin is enabled and has a key."""
        return _enabled and self.settings.sends

    def start(self) -> None:
        """Start sending, also what an earlier process left; to be called with each request, and by uWSGI's timer."""
        if self._sender_process is not None:
            self._sender_process.ensure()
        if self._started or not _enabled:
            return
        self._started = True
        if not self.settings.sends:
            LOG.error("opsgenie: nothing is sent: set OPSGENIE_SERVICE_KEY or OPSGENIE_SERVICE_KEY_FILE")
            return
        if uwsgi.threads_run():
            self.start_senders()
            atexit.register(self.stop_senders)
        else:
            self._sender_process = SenderProcess(self.settings.lock_directory)
            self._sender_process.ensure()

    def start_senders(self) -> None:
        """Start the threads that send."""
        for one in self.destinations:
            one.sender.start()

    def stop_senders(self) -> None:
        """Stop them; what waits stays in the journals."""
        for one in self.destinations:
            one.sender.stop()

    def note_agreed(self, alert_id: str, change: Callable[[AgreedState], AgreedState]) -> None:
        """Remember what the vendor has now, because it came from there."""
        now = time.time()
        if self.memory:
            self.memory.note(alert_id, lambda known: change(known)._replace(confirmed=True, at_seconds=now))

    def _find(self, alert_id: str) -> Optional[AlertValues]:
        with self.app.app_context():
            alert = _exactly(alert_id)
            return values_of(alert) if alert else None

    def _report(self, alert_id: str, text: str) -> None:
        """Write a note on an alert, past the plugins: it is not to be sent."""
        with self.app.app_context():
            g.login = REPORTER
            alert = _exactly(alert_id)
            if alert:
                alert.add_note(text)

    def _link(self, alert_id: str, vendor_id: str) -> None:
        """Put the vendor's id of an alert, and the address of its page there, on Alerta's alert, past the plugins."""
        if not _VENDOR_ID.fullmatch(vendor_id):
            LOG.warning("opsgenie: the vendor's id of alert %s is none that a link can hold", alert_id)
            return
        link = self.settings.alert_link.replace("{id}", vendor_id)
        with self.app.app_context():
            alert = _exactly(alert_id)
            if alert:
                alert.update_attributes({"opsgenie-id": vendor_id, "opsgenie-link": link})


def _exactly(alert_id: str) -> Optional[Alert]:
    """Find the alert of that id; Alerta takes ids as a pattern."""
    alert = Alert.find_by_id(alert_id)
    return alert if alert and alert.id == alert_id else None


def _nobody(_alert_id: str, _text: str) -> None:
    """Tell nobody."""


_process: Optional[Process] = None
_more_duties: List[Callable[[Process], Optional[Duty]]] = []
_enabled = False
_mutex = threading.Lock()


def add_duty(make: Callable[[Process], Optional[Duty]]) -> None:
    """Have something done from time to time in the process that sends, if the settings want it; once is enough."""
    if make not in _more_duties:
        _more_duties.append(make)


def enable() -> None:
    """Note that the plugin is enabled (PLUGINS): Alerta makes the webhook in any case."""
    global _enabled  # noqa: PLW0603 - Alerta makes plugins without the application they are for
    _enabled = True


def is_enabled() -> bool:
    """Whether the plugin is enabled, so that its hooks are called."""
    return _enabled


def process() -> Process:
    """Give this process's state, made at the first call in an application's context and after a fork."""
    global _process  # noqa: PLW0603 - one per process, by its meaning
    app = application()
    found = _process
    if found is not None and found.pid == os.getpid() and found.app is app:
        return found
    with _mutex:
        if _process is None or _process.pid != os.getpid() or _process.app is not app:
            if _process is not None and _process.pid == os.getpid():
                _process.stop_senders()
            _process = Process(app)
        return _process


def application() -> Flask:
    """Give the application at hand."""
    proxy: Any = current_app
    found: Flask = proxy._get_current_object()  # noqa: SLF001 - Flask's own way to what is behind its proxy
    return found


def settings() -> Settings:
    """Give the settings of the application at hand."""
    return process().settings


def _after_fork() -> None:
    global _mutex  # noqa: PLW0603 - another thread of the parent may have held it
    _mutex = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
