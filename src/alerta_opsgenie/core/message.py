"""Read and check an action message of OEC, JEC or an outgoing webhook.

All three have one format (https://support.atlassian.com/opsgenie/docs/opsgenie-edge-connector-alert-action-data/).
Fields that an action does not need are not checked. If a needed field is missing or has a wrong type, the functions
raise `MessageError` with its JSON path.
"""

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from .digest import hex_digest
from .instants import SMALLEST_NS, iso_seconds, seconds_by_size
from .people import People, clean_name, clean_text, harmless_name, is_account_id, named

LARGEST_MESSAGE_BYTES = 1024 * 1024
"""SQS takes messages up to 1 MiB (256 KiB until 2025); anything larger is no message."""

PRIORITIES = ("P1", "P2", "P3", "P4", "P5")

ALERT_IN_DETAILS = ("alertaId", "alias")
"""Fields of `details` that can hold the full id of an alert in Alerta; the first that is present counts."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_LARGEST_NS = 2**63 - 1
_MOST_DIGITS = 19
_DEEPEST = 50  # real messages have four levels; Python's own limit would raise later, while a value is written
_LONGEST_REQUEST_ID = 100  # the connectors' are UUIDs


class MessageError(ValueError):
    """The message cannot be used: `path` is the JSON path of the fault, `what` describes it."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


class Message(NamedTuple):
    """A message with a valid envelope. The functions of this module read its fields.

    `key` is the same for each delivery of one message. `updated_ns` is the alert's `updatedAt` in nanoseconds since the
    epoch, by which actions are ordered; 0 if the message has none. `people` holds the logins of the people in the
    message (`with_people`); None without a people file.
    """

    action: str
    key: str
    updated_ns: int
    alert: Optional[Mapping[str, Any]]
    envelope: Mapping[str, Any]
    people: Optional[People] = None


def parse(text: Union[str, bytes]) -> Message:
    """Read one message. Raises `MessageError`, and no other exception, for any other input."""
    if len(text) > LARGEST_MESSAGE_BYTES:
        raise MessageError("$", f"is larger than {LARGEST_MESSAGE_BYTES} bytes")
    return _read(text)


def _read(text: Union[str, bytes]) -> Message:
    envelope = _json_object(text)
    action = clean_name(_string(envelope, "action", "$.action"))
    if not action:
        raise MessageError("$.action", "is empty")
    alert = envelope.get("alert")
    if alert is not None and not isinstance(alert, dict):
        raise MessageError("$.alert", f"expected an object, found {_type_name(alert)}")
    message = Message(action, "", _nanoseconds((alert or {}).get("updatedAt")), alert, envelope)
    return message._replace(key=_key(message, text))


