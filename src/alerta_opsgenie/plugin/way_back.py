"""Watches the way back: whether what people do in Opsgenie or JSM still arrives by itself.

OEC, JEC, the queue or the webhook can be dead while everything else looks well. Where the reconciliation has found
changes over there in some sweeps running, and no message came in all that time, the way back is dead: an alert in
Alerta and the figures say so, and the heartbeat is withheld.
"""

import logging
import time
from typing import Any, Dict

from alerta.models.alert import Alert
from alerta.utils.api import process_alert
from flask import g

from alerta_opsgenie.core.last_change import ALERTA
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG, state
from alerta_opsgenie.plugin.memory import Memory
from alerta_opsgenie.plugin.state import REPORTER

SWEEPS = 3
ARRIVED, STATE = "arrived", "way-back"
"""Names of what is kept in the memory: when a message last came, and the judgement."""

EVENT = "OpsgenieActionsDoNotArrive"
TEXT = (
    "What people do in Opsgenie or JSM does not arrive by itself: only the comparison of both sides finds it."
    " See to OEC, JEC, `alerta-opsgenie run` or the webhook; `alerta-opsgenie doctor` names the cause."
)
ALIVE = "What people do in Opsgenie or JSM arrives again."
_NOTE_SECONDS = 30.0


class Arrivals:
    """Notes in the memory that a message came, not more often than needed. For any thread of one process."""

    def __init__(self) -> None:
        self._noted_at = -_NOTE_SECONDS

    def note(self, process: state.Process) -> None:
        """A message of the bridge's came."""
        now = time.monotonic()
        if process.memory is None or now - self._noted_at < _NOTE_SECONDS:
            return
        self._noted_at = now
        try:
            process.memory.set_value(ARRIVED, str(time.time()))
        except JournalError as error:
            LOG.warning("opsgenie: that a message came could not be noted: %s", error)


arrivals = Arrivals()


def judge(before: Dict[str, Any], report: Dict[str, Any], arrived_at: float) -> Dict[str, Any]:
    """Count the sweeps that repaired what no message told of: since the newest message, one after the other."""
    since, count = before.get("since", 0.0), before.get("count", 0)
    if arrived_at > since:
        return {"since": arrived_at, "count": 0}
    is_repaired = any(name.endswith(f" {ALERTA}") and many for name, many in report.get("repaired", {}).items())
    return {"since": since, "count": count + is_repaired}


def look(process: state.Process, memory: Memory, report: Dict[str, Any]) -> None:
    """Judge by the newest sweep, and raise or clear the alert. Raises JournalError."""
    before = memory.get_facts(STATE)
    after = judge(before, report, float(memory.get_value(ARRIVED) or 0.0))
    is_dead = after["count"] >= SWEEPS
    if is_dead != (before.get("count", 0) >= SWEEPS):
        _tell(process, is_dead=is_dead)
    if after != before:  # last: what could not be told is told after the next sweep
        memory.set_facts(STATE, after)


def problem(process: state.Process) -> str:
    """Name what is wrong with the way back; empty: nothing that is known. Raises JournalError."""
    memory = process.memory
    if memory is None or memory.get_facts(STATE).get("count", 0) < SWEEPS:
        return ""
    return "what people do over there does not arrive here"


def _tell(process: state.Process, *, is_dead: bool) -> None:
    """Raise an alert in Alerta, or clear it. It is sent to the vendor like any other, for somebody has to know."""
    LOG.log(logging.ERROR if is_dead else logging.WARNING, "opsgenie: %s", TEXT if is_dead else ALIVE)
    environment = (process.app.config.get("ALLOWED_ENVIRONMENTS") or ["Production"])[0]
    severity = "major" if is_dead else process.app.config.get("DEFAULT_NORMAL_SEVERITY") or "normal"
    with process.app.test_request_context("/"):
        g.login = REPORTER
        process_alert(
            Alert(
                resource="alerta-opsgenie", event=EVENT, environment=environment, severity=severity,
                service=["alerta-opsgenie"], group="Bridge", text=TEXT if is_dead else ALIVE,
                origin=REPORTER,
            )
        )  # fmt: skip
