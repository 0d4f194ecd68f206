"""An action message of OEC, JEC or an outgoing webhook: read, checked, and its fields given by name.

One format comes by all three ways
(https://support.atlassian.com/opsgenie/docs/opsgenie-edge-connector-alert-action-data/). Fields that an action does
not need are never looked at; one that it needs and that is missing or of a wrong type is a `MessageError` with the
JSON path.
"""

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from .digest import hex_digest
from .instants import SMALLEST_NS, iso_seconds, seconds_by_size
from .people import People, clean_name, clean_text, harmless_name, is_account_id, named

LARGEST_MESSAGE_BYTES = 1024 * 1024
"""SQS takes messages up to 1 MiB (256 KiB until 2025); nothing larger can be a message."""

PRIORITIES = ("P1", "P2", "P3", "P4", "P5")

ALERT_IN_DETAILS = ("alertaId", "alias")
"""Fields of `details` that can name an alert of Alerta's by its whole id; the first that is there counts."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_LARGEST_NS = 2**63 - 1
_MOST_DIGITS = 19
_DEEPEST = 50  # real messages nest four levels; Python's own limit would strike later, wherever a value is written
_LONGEST_REQUEST_ID = 100  # the connectors' are UUIDs


class MessageError(ValueError):
    """The message cannot be used: `path` is the JSON path of what is wrong, `what` says what it is."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


class Message(NamedTuple):
    """A message whose envelope is sound. Its fields are read by the functions of this module.

    `key` is the same for each delivery of one message. `updated_ns` is the alert's `updatedAt`, the order of what
    happened to it, in nanoseconds since the epoch; 0 where the message does not say. `people` has the logins of those
    whom it names (`with_people`); None where no mapping is in use.
    """

    action: str
    key: str
    updated_ns: int
    alert: Optional[Mapping[str, Any]]
    envelope: Mapping[str, Any]
    people: Optional[People] = None


def parse(text: Union[str, bytes]) -> Message:
    """Read one message. Raises `MessageError`, and nothing else, for whatever is not one."""
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
    """Give the idempotency key: a digest of the connector's request id, the alert, and what the message says.

    The request id alone does not do: one request may act on two alerts. Without a request id the whole text counts.
    """
    request_id = message.envelope.get("requestId")
    if isinstance(request_id, str) and 0 < len(request_id) <= _LONGEST_REQUEST_ID:
        text = f"{request_id}\0{essence(message)}"
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return hex_digest(raw)


def _nanoseconds(value: Any) -> int:
    """Read `updatedAt`: nanoseconds by the documentation and every capture; milliseconds are told by their size."""
    number = _whole_number(value)
    number = number * 1_000_000 if number < SMALLEST_NS else number
    return number if number <= _LARGEST_NS else 0


def _whole_number(value: Any) -> int:
    """Read a positive number that fits 64 bits, or the same as a text of digits; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        value = int(value)
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_NS
    return value if usable else 0


# -- Who and what


def alias(message: Message) -> Optional[str]:
    """Give the alert's alias, which is Alerta's id of it; None where it has none.

    A message without `alert` can name one in its `details`: `ALERT_IN_DETAILS`.
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
    """Give the alias for people: short, on one line; empty where there is none."""
    try:
        return clean_name(alias(message) or "")[:40]
    except MessageError:
        return ""


def is_uuid(text: str) -> bool:
    """Whether the text is a whole UUID: Alerta takes an id as a pattern, so nothing else may reach a path."""
    return _UUID.fullmatch(text) is not None


def alert_source(message: Message) -> str:
    """Give the `source` that the alert was made with; empty where the message has none."""
    return text_of(message.alert, "source")


def origin(message: Message) -> Tuple[str, str]:
    """Give the name and the type of what caused the action (`$.source`), in lower case; empty where absent."""
    source = message.envelope.get("source")
    return text_of(source, "name").strip().lower(), text_of(source, "type").strip().lower()


def with_people(message: Message, people: Optional[People]) -> Message:
    """Let a message's people be shown by their logins: it takes along what a mapping knows of those whom it names."""
    if people is None:
        return message
    said = (_name_in(message, field) for field in ("username", "userFullName", "owner", "responder", "recipient"))
    ids = {harmless_name(name).casefold() for name in said}
    return message._replace(people={one: people[one] for one in ids if one in people})


def actor(message: Message) -> str:
    """Name the person (or machine) who acted, for people and for a header: one line, no control characters.

    That is the login where a mapping knows one. An account id of which it knows nothing gives way to a full name.
    """
    claimed = claimed_actor(message)
    name, full = named(claimed, message.people), _harmless(message, "userFullName")
    if full and is_account_id(name):
        name = named(full, message.people)
    return name or console(message)


def claimed_actor(message: Message) -> str:
    """Give the name of who acted as the message has it; empty where it names nobody."""
    return _harmless(message, "username") or _harmless(message, "userFullName")


def _harmless(message: Message, field: str) -> str:
    return harmless_name(text_of(message.alert, field))


