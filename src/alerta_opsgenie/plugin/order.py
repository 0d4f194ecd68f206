"""The record of the bridge's actions on an alert, by which Alerta refuses stale and duplicate ones.

The record is a text in the alert's attribute `opsgenie-order`, so all workers and hosts share it. It has the newest
`updatedAt` of each register (`core.order`), the notes and custom actions (acts), and when the alert came again
(`opened`). It ends with a signature, made with Alerta's `SECRET_KEY` for this alert; without a valid signature the
record counts as empty. The attribute is removed from the requests of other clients. A lease (`plugin.lease`) prevents
that two calls read the same record at the same time.
"""

import hashlib
import hmac
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Mapping

from alerta.exceptions import AlertaException, ApiError
from alerta.models.alert import Alert
from flask import current_app, request

from alerta_opsgenie.core.duplicates import (
    RECORD,
    action_digest,
    is_duplicate_record,
    record_key,
    records_of_same_text,
    short_digest,
)
from alerta_opsgenie.core.history import CLOCK_DOUBT_SECONDS
from alerta_opsgenie.core.order import INCIDENT, STATE, stale_registers
from alerta_opsgenie.core.outcome import MERGED_MARK, REDELIVERED_MARK, STALE_MARK
from alerta_opsgenie.core.transitions import EARLIER_OUTAGE
from alerta_opsgenie.plugin import LOG, alarm, guard, lease, state
from alerta_opsgenie.plugin.people import name_owner

if TYPE_CHECKING:
    from alerta_opsgenie.plugin.attribution import BridgeCall

ATTRIBUTE = "opsgenie-order"
OPENED = "opened"
MOST_TAGS = 20
MOST_ACTS = 30
NEWER = "something newer has happened to the alert"
REDELIVERED = f"{REDELIVERED_MARK} the note is there"
MERGED = f"{MERGED_MARK} another integration has delivered it"

_SIGNATURE = "signature"
_MOST_DIGITS = 19  # nanoseconds since the epoch
_CONFLICT = 409
_REGISTERS = {"owner": "owner", "opsgenie-priority": "priority"}  # by the attribute that it orders
_WRITES_ATTRIBUTES = frozenset({"api.receive", "api.update_attributes", "api.bulk_update_attributes"})


class Record:
    """The registers and the acts of one alert. `str` returns the attribute's text without the signature."""

    def __init__(self, text: Any) -> None:
        self.newest: Dict[str, int] = {}
        for part in text.split() if isinstance(text, str) else ():
            name, _, value = part.rpartition("=")
            if name and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
                self.newest[name] = int(value)

    def is_of_earlier_outage(self, updated_ns: int, incident_ns: int) -> bool:
        """Whether the alert came again, or Opsgenie made a new alert, after an action. A time of 0 is unknown."""
        opened_ns = self.newest.get(OPENED, 0) - int(CLOCK_DOUBT_SECONDS * 10**9)
        return 0 < updated_ns < opened_ns or bool(stale_registers([INCIDENT], self.newest, incident_ns))

    def write(self, registers: Iterable[str], updated_ns: int) -> None:
        """Set the registers to a time, if it is newer."""
        for register in registers:
            if updated_ns > self.newest.get(register, 0):
                self.newest[register] = updated_ns

    def skip_reason(self, act: str) -> str:
        """Return why an act is a duplicate: of the same message, or of another integration's; else an empty text."""
        _, _, integration, updated_ns = act.split(":")
        same = {by for at_ns, by in records_of_same_text(act, self.newest) if at_ns == int(updated_ns)}
        if act in self.newest or "" in same or (same and not integration):
            return REDELIVERED
        return MERGED if int(updated_ns) and is_duplicate_record(act, self.newest) else ""

    def write_act(self, act: str) -> None:
        """Add an act."""
        self.newest[act] = int(act.rpartition(":")[2])

    def __str__(self) -> str:
        tags = sorted((name for name in self.newest if name.startswith("tag:")), key=lambda name: self.newest[name])
        acts = [name for name in self.newest if name.startswith(f"{RECORD}:")]
        dropped = {*tags[:-MOST_TAGS], *acts[:-MOST_ACTS]}
        return " ".join(f"{name}={value}" for name, value in self.newest.items() if name not in dropped)


