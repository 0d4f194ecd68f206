"""What one process of Alerta holds: its settings, its outbox, and the threads that send."""

import atexit
import logging
import os
import re
import threading
import time
from functools import partial
from typing import Any, Callable, List, Optional, Set, Union

from alerta.models.alert import Alert
from flask import Flask, current_app, g

from alerta_opsgenie.clients.opsgenie import OpsgenieClient
from alerta_opsgenie.core.agreed import Agreed
from alerta_opsgenie.core.publish import is_wanted
from alerta_opsgenie.core.wording import Subject
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import uwsgi
from alerta_opsgenie.plugin.alert_values import subject_of
from alerta_opsgenie.plugin.database import Database, DatabaseError
from alerta_opsgenie.plugin.database_journal import DatabaseJournal
from alerta_opsgenie.plugin.memory import Memory
from alerta_opsgenie.plugin.missed import Missed
from alerta_opsgenie.plugin.outbox import Outbox
from alerta_opsgenie.plugin.sender import Duty, Sender
from alerta_opsgenie.plugin.sender_process import SenderProcess
from alerta_opsgenie.plugin.settings import Settings, read_settings

LOG = logging.getLogger("alerta.plugins.opsgenie")

_VENDOR_ID = re.compile(r"[0-9A-Za-z-]{1,64}")

_MOST_SENT = 10_000

REPORTER = "alerta-opsgenie"
"""Whose notes they are that say why something could not be sent."""


class Process:
    """What belongs to one process; a forked child gets its own."""

    def __init__(self, app: Flask) -> None:
        self.pid = os.getpid()
        self.app = app
        self.settings = read_settings(app.config)
        database = Database(app.config) if Database.is_for(app.config) else None
        self.memory = Memory(database) if database else None
        shared = database if self.settings.in_database else None
        self.outbox = Outbox(
            self.settings.spool_directory,
            DatabaseJournal(shared, self.settings.timeout_seconds) if shared else None,
            self.memory,
            self.settings.lock_directory,
        )
        self.sender = Sender(self.outbox, self.settings, self._report, self.memory, self._link)
        if self.memory:
            lease = partial(self.lease, seconds=2.5 * self.settings.compare_seconds)
            look = Missed(self.memory, self.outbox, self.settings.policy, self._find, lease, self.sender.plan,
                          self.settings.compare_seconds).look  # fmt: skip
            self.sender.duties.append(Duty("missed", lambda: self.settings.compare_seconds, look))
        self.sender.duties += filter(None, (make(self) for make in _more_duties))
        self._started = False
        self._leases: Set[str] = set()
        self._sent: Set[str] = set()
        self._sender_process: Optional[SenderProcess] = None
        for problem in self.settings.problems:
            LOG.error("opsgenie: %s", problem)

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
            self.sender.start()
            atexit.register(self.sender.stop)
        else:
            self._sender_process = SenderProcess(self.settings.lock_directory)
            self._sender_process.ensure()

    def note_agreed(self, alert_id: str, change: Callable[[Agreed], Agreed]) -> None:
        """Remember what the vendor has now, because it came from there."""
        if self.memory is None:
            return
        try:
            now = time.time()
            self.memory.change(alert_id, lambda known: change(known)._replace(confirmed=True, at_seconds=now))
        except DatabaseError as error:
            LOG.warning("opsgenie: what alert %s is at the vendor's could not be remembered: %s", alert_id, error)

    def knows(self, alert_id: str, received_at_seconds: float) -> Optional[bool]:
        """Whether the vendor has an alert whose history tells nothing; None: nobody knows."""
        had = self._had(alert_id, received_at_seconds)
        return had.is_open if isinstance(had, Agreed) else had

    def was_missed(self, subject: Subject) -> bool:
        """Whether an open alert was never sent, because another plugin failed before ours was asked.

        Looked up once in this process for each alert. What people closed over there was sent.
        """
        if subject.id in self._sent or not is_wanted(subject.severity, self.settings.policy):
            return False
        if self._had(subject.id, subject.received_at_seconds) is False:
            return True
        if len(self._sent) >= _MOST_SENT:
            self._sent.clear()
        self._sent.add(subject.id)
        return False

    def _had(self, alert_id: str, received_at_seconds: float) -> Union[Agreed, bool, None]:
        """Give what the vendor has of an alert; else whether something of it waits (None: from before the memory)."""
        if self.memory is None:
            return None
        try:
            known = self.memory.read([alert_id]).get(alert_id)
            if known is not None:
                return known
            since = float(self.memory.get_value("since") or "inf")
            return True if self.outbox.journal.waits(alert_id) else None if received_at_seconds < since else False
        except (DatabaseError, JournalError, ValueError) as error:
            LOG.warning("opsgenie: whether the vendor has alert %s is not known: %s", alert_id, error)
            return None

    def lease(self, name: str, seconds: float) -> bool:
        """Take or renew a lease, for what one process of all hosts does; without a database each host does it."""
        if self.memory is None:
            return True
        holder = f"{os.uname().nodename}:{os.getpid()}"
        if not self.memory.lease(name, holder, seconds):
            return False
        if name not in self._leases:  # given back when the process stops, for the next one not to wait
            self._leases.add(name)
            self.sender.closing.append(partial(self.memory.lease, name, holder, 0.0))
        return True

    def client(self) -> OpsgenieClient:
        """Give a client of the vendor's API, for one thread."""
        settings = self.settings
        return OpsgenieClient(
            settings.url, settings.policy.dialect, ca_file=settings.ca_file, environment=settings.proxies
        )

    def _find(self, alert_id: str) -> Optional[Subject]:
        with self.app.app_context():
            alert = Alert.find_by_id(alert_id)
            return subject_of(alert) if alert and alert.id == alert_id else None

    def _report(self, alert_id: str, text: str) -> None:
        """Write a note on an alert, past the plugins: it is not to be sent."""
        with self.app.app_context():
            g.login = REPORTER
            alert = Alert.find_by_id(alert_id)
            if alert and alert.id == alert_id:
                alert.add_note(text)

    def _link(self, alert_id: str, vendor_id: str) -> None:
        """Put the vendor's id of an alert, and the address of its page there, on Alerta's alert, past the plugins."""
        if not _VENDOR_ID.fullmatch(vendor_id):
            LOG.warning("opsgenie: the vendor's id of alert %s is none that a link can hold", alert_id)
            return
        link = self.settings.alert_link.replace("{id}", vendor_id)
        with self.app.app_context():
            alert = Alert.find_by_id(alert_id)
            if alert and alert.id == alert_id:
                alert.update_attributes({"opsgenie-id": vendor_id, "opsgenie-link": link})


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
                _process.sender.stop()
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
