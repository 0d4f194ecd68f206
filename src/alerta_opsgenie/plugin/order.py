"""What the bridge did to an alert, kept on the alert itself, so that Alerta refuses what comes late or twice.

One text in the attribute `opsgenie-order` holds for all workers and hosts: for each register (`core.order`) the
`updatedAt` of its newest writer, the notes and custom actions as acts, and when the alert came again (`opened`). It
ends in a signature, made with Alerta's `SECRET_KEY` for this one alert; without it the text counts as none. What
others send under that name is taken out of their requests. A lease (`plugin.lease`) keeps two calls from reading the
same state.
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
from alerta_opsgenie.core.order import INCIDENT, STATE
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
_OWNED = {"owner": "owner", "opsgenie-priority": "priority"}
_WRITES_ATTRIBUTES = frozenset({"api.receive", "api.update_attributes", "api.bulk_update_attributes"})


class Record:
    """The registers of one alert, and the acts beside them; `str` gives the attribute's text, without the signature."""

    def __init__(self, text: Any) -> None:
        self.newest: Dict[str, int] = {}
        for part in text.split() if isinstance(text, str) else ():
            name, _, value = part.rpartition("=")
            if name and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
                self.newest[name] = int(value)

    def is_stale(self, register: str, updated_ns: int) -> bool:
        """Whether something newer has written the register; what has no `updatedAt` counts as the newest."""
        return bool(updated_ns) and self.newest.get(register, 0) > updated_ns

    def is_of_earlier_outage(self, updated_ns: int, incident_ns: int) -> bool:
        """Whether the alert came again after an action, or Opsgenie made a new alert; 0 stands for an unknown time."""
        opened_ns = self.newest.get(OPENED, 0) - int(CLOCK_DOUBT_SECONDS * 10**9)
        return 0 < updated_ns < opened_ns or 0 < incident_ns < self.newest.get(INCIDENT, 0)

    def write(self, registers: Iterable[str], updated_ns: int) -> None:
        """Note the newest writer."""
        for register in registers:
            if updated_ns > self.newest.get(register, 0):
                self.newest[register] = updated_ns

    def skip_reason(self, act: str) -> str:
        """Return why an act is not done again: the same message or another integration brought it; else nothing."""
        _, _, integration, updated_ns = act.split(":")
        same = {by for at_ns, by in records_of_same_text(act, self.newest) if at_ns == int(updated_ns)}
        if act in self.newest or "" in same or (same and not integration):
            return REDELIVERED
        return MERGED if int(updated_ns) and is_duplicate_record(act, self.newest) else ""

    def write_act(self, act: str) -> None:
        """Note an act."""
        self.newest[act] = int(act.rpartition(":")[2])

    def __str__(self) -> str:
        tags = sorted((name for name in self.newest if name.startswith("tag:")), key=lambda name: self.newest[name])
        acts = [name for name in self.newest if name.startswith(f"{RECORD}:")]
        dropped = {*tags[:-MOST_TAGS], *acts[:-MOST_ACTS]}
        return " ".join(f"{name}={value}" for name, value in self.newest.items() if name not in dropped)


def sign(secret: str, alert_id: str, text: str) -> str:
    """Add the signature to a record's text."""
    signed = f"{ATTRIBUTE} {alert_id} {text}".encode("utf-8", "backslashreplace")
    digest = hmac.new(secret.encode("utf-8", "backslashreplace"), signed, hashlib.sha256).hexdigest()[:32]
    return f"{text} {_SIGNATURE}={digest}"


def verified(secret: str, alert_id: str, signed: Any) -> str:
    """Give the text that `sign` signed for this alert; an empty one for anything else."""
    text = signed.rpartition(" ")[0] if isinstance(signed, str) else ""
    same = isinstance(signed, str) and hmac.compare_digest(
        sign(secret, alert_id, text).encode("ascii", "backslashreplace"), signed.encode("ascii", "backslashreplace")
    )
    return text if same else ""


def record_of(alert: Alert) -> Record:
    """Read the record of an alert."""
    return Record(verified(_secret(), str(alert.id), alert.attributes.get(ATTRIBUTE)))


def _text_of(alert: Alert, record: Record) -> str:
    return sign(_secret(), str(alert.id), str(record))


def _secret() -> str:
    return str(current_app.config["SECRET_KEY"])


def act_of(kind: str, call: "BridgeCall") -> str:
    """Name an act by who says what when, so that the same one by another connector counts as the same."""
    said = action_digest(kind, call.person, call.words)
    named = said if call.updated_ns else short_digest(said, call.key)
    return record_key(named[:12], short_digest(call.integration)[:6] if call.integration else "", call.updated_ns)


def tag_register(tag: str) -> str:
    """Name a tag's register; tags may hold spaces, which the attribute's text may not."""
    return f"tag:{hashlib.sha256(tag.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


def drop_forged(endpoint: str) -> None:
    """Take the record out of a request that writes attributes: nobody sends one, and our own is added later.

    The views read the very body that is changed here, because Flask parses it once.
    """
    body = request.get_json(silent=True) if endpoint in _WRITES_ATTRIBUTES else None
    attributes = body.get("attributes") if isinstance(body, dict) else None
    if isinstance(attributes, dict) and attributes.pop(ATTRIBUTE, None) is not None:
        LOG.warning("opsgenie: %s is taken out of a request: only the plugin writes it", ATTRIBUTE)


# -- A call of the bridge


