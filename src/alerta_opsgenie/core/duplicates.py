"""Duplicates: one action of a person that arrives through two integrations, while Opsgenie and JSM run side by side.

A change of state is not checked here: the second message changes nothing. An action that adds a history entry each
time (a note, an assignment, a custom action) is done once. Two messages are duplicates if their integrations differ,
their alert, person and text are the same, and their `updatedAt` are at most `WINDOW_SECONDS` apart (how soon one
product passes an action to the other is not documented). One message of each integration makes a pair, so a note that
a person wrote twice is stored twice:

    OEC   9:00:00 "on it"  done           9:00:30 "on it"  done
    JEC   9:00:01 "on it"  duplicate      9:00:31 "on it"  duplicate
"""

from typing import Dict, Iterable, List, Mapping, Tuple

from . import message as fields
from .digest import hex_digest
from .message import Message, MessageError

WINDOW_SECONDS = 120

RECORD = "said"
"""The key prefix of a record. `order.superseded` adds it to its result if the action is a duplicate."""

NOTE, ACTION = "note", "action"
"""The kinds of records. Records of different kinds are never duplicates."""

_WINDOW_NS = WINDOW_SECONDS * 10**9

EVENT_TEXTS: Mapping[str, Tuple[str, str]] = {
    "UpdateMessage": ("{who} changed the message{where}: {what}", "message"),
    "UpdateDescription": ("{who} changed the description{where}: {what}", "description"),
    "AddResponder": ("{who} added the responder {what}{where}", "responder"),
    "AddTeam": ("{who} added the team {what}{where}", "team"),
    "AddRecipient": ("{who} added the recipient {what}{where}", "recipient"),
    "Escalate": ("Escalated{where}: {what}", ""),
    "EscalateToNext": ("{who} escalated to the next level{where}", ""),
    "EscalateNext": ("{who} escalated to the next level{where}", ""),
}
"""The actions that the bridge writes as a note: the text, and the field of the alert for `what`."""

_ASSIGNING = frozenset({"AssignOwnership", "TakeOwnership"})
IDEMPOTENT_ACTIONS = frozenset({
    "Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete", "AddTags", "RemoveTags",
    "UpdatePriority", "Create",
})  # fmt: skip
"""To do one of these twice is the same as to do it once. Any other action can add a second history entry."""


def event_text(message: Message, where: str = "") -> str:
    """Return the text of the history entry; `where` is empty or begins with a space. Raises MessageError.

    For an AddNote it is the note, for a custom action the action's name.
    """
    if message.action == "AddNote":
        return fields.note(message)
    who = fields.actor(message)
    if message.action in _ASSIGNING:
        owner = fields.owner(message)
        return f"{who} took ownership{where}" if owner == who else f"{who} assigned the alert to {owner}{where}"
    template, field = EVENT_TEXTS.get(message.action, (message.action.replace("{", "{{").replace("}", "}}"), ""))
    what = (fields.named_thing(message, field) if field else "") or fields.escalation(message)
    return template.format(who=who, what=what or "?", where=where)


def people_in_text(message: Message) -> List[str]:
    """Return the names of people in `event_text`."""
    names = [fields.actor(message)]
    if message.action in _ASSIGNING:
        names.append(fields.owner(message))
    elif message.action in ("AddResponder", "AddRecipient"):
        names.append(fields.named_thing(message, EVENT_TEXTS[message.action][1]))
    return names


def action_records(message: Message) -> Dict[str, int]:
    """Return the record to keep of an action that adds a history entry: its key and `updatedAt`; else nothing."""
    integration = fields.integration(message)
    if not integration or not message.updated_ns or message.action in IDEMPOTENT_ACTIONS:
        return {}
    try:
        act = action_digest(record_kind(message), fields.actor(message), event_text(message))
    except MessageError:
        return {}
    return {record_key(act, short_digest(integration), message.updated_ns): message.updated_ns}


def record_key(act: str, integration: str, updated_ns: int) -> str:
    """Return the key of a record. `act` is an `action_digest`."""
    return f"{RECORD}:{act}:{integration}:{updated_ns}"


def record_kind(message: Message) -> str:
    """Return the kind of record. The text of a note can be the same as the name of a custom action."""
    return NOTE if message.action in {"AddNote", *_ASSIGNING, *EVENT_TEXTS} else ACTION


def is_duplicate(message: Message, newest_ns: Mapping[str, int]) -> bool:
    """Whether another integration has delivered the same action. `newest_ns` holds earlier records."""
    return any(is_duplicate_record(key, newest_ns) for key in action_records(message))


def records_of_same_text(key: str, keys: Iterable[str]) -> List[Tuple[int, str]]:
    """Return `updatedAt` (ns) and integration of each other record with the same person and text."""
    prefix = key.rpartition(":")[0].rpartition(":")[0] + ":"
    parts = (other.split(":") for other in keys if other.startswith(prefix) and other != key)
    return [(int(updated_ns), integration) for _, _, integration, updated_ns in parts]


def is_duplicate_record(key: str, keys: Iterable[str]) -> bool:
    """Whether one of the records is of the same action, delivered by another integration."""
    before, (_, _, integration, updated_ns) = records_of_same_text(key, keys), key.split(":")
    return _count(before) == _count([*before, (int(updated_ns), integration)])


def _count(found: Iterable[Tuple[int, str]]) -> int:
    """Count the distinct actions among records with the same text. Each list in `near` holds the records of one."""
    count = 0
    near: List[List[Tuple[int, str]]] = []
    for updated_ns, integration in sorted(found):
        near = [records for records in near if records[0][0] >= updated_ns - _WINDOW_NS]
        pair = next((one for one in near if all(other and other != integration for _, other in one)), None)
        if pair is None or not integration:
            near.append([(updated_ns, integration)])
            count += 1
        else:
            pair.append((updated_ns, integration))
    return count


def action_digest(kind: str, person: str, words: str) -> str:
    """Return a digest of kind, person and words. The case of the name and the spacing of the words do not count."""
    return short_digest(kind, person.casefold(), " ".join(words.split()))


def short_digest(*words: str) -> str:
    """Return 16 hexadecimal digits of the SHA-256."""
    return hex_digest("\0".join(words).encode("utf-8", "backslashreplace"))[:16]
