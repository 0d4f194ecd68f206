"""What the bridge did to an alert, kept on the alert itself, so that Alerta refuses what comes late or twice.

Each register (`core.order`: the state, the owner, the priority, each tag) remembers the `updatedAt` of its newest
writer; notes are remembered by a digest. All of it is one short text in the attribute `opsgenie-order`, so that it
holds for all workers and hosts. While a call of the bridge is worked on, a lock on the alert (PostgreSQL's advisory
one, given up with the request's connection) keeps the next one out: without it, two calls that read the same state
could be written in either order.
"""

import hashlib
import logging
from typing import Any, Callable, Dict, Iterable, List, Mapping

from alerta.app import db
from alerta.exceptions import AlertaException, ApiError
from alerta.models.alert import Alert
from flask import Response, after_this_request

from alerta_opsgenie.core.order import STATE
from alerta_opsgenie.core.outcome import REDELIVERED_MARK, STALE_MARK

LOG = logging.getLogger("alerta.plugins.opsgenie")

ATTRIBUTE = "opsgenie-order"
MOST_TAGS = 20
MOST_NOTES = 20
STALE = f"{STALE_MARK} something newer has happened to the alert"
REDELIVERED = f"{REDELIVERED_MARK} the note is there"

_NOTE = "note"
_MOST_DIGITS = 19  # nanoseconds since the epoch
_DONE = 200
_CONFLICT = 409
_LOCK_SPACE = 0x4F50  # keeps our advisory locks apart from anybody else's
_LOCK = "SET lock_timeout = '5s'; SELECT pg_advisory_lock(%s, hashtext(%s)); SET lock_timeout = DEFAULT"
_OWNED = {"owner": "owner", "opsgenie-priority": "priority"}


class Record:
    """The registers and notes of one alert; `str` gives the attribute's text."""

    def __init__(self, text: Any) -> None:
        self.newest: Dict[str, int] = {}
        self.notes: List[str] = []
        for part in text.split() if isinstance(text, str) else ():
            name, _, value = part.rpartition("=")
            if name == _NOTE:
                self.notes.append(value)
            elif name and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
                self.newest[name] = int(value)

    def is_stale(self, register: str, updated_ns: int) -> bool:
        """Whether something newer has written the register; what has no `updatedAt` counts as the newest."""
        return bool(updated_ns) and self.newest.get(register, 0) > updated_ns

    def write(self, registers: Iterable[str], updated_ns: int) -> None:
        """Note the newest writer."""
        for register in registers:
            if updated_ns > self.newest.get(register, 0):
                self.newest[register] = updated_ns

    def write_note(self, digest: str) -> None:
        """Note a note."""
        self.notes = [*(note for note in self.notes if note != digest), digest][-MOST_NOTES:]

    def __str__(self) -> str:
        tags = sorted((name for name in self.newest if name.startswith("tag:")), key=lambda name: self.newest[name])
        kept = {name: value for name, value in self.newest.items() if name not in tags[:-MOST_TAGS]}
        parts = [f"{name}={value}" for name, value in kept.items()] + [f"{_NOTE}={note}" for note in self.notes]
        return " ".join(parts)


def record_of(alert: Alert) -> Record:
    """Read the record of an alert."""
    return Record(alert.attributes.get(ATTRIBUTE))


def note_digest(text: str, updated_ns: int, key: str) -> str:
    """Name a note: by its instant and text, so that the same one by another connector counts as the same."""
    return hashlib.sha256(f"{updated_ns or key}:{text}".encode("utf-8", "backslashreplace")).hexdigest()[:16]


def tag_register(tag: str) -> str:
    """Name a tag's register; tags may hold spaces, which the attribute's text may not."""
    return f"tag:{hashlib.sha256(tag.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


# -- A call of the bridge


def lock(alert_id: str) -> None:
    """Keep other calls of the bridge for that alert out until the request's database connection is closed."""
    connection = db.get_db()
    if not type(connection).__module__.startswith("psycopg2"):
        return  # MongoDB has no such lock; there the order of two at once is open
    try:
        connection.cursor().execute(_LOCK, (_LOCK_SPACE, alert_id.lower()))
    except Exception as error:  # noqa: BLE001 - the driver's own kinds of error are none of our imports
        connection.rollback()
        LOG.warning("opsgenie: another call for alert %s takes too long: %s", alert_id, " ".join(str(error).split()))
        raise ApiError(f"another call for alert {alert_id} takes too long", 503) from None


