"""The plugin's state in one process of Alerta: its settings, its outbox, and the threads that send."""

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
"""The author of notes about requests that failed."""


class Process(Destination):
    """The plugin's state in one process; a forked child gets its own.

    It is the first product, which is also reconciled. `also` is the second product, while two run side by side.
    """

    def __init__(self, app: Flask) -> None:
        self.pid = os.getpid()
        self.app = app
        settings = read_settings(app.config)
        super().__init__(settings, app.config, self._find, self._report, self._link)
        self.also: Optional[Destination] = None
        if settings.also:
            # Its refusals are only logged: after a note on the alert, people would repeat what the first product did.
            self.also = Destination(settings.also, app.config, self._find, _no_report, _no_report)
        self.sender.duties += filter(None, (make(self) for make in _more_duties))
        self._started = False
        self._sender_process: Optional[SenderProcess] = None
        for problem in settings.problems:
            LOG.error("opsgenie: %s", problem)

    @property
    def destinations(self) -> List[Destination]:
        """All products that the plugin sends to."""
        return [self, self.also] if self.also else [self]

    @property
    def sends(self) -> bool:
        """Whether the plugin is enabled and has a key."""
        return _enabled and self.settings.sends

    def start(self) -> None:
        """Start to send, also requests of an earlier process. Called at each request and by uWSGI's timer."""
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
        """Stop them. Waiting requests stay in the journals."""
        for one in self.destinations:
            one.sender.stop()

    def note_agreed(self, alert_id: str, change: Callable[[AgreedState], AgreedState]) -> None:
        """Record that both sides agree on a change, because it came from the vendor."""
        now = time.time()
        if self.memory:
            self.memory.note(alert_id, lambda known: change(known)._replace(confirmed=True, at_seconds=now))

    def _find(self, alert_id: str) -> Optional[AlertValues]:
        with self.app.app_context():
            alert = _exactly(alert_id)
            return values_of(alert) if alert else None

    def _report(self, alert_id: str, text: str) -> None:
        """Write a note on an alert without a call of the plugins, so that it is not sent to the vendor."""
        with self.app.app_context():
            g.login = REPORTER
            alert = _exactly(alert_id)
            if alert:
                alert.add_note(text)

    def _link(self, alert_id: str, vendor_id: str) -> None:
        """Set the attributes with the vendor's id and the link to its page, without a call of the plugins."""
        if not _VENDOR_ID.fullmatch(vendor_id):
            LOG.warning("opsgenie: alert %s gets no link: the vendor's id is not usable in a URL", alert_id)
            return
        link = self.settings.alert_link.replace("{id}", vendor_id)
        with self.app.app_context():
            alert = _exactly(alert_id)
            if alert:
                alert.update_attributes({"opsgenie-id": vendor_id, "opsgenie-link": link})


def _exactly(alert_id: str) -> Optional[Alert]:
    """Return the alert with exactly that id: Alerta takes an id as a pattern."""
    alert = Alert.find_by_id(alert_id)
    return alert if alert and alert.id == alert_id else None


def _no_report(_alert_id: str, _text: str) -> None:
    """Do nothing."""


_process: Optional[Process] = None
_more_duties: List[Callable[[Process], Optional[Duty]]] = []
_enabled = False
_mutex = threading.Lock()


def add_duty(make: Callable[[Process], Optional[Duty]]) -> None:
    """Register a duty, which `make` returns if the settings want it. A second call changes nothing."""
    if make not in _more_duties:
        _more_duties.append(make)


def enable() -> None:
    """Set that PLUGINS has the plugin: Alerta loads the webhook in any case."""
    global _enabled  # noqa: PLW0603 - Alerta makes plugins without their application
    _enabled = True


def is_enabled() -> bool:
    """Whether PLUGINS has the plugin, so that Alerta calls its hooks."""
    return _enabled


def process() -> Process:
    """Return this process's state. It is made at the first call in an application's context, and after a fork."""
    global _process  # noqa: PLW0603 - one per process
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
    """Return the current application."""
    proxy: Any = current_app
    found: Flask = proxy._get_current_object()  # noqa: SLF001 - documented by Flask
    return found


def settings() -> Settings:
    """Return the settings of the current application."""
    return process().settings


def _after_fork() -> None:
    global _mutex  # noqa: PLW0603 - another thread of the parent may have held it
    _mutex = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
