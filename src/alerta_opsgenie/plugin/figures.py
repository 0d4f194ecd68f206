"""The plugin's metrics among Alerta's: `/management/metrics` for Prometheus, `/management/status` as JSON.

Alerta keeps its metrics in its database, so each worker shows those of all. The process that sends writes them a few
times a minute; a hook never does. Alerta's metrics have no labels, so the labels are part of the names:
`alerta_opsgenie_sent_create_done_total`. The names for the second of two products begin with `also_`.
"""

import time
from typing import Dict, List

from alerta.models.metrics import Counter, Gauge

from alerta_opsgenie.clients.opsgenie import Verdict
from alerta_opsgenie.core import reconcile as rules
from alerta_opsgenie.core.last_change import ALERTA, OPSGENIE
from alerta_opsgenie.plugin import arrivals, reconcile, state
from alerta_opsgenie.plugin.destination import Destination
from alerta_opsgenie.plugin.sender import Duty

SECONDS = 15.0
LEASE = "figures"
_ALSO = "also_"

OPERATIONS = (
    "create", "acknowledge", "unacknowledge", "close", "snooze", "assign", "priority", "message", "description", "note",
    "delete",
)  # fmt: skip
GAUGES = {
    "waiting": "Requests to Opsgenie or JSM that wait or are being sent",
    "oldest_waiting_seconds": "Age of the oldest of them",
    "dead_letters": "Requests that the vendor refused and that are not sent again",
    "paused_keys": "Keys that wait for a person or for the vendor",
    "last_good_sweep": "When both sides were last compared as a whole, in seconds since 1970",
    "heartbeat_withheld": "1: the heartbeat at the vendor is not pinged",
    "way_back_dead": "1: actions from the vendor do not arrive in Alerta",
}


class Figures:
    """Writes this process's counters for one product, and gauges of its outbox and of the last comparison."""

    def __init__(self, process: state.Process, one: Destination) -> None:
        self._process = process
        self._one = one
        self._prefix = "" if one is process else _ALSO
        self._begun = False

    def run(self) -> None:
        """Write what was counted since the last call. Raises JournalError."""
        one, gauges = self._one, self._gauges(time.time())
        counts = one.sender.take_counts()
        if one is self._process and not self._begun:
            counts += [(name, 0) for name in _names()]
        try:
            with self._process.app.app_context():
                for name, value in gauges.items():
                    Gauge("opsgenie", self._prefix + name, self._prefix + name, self._described(name)).set(value)
                while counts:
                    name, many = counts[-1]
                    shown = self._prefix + name
                    Counter("opsgenie", shown, shown, f"Opsgenie plugin: {shown}").inc(many)
                    counts.pop()
            self._begun = True
        finally:  # counts that the database did not take are written the next time
            for name, many in counts:
                one.sender.count(name, many)

    def _gauges(self, now: float) -> Dict[str, float]:
        process, one = self._process, self._one
        gauges = {**_waiting(one, now), **one.sender.gauges}
        if one is process and process.lease(LEASE, 4 * SECONDS):
            report = process.memory.get_facts(reconcile.REPORT) if process.memory else {}
            gauges["way_back_dead"] = float(bool(arrivals.problem(process)))
            last_good = 0.0 if report.get("stopped") else float(report.get("at", 0.0))
            gauges.update({"last_good_sweep": last_good} if last_good else {})
        return gauges

    def _described(self, name: str) -> str:
        return f"{GAUGES[name]}, of the other product" if self._prefix else GAUGES[name]


def _waiting(one: Destination, now: float) -> Dict[str, float]:
    found = one.outbox.journal.counts(now)
    return {
        "waiting": float(found.waiting + found.in_flight + len(one.outbox.memory)),
        "oldest_waiting_seconds": round(found.oldest_waiting_seconds, 1),
        "dead_letters": float(found.dead),
        "paused_keys": float(one.sender.paused_keys),
    }


def _names() -> List[str]:
    """Return the counters that exist from the start. The others appear with their first count.

    Up to 9.0.4 Alerta shows 50 counters in all (database/backends/postgres/base.py, `_fetchall`), its own among them.
    """
    sent = [f"sent_{operation}_{Verdict.DONE.value}" for operation in OPERATIONS]
    return [*sent, *(f"drift_repaired_{field}_{side}" for field in rules.FIELDS for side in (ALERTA, OPSGENIE))]


def duty(process: state.Process) -> Duty:
    """Return the duty for the first product, and add one for the second to its own sender."""
    if process.also:
        process.also.sender.duties.append(Duty("figures", lambda: SECONDS, Figures(process, process.also).run))
    return Duty("figures", lambda: SECONDS, Figures(process, process).run)