def _json_object(text: Union[str, bytes]) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except UnicodeDecodeError as error:
        raise MessageError("$", f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MessageError("$", f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (RecursionError, ValueError):
        raise MessageError("$", "is not JSON that can be read: nested too deep, or a number too long") from None
    if not isinstance(value, dict):
        raise MessageError("$", f"expected an object, found {_type_name(value)}")
    if _deeper_than(_DEEPEST, value):
        raise MessageError("$", f"is nested deeper than {_DEEPEST} levels")
    return value


def _deeper_than(levels: int, value: Any) -> bool:
    level = [value]
    for _ in range(levels):
        level = [part for whole in level for part in (whole.values() if isinstance(whole, dict) else whole)]
        level = [part for part in level if isinstance(part, (dict, list))]
        if not level:
            return False
    return True


def _key(message: Message, text: Union[str, bytes]) -> str:
    """Return the idempotency key: a digest of the request id and of the fields that the relay reads.

    The request id alone is not enough: one request can act on two alerts. Without a request id the whole text counts.
    """
    request_id = message.envelope.get("requestId")
    if isinstance(request_id, str) and 0 < len(request_id) <= _LONGEST_REQUEST_ID:
        text = f"{request_id}\0{journal_body(message)}"
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return hex_digest(raw)


def _nanoseconds(value: Any) -> int:
    """Read `updatedAt`: nanoseconds by the documentation and every capture. A small number is in milliseconds."""
    number = _whole_number(value)
    number = number * 1_000_000 if number < SMALLEST_NS else number
    return number if number <= _LARGEST_NS else 0


def _whole_number(value: Any) -> int:
    """Read a positive 64-bit number, or the same as a text of digits; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        value = int(value)
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_NS
    return value if usable else 0


# -- Who and what


def alias(message: Message) -> Optional[str]:
    """Return the alert's alias, which is its id in Alerta; None if it has none.

    A message without `alert` can have it in its `details`: `ALERT_IN_DETAILS`.
    """
    if message.alert is None:
        return next(iter(_named_in_details(message).values()), None)
    value = message.alert.get("alias")
    if value is None or value == "":
        return None
    return _string(message.alert, "alias", "$.alert.alias")


def _named_in_details(message: Message) -> Mapping[str, str]:
    found = {name: text_of(message.envelope.get("details"), name) for name in ALERT_IN_DETAILS}
    return {name: alias for name, alias in found.items() if alias}


def shown_alias(message: Message) -> str:
    """Return the alias for logs: short, on one line; empty if there is none."""
    try:
        return clean_name(alias(message) or "")[:40]
    except MessageError:
        return ""


def is_uuid(text: str) -> bool:
    """Whether the text is a full UUID. Alerta takes an id as a pattern, so nothing else may be in a path."""
    return _UUID.fullmatch(text) is not None


def alert_source(message: Message) -> str:
    """Return the `source` with which the alert was created; empty if the message has none."""
    return text_of(message.alert, "source")


def origin(message: Message) -> Tuple[str, str]:
    """Return name and type of the source of the action (`$.source`), in lower case; empty if absent."""
    source = message.envelope.get("source")
    return text_of(source, "name").strip().lower(), text_of(source, "type").strip().lower()


def with_people(message: Message, people: Optional[People]) -> Message:
    """Return the message with the logins of the people that it names, so that it shows them by login."""
    if people is None:
        return message
    names = (_name_in(message, field) for field in ("username", "userFullName", "owner", "responder", "recipient"))
    ids = {harmless_name(name).casefold() for name in names}
    return message._replace(people={one: people[one] for one in ids if one in people})


def actor(message: Message) -> str:
    """Return the name of the person (or machine) who acted: one line, no control characters.

    It is the login if the people file has one. The full name replaces an account id that the file does not have.
    """
    claimed = claimed_actor(message)
    name, full = named(claimed, message.people), _harmless(message, "userFullName")
    if full and is_account_id(name):
        name = named(full, message.people)
    return name or console(message)


def claimed_actor(message: Message) -> str:
    """Return the name or id of who acted as in the message; empty if it has none."""
    return _harmless(message, "username") or _harmless(message, "userFullName")


def _harmless(message: Message, field: str) -> str:
    return harmless_name(text_of(message.alert, field))


def console(message: Message) -> str:
    """Return the product that sent the message. Only JEC delivers messages without `alert`."""
    is_jec = message.alert is None or text_of(message.envelope, "integrationType").upper() == "JEC"
    return "Jira Service Management" if is_jec else "Opsgenie"


# -- What the actions carry


def note(message: Message) -> str:
    """Return the note of an AddNote. Raises `MessageError` if there is none."""
    return _needed_text(message, "note")


def optional_note(message: Message) -> str:
    """Return the note of an acknowledge or a close; empty if there is none."""
    return clean_text(text_of(message.alert, "note")).strip()


def owner(message: Message) -> str:
    """Return the name of the new owner: `owner`; for TakeOwnership without it the person who acted."""
    return actor(message) if _is_own(message) else named(claimed_owner(message), message.people)


def claimed_owner(message: Message) -> str:
    """Return the owner's name or id as in the message. Raises `MessageError` if it has none."""
    if _is_own(message):
        return claimed_actor(message)
    name = harmless_name(_needed_text(message, "owner"))
    if not name:
        raise MessageError("$.alert.owner", "is no name")
    return name


def _is_own(message: Message) -> bool:
    return message.action == "TakeOwnership" and (message.alert or {}).get("owner") in (None, "")


def tags(message: Message, field: str) -> List[str]:
    """Return the tags of `addedTags` or `removedTags`: one text with commas, or a list."""
    value = (message.alert or {}).get(field)
    if isinstance(value, list):
        parts = [part for part in value if isinstance(part, str)]
    else:
        parts = _needed_text(message, field).split(",")
    found = [harmless_name(part) for part in parts]
    wanted = [tag for tag in dict.fromkeys(found) if tag]
    if not wanted:
        raise MessageError(f"$.alert.{field}", "names no tag")
    return wanted


def priority(message: Message) -> str:
    """Return the priority as P1 to P5. Webhooks of 2017 sent numbers, today's messages have the name."""
    value = (message.alert or {}).get("priority")
    text = f"P{value}" if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and len(text) == 1:
        text = f"P{text}"
    if not isinstance(text, str) or text.upper() not in PRIORITIES:
        raise MessageError("$.alert.priority", "expected P1 to P5")
    return text.upper()


def snooze_end_seconds(message: Message) -> float:
    """Return the end of the snooze, in seconds since the epoch.

    `snoozedUntil` counts milliseconds (a number, or a text of digits); `snoozeEndDate` is a date whose format is
    not documented, so ISO 8601 is read with `T` or a space, with or without zone (UTC) and fraction.
    """
    alert = message.alert or {}
    until, end = alert.get("snoozedUntil"), alert.get("snoozeEndDate")
    number = _whole_number(until)
    if number:
        return seconds_by_size(number)
    seconds = iso_seconds(end) if isinstance(end, str) else None
    if seconds is not None:
        return seconds
    if until is None and end is None:
        raise MessageError("$.alert.snoozedUntil", "is missing, and so is $.alert.snoozeEndDate")
    raise MessageError(
        "$.alert.snoozedUntil" if until is not None else "$.alert.snoozeEndDate", "is no instant that can be read"
    )


def named_thing(message: Message, field: str) -> str:
    """Return the name of a responder, team or recipient, or a text, on one line; empty if absent.

    Whether a responder is a text or an object is not documented, so both are read.
    """
    return named(clean_name(_name_in(message, field)), message.people)


def _name_in(message: Message, field: str) -> str:
    value = (message.alert or {}).get(field)
    names = (text_of(value, key) for key in ("name", "username", "id"))
    return value if isinstance(value, str) else next(filter(None, names), "")


def escalation(message: Message) -> str:
    """Return the name of the escalation of an Escalate; empty if absent."""
    return clean_name(text_of(message.envelope, "escalationName"))


def integration(message: Message) -> str:
    """Return the id of the integration that sent the message; empty if absent."""
    return text_of(message.envelope, "integrationId")


def action_names(message: Message) -> List[str]:
    """Return the names by which a custom action can be mapped: its own, then the connector's mapping."""
    mapped = text_of(message.envelope.get("mappedActionV2"), "name")
    return [message.action] + ([mapped] if mapped else [])


# -- Keeping

_KEPT_OF_ALERT = (
    "alertId", "alias", "source", "username", "userFullName", "updatedAt", "note", "owner", "addedTags", "removedTags",
    "priority", "snoozedUntil", "snoozeEndDate", "message", "description", "responder", "team", "recipient",
)  # fmt: skip
_KEPT_OF_ENVELOPE = ("action", "source", "integrationId", "integrationType", "escalationName", "mappedActionV2")


def journal_body(message: Message) -> str:
    """Return the message as JSON with only the fields that the relay reads.

    The journal is on disk for days, so it must not hold the headers, parameters and details of a message.
    """
    kept: Dict[str, Any] = {name: message.envelope[name] for name in _KEPT_OF_ENVELOPE if name in message.envelope}
    if message.alert is None:
        kept["details"] = _named_in_details(message)
    else:
        kept["alert"] = {name: message.alert[name] for name in _KEPT_OF_ALERT if name in message.alert}
    if message.people is not None:
        kept["people"] = message.people
    return json.dumps(kept, separators=(",", ":"))


def journal_body_of_person(name: str) -> str:
    """Return a journal body with nothing but who acted; empty without a name."""
    return json.dumps({"action": "done", "alert": {"username": name}}, ensure_ascii=False) if name else ""


def read_journal_body(body: str, key: str) -> Message:
    """Read what `journal_body` returned; `key` is that of the whole message. Raises `MessageError`.

    Escapes can make it longer than the message, so the size limit does not apply.
    """
    message = _read(body)
    people = message.envelope.get("people")
    return message._replace(key=key, people=people if isinstance(people, dict) else None)


# -- Reading


def text_of(where: Any, name: str) -> str:
    """Return a text field of an object; empty if it is absent, or if `where` is no object."""
    value = where.get(name) if isinstance(where, dict) else None
    return value if isinstance(value, str) else ""


def _needed_text(message: Message, field: str) -> str:
    path = f"$.alert.{field}"
    text = clean_text(_string(message.alert or {}, field, path))
    if not text.strip():
        raise MessageError(path, "is empty")
    return text


def _string(where: Mapping[str, Any], field: str, path: str) -> str:
    if field not in where:
        raise MessageError(path, "is missing")
    value = where[field]
    if not isinstance(value, str):
        raise MessageError(path, f"expected a text, found {_type_name(value)}")
    return value


def _type_name(value: Any) -> str:
    """Return the name of a JSON type. Errors do not show the value: it may be a secret."""
    if value is None:
        return "null"
    number = "a number"
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: number, float: number}
    return names.get(type(value), "something else")