def check_state(alert: Alert, updated_ns: int) -> None:
    """Refuse a change of state that is stale, else note it on the alert, which Alerta then writes with the change.

    Raises AlertaException for a 409 whose message begins with `stale:`.
    """
    record = record_of(alert)
    if record.is_stale(STATE, updated_ns):
        raise AlertaException(STALE, code=_CONFLICT)
    if updated_ns:
        record.write([STATE], updated_ns)
        alert.attributes[ATTRIBUTE] = str(record)


def note_refused(alert_id: str, updated_ns: int) -> None:
    """Note a change that Alerta refuses because it is a no-op: an older one is stale all the same."""
    if updated_ns:
        _write(alert_id, lambda record: record.write([STATE], updated_ns))


def is_redelivered(alert: Alert, text: str, updated_ns: int, key: str) -> bool:
    """Whether that note was written before."""
    return note_digest(text, updated_ns, key) in record_of(alert).notes


def remember_note(alert_id: str, text: str, updated_ns: int, key: str) -> None:
    """Note that a note was written. After the writing, not before: twice is better than never."""
    digest = note_digest(text, updated_ns, key)
    _write(alert_id, lambda record: record.write_note(digest))


def fresh_tags(alert: Alert, tags: List[str], updated_ns: int) -> List[str]:
    """Leave out the tags that something newer has written."""
    record = record_of(alert)
    return [tag for tag in tags if not record.is_stale(tag_register(str(tag)), updated_ns)]


def write_tags(alert_id: str, tags: Iterable[str], updated_ns: int) -> None:
    """Note the newest writer of tags."""
    if updated_ns:
        registers = [tag_register(str(tag)) for tag in tags]
        _write(alert_id, lambda record: record.write(registers, updated_ns))


def claim_attributes(alert: Alert, attributes: Dict[str, Any], updated_ns: int) -> None:
    """Let the record be written along with some attributes. Raises AlertaException if they are stale."""
    registers = [register for name, register in _OWNED.items() if name in attributes]
    if not registers or not updated_ns:
        return
    record = record_of(alert)
    if all(record.is_stale(register, updated_ns) for register in registers):
        raise AlertaException(STALE, code=_CONFLICT)
    record.write(registers, updated_ns)
    attributes[ATTRIBUTE] = str(record)


def _write(alert_id: str, change: Callable[[Record], None]) -> None:
    """Change the record of an alert as it is in the database now."""
    alert = Alert.find_by_id(alert_id)
    if alert:
        record = record_of(alert)
        change(record)
        alert.update_attributes({ATTRIBUTE: str(record)})


# -- The same around Alerta's own views, for calls by HTTP


def enter(endpoint: str, alert_id: str, updated_ns: int, body: Dict[str, Any]) -> None:
    """Begin a call that changes an alert: others wait; a stale change of tags or attributes ends here with a 409.

    The views read the very body that is changed here, because Flask parses it once.
    """
    lock(alert_id)
    if endpoint == "api.action_alert":
        _after(lambda response: note_refused(alert_id, updated_ns) if _is_no_op(response) else None)
    change = _AROUND.get(endpoint)
    alert = Alert.find_by_id(alert_id) if change else None
    if change is None or alert is None:
        return
    try:
        change(alert, body, updated_ns)
    except AlertaException as error:
        raise ApiError(error.message, error.code) from None


def _is_no_op(response: Response) -> bool:
    return response.status_code == _CONFLICT and STALE.encode() not in response.get_data()


def _around_tags(alert: Alert, body: Dict[str, Any], updated_ns: int) -> None:
    tags = body.get("tags")
    if not isinstance(tags, list) or not tags:
        return
    fresh = fresh_tags(alert, tags, updated_ns)
    if not fresh:
        raise AlertaException(STALE, code=_CONFLICT)
    tags[:] = fresh
    alert_id = str(alert.id)
    _after(lambda response: write_tags(alert_id, fresh, updated_ns) if response.status_code == _DONE else None)


def _around_attributes(alert: Alert, body: Dict[str, Any], updated_ns: int) -> None:
    attributes = body.get("attributes")
    if isinstance(attributes, dict):
        claim_attributes(alert, attributes, updated_ns)


_AROUND: Mapping[str, Callable[[Alert, Dict[str, Any], int], None]] = {
    "api.tag_alert": _around_tags,
    "api.untag_alert": _around_tags,
    "api.update_attributes": _around_attributes,
}


def _after(do: Callable[[Response], None]) -> None:
    @after_this_request
    def done(response: Response) -> Response:
        do(response)
        return response
