"""One product that the plugin sends to: Opsgenie or JSM, or each of them while both run side by side.

Each has its own journal, memory, lock, threads and pauses, so that a product that does not answer never delays the
other. Which requests are needed is decided per product, by the alerts that it has.
"""

import os
import time
import uuid
from functools import partial
from typing import Any, Callable, Mapping, Optional, Sequence, Set, Union

from alerta_opsgenie.core.agreed import AgreedState
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.publish import AlertEvent, is_wanted, known_by_history, publish
from alerta_opsgenie.core.wording import AlertValues
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.database import Database
from alerta_opsgenie.plugin.database_journal import DatabaseJournal
from alerta_opsgenie.plugin.memory import Memory
from alerta_opsgenie.plugin.missed_events import MissedEvents
from alerta_opsgenie.plugin.outbox import Outbox
from alerta_opsgenie.plugin.request_status import CROSSING
from alerta_opsgenie.plugin.sender import Duty, Report, Sender
from alerta_opsgenie.plugin.settings import Settings

_REPEATABLE = frozenset({"acknowledge", "unacknowledge", "snooze", "close"})
"""May be sent to the product that the action came from: the second time they change nothing."""

_MOST_SENT = 10_000


class Destination:
    """The outbox, the memory and the sender of one product.

    `find` returns an alert of Alerta, `report` writes a note on one, `link` puts the vendor's id on one.
    """

    def __init__(
        self,
        settings: Settings,
        config: Mapping[str, Any],
        find: Callable[[str], Optional[AlertValues]],
        report: Report,
        link: Report,
    ) -> None:
        self.settings = settings
        database = Database(config, settings.product) if Database.is_for(config) else None
        self.memory = Memory(database) if database else None
        shared = database if settings.in_database else None
        self.outbox = Outbox(
            settings.spool_directory,
            DatabaseJournal(shared, settings.timeout_seconds) if shared else None,
            self.memory,
        )
        self.sender = Sender(self.outbox, settings, report, self.memory, link)
        self._leases: Set[str] = set()
        self._holder = uuid.uuid4().hex
        self._sent: Set[str] = set()
        if self.memory:
            lease = partial(self.lease, seconds=2.5 * settings.compare_seconds)
            missed = MissedEvents(self.memory, self.outbox, settings.policy, find, lease, self.sender.plan,
                                  settings.compare_seconds)  # fmt: skip
            self.sender.duties.append(Duty("missed", lambda: settings.compare_seconds, missed.check))

    def send(self, values: AlertValues, acts: Sequence[AlertEvent], *, is_crossing: bool = False) -> None:
        """Put the requests for these events into the outbox.

        `is_crossing`: the action came from one of two products, maybe from this one. So no notes are sent.
        """
        policy = self.settings.policy
        dispatch = publish(values, acts, policy, known=True)
        if dispatch.requests:  # a repeat needs no request, so it costs no query
            dispatch = publish(values, acts, policy, known=self._is_known(values))
        if is_crossing:
            wanted = tuple(request for request in dispatch.requests if request.operation in _REPEATABLE)
            dispatch = dispatch._replace(requests=wanted)
        if dispatch.cut:
            LOG.info("opsgenie: cut to the vendor's limits for alert %s: %s", values.id, ", ".join(dispatch.cut))
        if dispatch.requests:
            self.outbox.put(dispatch, values.id, CROSSING if is_crossing else "")

    def _is_known(self, values: AlertValues) -> Optional[bool]:
        """Whether the product has the alert; None if unknown.

        For the second product the memory alone decides: it is as old as the first request to that product, so an alert
        that it lacks was never sent there, although Alerta's history may be older.
        """
        if self.settings.product and self.memory:
            return self.has_open(values.id, time.time())
        known = known_by_history(values, self.settings.policy)
        return self.has_open(values.id, values.received_at_seconds) if known is None else known

    def has_open(self, alert_id: str, received_at_seconds: float) -> Optional[bool]:
        """Whether the product has the alert open or will have it, by memory and outbox; None if unknown."""
        found = self._look_up(alert_id, received_at_seconds)
        return found.is_open if isinstance(found, AgreedState) else found

    def was_never_sent(self, values: AlertValues) -> bool:
        """Whether an open alert was never sent, because another plugin raised an error before ours was called.

        Looked up once per alert and process. An alert that people closed at the vendor was sent.
        """
        if values.id in self._sent or not is_wanted(values.severity, self.settings.policy):
            return False
        if self._look_up(values.id, values.received_at_seconds) is False:
            return True
        if len(self._sent) >= _MOST_SENT:
            self._sent.clear()
        self._sent.add(values.id)
        return False

    def _look_up(self, alert_id: str, received_at_seconds: float) -> Union[AgreedState, bool, None]:
        """Return what the memory has of an alert; else whether a request for it waits.

        None: not known, or the alert is older than the memory.
        """
        if self.memory is None:
            return None
        try:
            # In this order: the sender writes the memory first, and then removes the request from the journal.
            waits = self.outbox.journal.waits(alert_id)
            known = self.memory.read([alert_id]).get(alert_id)
            since = float(self.memory.get_value("since") or "inf") if known is None else 0.0
        except (JournalError, ValueError) as error:
            LOG.warning("opsgenie: whether the vendor has alert %s is not known: %s", alert_id, error)
            return None
        return known or waits or (None if received_at_seconds < since else False)

    def note(self, values: AlertValues, text: str) -> None:
        """Put a note for the vendor's alert into the outbox."""
        note = AlertEvent(Event.NOTED, text=text)
        self.outbox.put(publish(values, [note], self.settings.policy, known=True), values.id)

    def lease(self, name: str, seconds: float) -> bool:
        """Take or renew a lease, so that one process of all hosts runs a duty; without a database one per host does."""
        if self.memory is None:
            return True
        holder = f"{self._holder}:{os.getpid()}"
        if not self.memory.lease(name, holder, seconds):
            return False
        if name not in self._leases:  # given back when the process stops, so that the next one need not wait
            self._leases.add(name)
            self.sender.closing.append(partial(self.memory.give_back, name, holder))
        return True
