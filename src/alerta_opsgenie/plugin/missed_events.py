"""Sends the events for which Alerta called no hook: during a blackout, or when housekeeping deletes an alert.

The memory (plugin/memory.py) has the state that both sides agreed on. It is compared with Alerta's alerts from time to
time. A difference is sent if two checks in a row find it and no request for the alert waits in the outbox.

    12:00:00  blackout begins; the vendor has the alert open
    12:05:00  the alert clears; no hook is called
    12:05:40  first check: closed in Alerta, open at the vendor
    12:06:40  second check: the same, so a close is sent
"""

import hashlib
import json
import time
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

from alerta_opsgenie.core.agreed import AgreedState, unsent_requests
from alerta_opsgenie.core.alarm_model import meaning
from alerta_opsgenie.core.events import Event
from alerta_opsgenie.core.history import ENDED
from alerta_opsgenie.core.publish import AlertEvent, Dispatch, Policy, is_normal, publish
from alerta_opsgenie.core.wording import AlertValues
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.memory import Known, Memory
from alerta_opsgenie.plugin.outbox import Outbox
from alerta_opsgenie.plugin.plan_limits import PlanLimits

_LEASE, _LOOKED = "missed", "missed-looked"
_DUE, _LATE = 0.8, 3.0  # in pauses: a check is due; findings are too old

Find = Callable[[str], Optional[AlertValues]]
"""Returns an alert of Alerta as it is now; None if it was deleted."""


class MissedEvents:
    """Looks for events without a hook. The process that sends calls it; a lease lets one process of all hosts run."""

    def __init__(
        self, memory: Memory, outbox: Outbox, policy: Policy, find: Find, lease: Callable[[str], bool],
        plan: PlanLimits, seconds: float,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._memory, self._outbox, self._policy, self._find, self._lease = memory, outbox, policy, find, lease
        self._seconds = seconds

    def check(self) -> None:
        """Compare once, and send the differences that the last check found too. Raises JournalError."""
        now, before = time.time(), self._last_check()
        if 0 <= now - before["at"] < _DUE * self._seconds or not self._lease(_LEASE):
            return
        found = dict(self._differences())
        seen = {alert_id: _digest(dispatch) for alert_id, dispatch in found.items()}
        again = {alert_id: found[alert_id] for alert_id in found if before["seen"].get(alert_id) == seen[alert_id]}
        self._memory.set_facts(_LOOKED, {"at": now, "seen": seen})
        for alert_id, dispatch in again.items():
            LOG.warning("opsgenie: Alerta called no hook for a change of alert %s; now sent: %s", alert_id,
                        ", ".join(request.operation for request in dispatch.requests))  # fmt: skip
            self._outbox.put(dispatch, alert_id)
        self._memory.prune()

    def _last_check(self) -> Dict[str, Any]:
        """Return the time of the last check by any process, and its findings if that is not too long ago."""
        looked = self._memory.get_facts(_LOOKED)
        at, seen = looked.get("at", 0.0), looked.get("seen", {})
        return {"at": at, "seen": seen if time.time() - at < _LATE * self._seconds else {}}

    def _differences(self) -> Iterator[Tuple[str, Dispatch]]:
        for alert_id, known in self._memory.open_alerts().items():
            if self._may_differ(known) and not self._outbox.journal.waits(alert_id):
                dispatch = self._compare(alert_id, known.agreed)
                if dispatch.requests:
                    yield alert_id, dispatch

    def _may_differ(self, known: Known) -> bool:
        """Whether the alert's status and severity differ from what was agreed, so that it has to be read."""
        severity = known.severity or ""
        if known.status is None or meaning(known.status) in ENDED or is_normal(severity, self._policy):
            return True
        agreed = "shelved" if known.agreed.snoozed_until else "ack" if known.agreed.acknowledged else "open"
        priority = self._policy.priorities.get(severity.lower(), self._policy.default_priority)
        return meaning(known.status) != agreed or priority != known.agreed.priority

    def _compare(self, alert_id: str, agreed: AgreedState) -> Dispatch:
        values = self._find(alert_id)
        if values is None:
            gone = AlertValues(alert_id, status="open")
            policy = self._policy._replace(environments=())  # the alert's environment is no longer known
            return publish(gone, [AlertEvent(Event.DELETED)], policy, known=True)
        dispatch = unsent_requests(values, agreed, self._policy, time.time())
        lacks = any(self._plan.lacks(dispatch.route, one.operation) for one in dispatch.requests)
        return dispatch._replace(requests=()) if lacks else dispatch  # else the rest would be sent at each check


def _digest(dispatch: Dispatch) -> str:
    return hashlib.sha256(json.dumps([dispatch.route, dispatch.requests]).encode()).hexdigest()[:16]