def console(message: Message) -> str:
    """Name the console that the message came from; JEC alone brings messages without `alert`."""
    is_jec = message.alert is None or text_of(message.envelope, "integrationType").upper() == "JEC"
    return "Jira Service Management" if is_jec else "Opsgenie"


# -- What the actions carry


def note(message: Message) -> str:
    """Give the note of an AddNote. Raises `MessageError` if there is none."""
    return _needed_text(message, "note")


def optional_note(message: Message) -> str:
    """Give the note that came along with an acknowledge or a close; empty where there is none."""
    return clean_text(text_of(message.alert, "note")).strip()


def owner(message: Message) -> str:
    """Name whom the alert was assigned to: `owner`, and for TakeOwnership without one whoever acted."""
    return actor(message) if _is_own(message) else named(claimed_owner(message), message.people)


def claimed_owner(message: Message) -> str:
    """Give the owner's name as the message has it. Raises `MessageError` where it has none."""
    if _is_own(message):
        return claimed_actor(message)
    name = harmless_name(_needed_text(message, "owner"))
    if not name:
        raise MessageError("$.alert.owner", "is no name")
    return name


def _is_own(message: Message) -> bool:
    return message.action == "TakeOwnership" and (message.alert or {}).get("owner") in (None, "")


def tags(message: Message, field: str) -> List[str]:
    """Give the tags of `addedTags` or `removedTags`, which come as one text with commas (a list is taken too)."""
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
    """Give the priority as P1 to P5: webhooks of 2017 sent numbers, today's messages send the name."""
    value = (message.alert or {}).get("priority")
    text = f"P{value}" if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and len(text) == 1:
        text = f"P{text}"
    if not isinstance(text, str) or text.upper() not in PRIORITIES:
        raise MessageError("$.alert.priority", "expected P1 to P5")
    return text.upper()


def snooze_end_seconds(message: Message) -> float:
    """Give when the snooze ends, in seconds since the epoch.

    `snoozedUntil` counts milliseconds (a number, or a text of digits); `snoozeEndDate` is a date whose form no
    document confirms, so ISO 8601 is read with `T` or a space, with or without zone (UTC) and fraction.
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
    """Give a responder, team, recipient or text as a name for people; empty where absent.

    Whether a responder is a text or an object is not confirmed, so both are read.
    """
    return named(clean_name(_name_in(message, field)), message.people)


def _name_in(message: Message, field: str) -> str:
    value = (message.alert or {}).get(field)
    names = (text_of(value, key) for key in ("name", "username", "id"))
    return value if isinstance(value, str) else next(filter(None, names), "")


def escalation(message: Message) -> str:
    """Name the escalation of an Escalate, which stands at the top of the message; empty where absent."""
    return clean_name(text_of(message.envelope, "escalationName"))


def integration(message: Message) -> str:
    """Give the id of the integration that sent the message; empty where it does not say."""
    return text_of(message.envelope, "integrationId")


def action_names(message: Message) -> List[str]:
    """Give the names that a custom action can be mapped by: the action's, then the connector's mapping of it."""
    mapped = text_of(message.envelope.get("mappedActionV2"), "name")
    return [message.action] + ([mapped] if mapped else [])


# -- Keeping

_KEPT_OF_ALERT = (
    "alertId", "alias", "source", "username", "userFullName", "updatedAt", "note", "owner", "addedTags", "removedTags",
    "priority", "snoozedUntil", "snoozeEndDate", "message", "description", "responder", "team", "recipient",
)  # fmt: skip
_KEPT_OF_ENVELOPE = ("action", "source", "integrationId", "integrationType", "escalationName", "mappedActionV2")


def essence(message: Message) -> str:
    """Give the message as JSON with what the relay reads and nothing else.

    What lies on a disk for days should not hold the headers, parameters and details that a message may carry.
    """
    kept: Dict[str, Any] = {name: message.envelope[name] for name in _KEPT_OF_ENVELOPE if name in message.envelope}
    if message.alert is None:
        kept["details"] = _named_in_details(message)
    else:
        kept["alert"] = {name: message.alert[name] for name in _KEPT_OF_ALERT if name in message.alert}
    if message.people is not None:
        kept["people"] = message.people
    return json.dumps(kept, separators=(",", ":"))


def essence_of_person(name: str) -> str:
    """Give what `recall` reads as a message that tells who acted, and no more; empty for nobody."""
    return json.dumps({"action": "done", "alert": {"username": name}}, ensure_ascii=False) if name else ""


def recall(essence_text: str, key: str) -> Message:
    """Read what `essence` gave, under the key that the whole message had. Raises `MessageError`.

    Its escapes can make it longer than the message was, so the limit does not hold here.
    """
    message = _read(essence_text)
    people = message.envelope.get("people")
    return message._replace(key=key, people=people if isinstance(people, dict) else None)


# -- Reading


def text_of(where: Any, name: str) -> str:
    """Give a text field of an object; empty where there is none, or where `where` is no object."""
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
    """Name a JSON type; the value itself stays out of errors, for it may be a secret."""
    if value is None:
        return "null"
    number = "a number"
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: number, float: number}
    return names.get(type(value), "something else")
