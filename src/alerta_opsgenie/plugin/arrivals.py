"""Checks that actions from Opsgenie or JSM still arrive in Alerta.

OEC, JEC, the queue or the webhook can be dead while everything else works. If `SWEEPS` comparisons have repaired
something in Alerta since the last message arrived, the plugin raises an alert in Alerta, sets the gauge
`way_back_dead`, and withholds the heartbeat. A comparison that repairs nothing does not reset the count.
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
"""Names of values in the memory: the time of the last message, and the number of such comparisons since."""

EVENT = "OpsgenieActionsDoNotArrive"
TEXT = (
    "Actions from Opsgenie or JSM do not arrive in Alerta: only the comparison of both sides finds them."
    " Check OEC, JEC, `alerta-opsgenie run` or the webhook; `alerta-opsgenie doctor` names the cause."
)
CLEARED = "Actions from Opsgenie or JSM arrive again."
_NOTE_SECONDS = 30.0

_noted_at = -_NOTE_SECONDS


def note_message(process: state.Process) -> None:
    """Store the time of a message of the bridge, at most every `_NOTE_SECONDS`."""
    global _noted_at  # noqa: PLW0603 - one for all threads of the process
    now = time.monotonic()
    if process.memory is None or now - _noted_at < _NOTE_SECONDS:
        return
    _noted_at = now
    try:
        process.memory.set_value(ARRIVED, str(time.time()))
    except JournalError as error:
        LOG.warning("opsgenie: the time of a message could not be stored: %s", error)


def count_sweeps(before: Dict[str, Any], report: Dict[str, Any], arrived_at: float) -> Dict[str, Any]:
    """Return the state after one more sweep: `count` sweeps have repaired Alerta since the last message (`since`)."""
    since, count = before.get("since", 0.0), before.get("count", 0)
    if arrived_at > since:
        return {"since": arrived_at, "count": 0}
    is_repaired = any(name.endswith(f" {ALERTA}") and many for name, many in report.get("repaired", {}).items())
    return {"since": since, "count": count + is_repaired}


def check(process: state.Process, memory: Memory, report: Dict[str, Any]) -> None:
    """Count the newest sweep, and raise or clear the alert. Raises JournalError."""
    before = memory.get_facts(STATE)
    after = count_sweeps(before, report, float(memory.get_value(ARRIVED) or 0.0))
    is_dead = after["count"] >= SWEEPS
    if is_dead != (before.get("count", 0) >= SWEEPS):
        _raise_or_clear(process, is_dead=is_dead)
    if after != before:  # last: if the alert could not be written, the next sweep tries again
        memory.set_facts(STATE, after)


def problem(process: state.Process) -> str:
    """Return what is wrong, or an empty text. Raises JournalError."""
    memory = process.memory
    if memory is None or memory.get_facts(STATE).get("count", 0) < SWEEPS:
        return ""
    return "actions from the vendor do not arrive in Alerta"


def _raise_or_clear(process: state.Process, *, is_dead: bool) -> None:
    """Raise or clear an alert in Alerta. The plugin sends it to the vendor like any other, so that people see it."""
    LOG.log(logging.ERROR if is_dead else logging.WARNING, "opsgenie: %s", TEXT if is_dead else CLEARED)
    environment = (process.app.config.get("ALLOWED_ENVIRONMENTS") or ["Production"])[0]
    severity = "major" if is_dead else process.app.config.get("DEFAULT_NORMAL_SEVERITY") or "normal"
    with process.app.test_request_context("/"):
        g.login = REPORTER
        process_alert(
            Alert(
                resource="alerta-opsgenie", event=EVENT, environment=environment, severity=severity,
                service=["alerta-opsgenie"], group="Bridge", text=TEXT if is_dead else CLEARED,
                origin=REPORTER,
            )
        )  # fmt: skip
