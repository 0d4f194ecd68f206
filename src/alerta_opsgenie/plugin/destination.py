"""One product that is told what happens in Alerta: Opsgenie or JSM, or each of them while both run side by side.

Each has a journal, a memory, a lock, threads and pauses of its own, so that what one does not answer never delays the
other. What is to be told is decided for each by what that product is known to have.
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
from alerta_opsgenie.plugin.missed import Missed
from alerta_opsgenie.plugin.outbox import Outbox
from alerta_opsgenie.plugin.request_status import CROSSING
from alerta_opsgenie.plugin.sender import Duty, Report, Sender
from alerta_opsgenie.plugin.settings import Settings

_ACTS = frozenset({"acknowledge", "unacknowledge", "snooze", "close"})
"""What may be told again to the product that it came from: the second time it changes nothing."""


_MOST_SENT = 10_000


class Destination:
    """What waits for one product, what it is known to have, and the threads that send to it.

    `find` gives an alert of Alerta's, `report` writes a note on one, `link` puts the vendor's id there.
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
            look = Missed(self.memory, self.outbox, settings.policy, find, lease, self.sender.plan,
                          settings.compare_seconds).look  # fmt: skip
            self.sender.duties.append(Duty("missed", lambda: settings.compare_seconds, look))

    def tell(self, values: AlertValues, acts: Sequence[AlertEvent], *, is_crossing: bool = False) -> None:
        """Put the requests for what happened into the outbox.

        `is_crossing`: it came from one of two products, maybe from this one. So it is told without notes.
        """
        policy = self.settings.policy
        dispatch = publish(values, acts, policy, known=True)
        if dispatch.requests:  # a repeat, of which nothing is told, costs no look into the memory
            dispatch = publish(values, acts, policy, known=self._has(values))
        if is_crossing:
            wanted = tuple(request for request in dispatch.requests if request.operation in _ACTS)
            dispatch = dispatch._replace(requests=wanted)
        if dispatch.cut:
            LOG.info("opsgenie: cut to the vendor's limits for alert %s: %s", values.id, ", ".join(dispatch.cut))
        if dispatch.requests:
            self.outbox.put(dispatch, values.id, CROSSING if is_crossing else "")

    def _has(self, values: AlertValues) -> Optional[bool]:
        """Whether the product has the alert.

        What JSM is told beside Opsgenie began with its memory: what that does not know is not there, whatever Alerta's
        history tells.
        """
        if self.settings.product and self.memory:
            return self.knows(values.id, time.time())
        known = known_by_history(values, self.settings.policy)
        return self.knows(values.id, values.received_at_seconds) if known is None else known

    def knows(self, alert_id: str, received_at_seconds: float) -> Optional[bool]:
        """Whether the vendor has an alert whose history tells nothing; None: nobody knows."""
        had = self._had(alert_id, received_at_seconds)
        return had.is_open if isinstance(had, AgreedState) else had

    def was_missed(self, values: AlertValues) -> bool:
        """Whether an open alert was never sent, because another plugin failed before ours was asked.

        Looked up once in this process for each alert. What people closed over there was sent.
        """
        if values.id in self._sent or not is_wanted(values.severity, self.settings.policy):
            return False
        if self._had(values.id, values.received_at_seconds) is False:
            return True
        if len(self._sent) >= _MOST_SENT:
            self._sent.clear()
        self._sent.add(values.id)
        return False

    def _had(self, alert_id: str, received_at_seconds: float) -> Union[AgreedState, bool, None]:
        """Give what the vendor has of an alert; else whether something of it waits (None: from before the memory)."""
        if self.memory is None:
            return None
        try:
            # In this order: what was sent is remembered first, and waits no more after that.
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
        """Take or renew a lease, for what one process of all hosts does; without a database each host does it."""
        if self.memory is None:
            return True
        holder = f"{self._holder}:{os.getpid()}"
        if not self.memory.lease(name, holder, seconds):
            return False
        if name not in self._leases:  # given back when the process stops, for the next one not to wait
            self._leases.add(name)
            self.sender.closing.append(partial(self.memory.give_back, name, holder))
        return True