def sign(secret: str, alert_id: str, text: str) -> str:
    """Return a record's text with its signature."""
    signed = f"{ATTRIBUTE} {alert_id} {text}".encode("utf-8", "backslashreplace")
    digest = hmac.new(secret.encode("utf-8", "backslashreplace"), signed, hashlib.sha256).hexdigest()[:32]
    return f"{text} {_SIGNATURE}={digest}"


def verified(secret: str, alert_id: str, signed: Any) -> str:
    """Return the text that `sign` signed for this alert; empty for a wrong signature."""
    text = signed.rpartition(" ")[0] if isinstance(signed, str) else ""
    same = isinstance(signed, str) and hmac.compare_digest(
        sign(secret, alert_id, text).encode("ascii", "backslashreplace"), signed.encode("ascii", "backslashreplace")
    )
    return text if same else ""


def record_of(alert: Alert) -> Record:
    """Read the record of an alert."""
    return Record(verified(_secret(), str(alert.id), alert.attributes.get(ATTRIBUTE)))


def _signed(alert: Alert, record: Record) -> Dict[str, str]:
    """Return the attribute with the signed record."""
    return {ATTRIBUTE: sign(_secret(), str(alert.id), str(record))}


def _secret() -> str:
    return str(current_app.config["SECRET_KEY"])


def act_of(kind: str, call: "BridgeCall") -> str:
    """Return an act's key: person, words, integration and time, so that a duplicate by another connector is found."""
    content = action_digest(kind, call.person, call.words)
    key = content if call.updated_ns else short_digest(content, call.key)
    return record_key(key[:12], short_digest(call.integration)[:6] if call.integration else "", call.updated_ns)


def tag_register(tag: str) -> str:
    """Return a tag's register, as a hash: a tag may contain spaces, the name of a register may not."""
    return f"tag:{hashlib.sha256(tag.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


def drop_forged(endpoint: str) -> None:
    """Remove the record from a request that writes attributes. The plugin adds its own later.

    Alerta's views read the body that is changed here, because Flask parses it once.
    """
    body = request.get_json(silent=True) if endpoint in _WRITES_ATTRIBUTES else None
    attributes = body.get("attributes") if isinstance(body, dict) else None
    if isinstance(attributes, dict) and attributes.pop(ATTRIBUTE, None) is not None:
        LOG.warning("opsgenie: %s is removed from a request: only the plugin writes it", ATTRIBUTE)


# -- A call of the bridge


def refuse_stale(alert: Alert, call: "BridgeCall", *, may_be_no_op: bool = False) -> None:
    """Raise AlertaException (409, `stale: ...`) for a stale change of state; else record it in the attributes.

    Alerta writes the attributes with the change. With `may_be_no_op` Alerta's state machine has not decided yet whether
    the action changes anything, and a no-op from the future must not be recorded: `record_state` records it later.
    """
    record = record_of(alert)
    if record.is_of_earlier_outage(call.updated_ns, _incident_ns(call)):
        _refuse(str(alert.id), EARLIER_OUTAGE.detail)
    if stale_registers([STATE], record.newest, call.updated_ns):
        _refuse(str(alert.id), NEWER)
    if not (may_be_no_op and call.is_ahead):
        record_state(alert, call)


def record_state(alert: Alert, call: "BridgeCall") -> None:
    """Record a change of state in the alert's attributes, which Alerta then writes."""
    if call.updated_ns:
        record = record_of(alert)
        record.write([STATE], call.updated_ns)
        record.write([INCIDENT], _incident_ns(call))
        alert.attributes.update(_signed(alert, record))


def _incident_ns(call: "BridgeCall") -> int:
    """Return when the vendor made its alert; 0 if two products made one each, whose times cannot be compared."""
    return 0 if state.settings().also else call.incident_ns