def check_state(alert: Alert, call: "BridgeCall", *, may_be_no_op: bool = False) -> None:
    """Refuse a change of state that is stale, else note it on the alert, which Alerta then writes with the change.

    An action is written before Alerta's state machine finds it to be a no-op (`may_be_no_op`). So one whose time lies
    in the future is not noted here but by `note_state`, later. Raises AlertaException for a 409 whose message begins
    with `stale:`.
    """
    record = record_of(alert)
    if record.is_of_earlier_outage(call.updated_ns, _incident_ns(call)):
        _refuse(str(alert.id), EARLIER_OUTAGE.detail)
    if record.is_stale(STATE, call.updated_ns):
        _refuse(str(alert.id), NEWER)
    if not (may_be_no_op and call.is_ahead):
        note_state(alert, call)


def note_state(alert: Alert, call: "BridgeCall") -> None:
    """Note a change of state on the alert, which Alerta then writes."""
    if call.updated_ns:
        record = record_of(alert)
        record.write([STATE], call.updated_ns)
        record.write([INCIDENT], _incident_ns(call))
        alert.attributes[ATTRIBUTE] = _text_of(alert, record)


def _incident_ns(call: "BridgeCall") -> int:
    """Tell when the vendor made its alert; 0 where two products made one each, whose times have no order."""
    return 0 if state.settings().also else call.incident_ns


def _refuse(alert_id: str, why: str) -> None:
    LOG.warning("opsgenie: an action on alert %s is not done: %s", alert_id, why)
    guard.count(guard.STALE)
    raise AlertaException(f"{STALE_MARK} {why}", code=_CONFLICT)


def note_opened(alert: Alert) -> None:
    """Note on an alert that it is about to come again after its end."""
    record = record_of(alert)
    record.write([OPENED], time.time_ns())
    alert.attributes[ATTRIBUTE] = _text_of(alert, record)


def skip_reason(alert: Alert, act: str) -> str:
    """Return why an act is not done again, as `Record.skip_reason`; the second one of a pair is noted too."""
    why = record_of(alert).skip_reason(act)
    if why == MERGED:
        remember(str(alert.id), act)
    return why


def remember(alert_id: str, act: str) -> None:
    """Note that an act was told. After the writing, not before: twice is better than never."""
    _write(alert_id, lambda record: record.write_act(act))


def check_not_recorded(alert: Alert, act: str) -> None:
    """Refuse a custom action that another integration has brought already, else note it once it is done.

    Raises AlertaException for a 409 whose message begins with `merged:`.
    """
    if skip_reason(alert, act) == MERGED:
        raise AlertaException(MERGED, code=_CONFLICT)
    alert_id = str(alert.id)
    guard.after_success("noting a custom action", lambda: remember(alert_id, act))


def _write(alert_id: str, change: Callable[[Record], None]) -> None:
    """Change the record of an alert as it is in the database now."""
    alert = Alert.find_by_id(alert_id)
    if alert:
        record = record_of(alert)
        change(record)
        alert.update_attributes({ATTRIBUTE: _text_of(alert, record)})


# -- The same around Alerta's own views, for calls by HTTP


def enter(endpoint: str, alert_id: str, call: "BridgeCall", body: Dict[str, Any]) -> None:
    """Begin a call that changes an alert: others wait; a stale change of tags or attributes ends here with a 409.

    So does an action that has no way in Alerta's alarm model.
    """
    lease.take(alert_id)
    change = _AROUND.get(endpoint)
    if change is _around_action and alarm.model().ways is None:
        return
    alert = Alert.find_by_id(alert_id) if change else None
    if change is None or alert is None:
        return
    try:
        change(alert, body, call.updated_ns)
    except AlertaException as error:
        raise ApiError(error.message, error.code) from None


def _around_tags(alert: Alert, body: Dict[str, Any], updated_ns: int) -> None:
    """Leave out the tags that something newer has written, and note the newest writer of the others."""
    tags = body.get("tags")
    if not isinstance(tags, list) or not tags or not updated_ns:
        return
    record = record_of(alert)
    tags[:] = [tag for tag in tags if not record.is_stale(tag_register(str(tag)), updated_ns)]
    if not tags:
        _refuse(str(alert.id), NEWER)
    alert_id, registers = str(alert.id), [tag_register(str(tag)) for tag in tags]
    note = partial(_write, alert_id, lambda record: record.write(registers, updated_ns))
    guard.after_success("noting whose tags are the newest", note)


def _around_attributes(alert: Alert, body: Dict[str, Any], updated_ns: int) -> None:
    """Let the record be written along with owner and priority, if they are not stale."""
    attributes = body.get("attributes")
    if not isinstance(attributes, dict):
        return
    name_owner(alert, attributes)
    registers = [register for name, register in _OWNED.items() if name in attributes]
    if not registers or not updated_ns:
        return
    record = record_of(alert)
    if all(record.is_stale(register, updated_ns) for register in registers):
        _refuse(str(alert.id), NEWER)
    record.write(registers, updated_ns)
    attributes[ATTRIBUTE] = _text_of(alert, record)


def _around_action(alert: Alert, body: Dict[str, Any], _updated_ns: int) -> None:
    alarm.translate(alert, body)


_AROUND: Mapping[str, Callable[[Alert, Dict[str, Any], int], None]] = {
    "api.action_alert": _around_action,
    "api.set_status": _around_action,
    "api.tag_alert": _around_tags,
    "api.untag_alert": _around_tags,
    "api.update_attributes": _around_attributes,
}