def _refuse(alert_id: str, why: str) -> None:
    LOG.warning("opsgenie: an action on alert %s is not done: %s", alert_id, why)
    guard.count(guard.STALE)
    raise AlertaException(f"{STALE_MARK} {why}", code=_CONFLICT)


def record_opened(alert: Alert) -> None:
    """Record in the alert's attributes that it comes again after its end."""
    record = record_of(alert)
    record.write([OPENED], time.time_ns())
    alert.attributes.update(_signed(alert, record))


def skip_reason(alert: Alert, act: str) -> str:
    """Return `Record.skip_reason`. An act that another integration delivered too is recorded as well."""
    reason = record_of(alert).skip_reason(act)
    if reason == MERGED:
        record_act(str(alert.id), act)
    return reason


def record_act(alert_id: str, act: str) -> None:
    """Record an act after it was written: if the process dies in between, it is done twice and not lost."""
    _change_record(alert_id, lambda record: record.write_act(act))


def refuse_duplicate(alert: Alert, act: str) -> None:
    """Raise AlertaException (409, `merged: ...`) if another integration delivered the action; else record it later."""
    if skip_reason(alert, act) == MERGED:
        raise AlertaException(MERGED, code=_CONFLICT)
    alert_id = str(alert.id)
    guard.after_success("recording a custom action", lambda: record_act(alert_id, act))


def _change_record(alert_id: str, change: Callable[[Record], None]) -> None:
    """Change the record of an alert as it is in the database now."""
    alert = Alert.find_by_id(alert_id)
    if alert:
        record = record_of(alert)
        change(record)
        alert.update_attributes(_signed(alert, record))


# -- Before Alerta's view runs: checks for which Alerta has no hook


def prepare_call(endpoint: str, alert_id: str, call: "BridgeCall", body: Dict[str, Any]) -> None:
    """Take the alert's lease and adapt the request's body.

    Raises ApiError: 409 for a stale change of tags or attributes, and as `alarm.translate`.
    """
    lease.take(alert_id)
    prepare = _PREPARE.get(endpoint)
    if prepare is None or (prepare is _prepare_action and alarm.model().ways is None):
        return
    alert = Alert.find_by_id(alert_id)
    if alert is None:
        return
    try:
        prepare(alert, body, call.updated_ns)
    except AlertaException as error:
        raise ApiError(error.message, error.code) from None


def _prepare_tags(alert: Alert, body: Dict[str, Any], updated_ns: int) -> None:
    """Remove stale tags from the request, and record the others after it."""
    tags = body.get("tags")
    if not isinstance(tags, list) or not tags or not updated_ns:
        return
    registers = [tag_register(str(tag)) for tag in tags]
    stale = stale_registers(registers, record_of(alert).newest, updated_ns)
    tags[:] = [tag for tag, register in zip(tags, registers) if register not in stale]
    if not tags:
        _refuse(str(alert.id), NEWER)
    written = [register for register in registers if register not in stale]
    change = partial(_change_record, str(alert.id), lambda record: record.write(written, updated_ns))
    guard.after_success("recording tags", change)


def _prepare_attributes(alert: Alert, body: Dict[str, Any], updated_ns: int) -> None:
    """Add the record to a request that sets owner or priority, and name the owner; refuse it if both are stale."""
    attributes = body.get("attributes")
    if not isinstance(attributes, dict):
        return
    name_owner(alert, attributes)
    registers = [register for name, register in _REGISTERS.items() if name in attributes]
    if not registers or not updated_ns:
        return
    record = record_of(alert)
    if len(stale_registers(registers, record.newest, updated_ns)) == len(registers):
        _refuse(str(alert.id), NEWER)
    record.write(registers, updated_ns)
    attributes.update(_signed(alert, record))


def _prepare_action(alert: Alert, body: Dict[str, Any], _updated_ns: int) -> None:
    alarm.translate(alert, body)


_PREPARE: Mapping[str, Callable[[Alert, Dict[str, Any], int], None]] = {
    "api.action_alert": _prepare_action,
    "api.set_status": _prepare_action,
    "api.tag_alert": _prepare_tags,
    "api.untag_alert": _prepare_tags,
    "api.update_attributes": _prepare_attributes,
}
