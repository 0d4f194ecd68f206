"""One act of one person that comes through two integrations, while Opsgenie and JSM run side by side.

A change of state needs nothing here: the second finds it done. What leaves a line each time (a note, an assignment, a
custom action) is told once. Two messages are one act if they come by different integrations, alert, person and words
are the same, and their `updatedAt` are at most `WINDOW_SECONDS` apart (nobody has documented how soon one product
hears of the other's act). Each act is paired with one of the other integration's, so that a note written twice stays
there twice:

    OEC   9:00:00 "on it"  told           9:00:30 "on it"  told
    JEC   9:00:01 "on it"  a pair         9:00:31 "on it"  a pair
"""

from typing import Dict, Iterable, List, Mapping, Tuple

from . import message as fields
from .digest import hex_digest
from .message import Message, MessageError

WINDOW_SECONDS = 120

ACT = "said"
"""Stands among the registers that something has written (`order.superseded`) for an act that was told already."""

NOTE, ACTION = "note", "action"
"""What leaves a line: the two kinds are never one act."""

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
"""The actions that a note can tell of: its words, and the field of the alert that they name."""

_ASSIGNING = frozenset({"AssignOwnership", "TakeOwnership"})
WITHOUT_A_LINE = frozenset({
    "Acknowledge", "UnAcknowledge", "Close", "Snooze", "SnoozeEnded", "Delete", "AddTags", "RemoveTags",
    "UpdatePriority", "Create",
})  # fmt: skip
"""Done twice, these leave an alert as if done once; any other may leave a second line."""


def sentence(message: Message, where: str = "") -> str:
    """Say what happened in a line of history; `where` is empty or begins with a space. Raises MessageError.

    An AddNote says the person's own words, a custom action its name.
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


def names_in_sentence(message: Message) -> List[str]:
    """Give the people whom `sentence` names, as it names them."""
    names = [fields.actor(message)]
    if message.action in _ASSIGNING:
        names.append(fields.owner(message))
    elif message.action in ("AddResponder", "AddRecipient"):
        names.append(fields.named_thing(message, EVENT_TEXTS[message.action][1]))
    return names


def act_names(message: Message) -> Dict[str, int]:
    """Tell what to remember of an act that leaves a line: a name for it, with its `updatedAt`; else nothing."""
    integration = fields.integration(message)
    if not integration or not message.updated_ns or message.action in WITHOUT_A_LINE:
        return {}
    try:
        act = act_digest(kind_of(message), fields.actor(message), sentence(message))
    except MessageError:
        return {}
    return {name_of(act, digest(integration), message.updated_ns): message.updated_ns}


def name_of(act: str, integration: str, updated_ns: int) -> str:
    """Name an act by what was said (`act_digest`), and by whom and when it was brought."""
    return f"{ACT}:{act}:{integration}:{updated_ns}"


def kind_of(message: Message) -> str:
    """Tell a note from a custom action: a person may write what an action is called."""
    return NOTE if message.action in {"AddNote", *_ASSIGNING, *EVENT_TEXTS} else ACTION


def is_recorded(message: Message, newest_ns: Mapping[str, int]) -> bool:
    """Whether another integration has brought the act already. `newest_ns` has what `said` gave, also of this one."""
    return any(is_pair(act, newest_ns) for act in act_names(message))


def alike(act: str, names: Iterable[str]) -> List[Tuple[int, str]]:
    """Give when and by whom the same was said: `updatedAt` (ns) and integration, of each name but this one."""
    said_ = act.rpartition(":")[0].rpartition(":")[0] + ":"
    parts = (name.split(":") for name in names if name.startswith(said_) and name != act)
    return [(int(updated_ns), integration) for _, _, integration, updated_ns in parts]


def is_pair(act: str, names: Iterable[str]) -> bool:
    """Whether an act is one with another integration's among these."""
    before, (_, _, integration, updated_ns) = alike(act, names), act.split(":")
    return _count(before) == _count([*before, (int(updated_ns), integration)])


def _count(acts: Iterable[Tuple[int, str]]) -> int:
    """Count how often acts with the same words are told; each list of `near` is one that was told once."""
    count = 0
    near: List[List[Tuple[int, str]]] = []
    for updated_ns, integration in sorted(acts):
        near = [brought for brought in near if brought[0][0] >= updated_ns - _WINDOW_NS]
        pair = next((one for one in near if all(by and by != integration for _, by in one)), None)
        if pair is None or not integration:
            near.append([(updated_ns, integration)])
            count += 1
        else:
            pair.append((updated_ns, integration))
    return count


def act_digest(kind: str, person: str, words: str) -> str:
    """Stand for what a person did or said, however it is spaced."""
    return digest(kind, person.casefold(), " ".join(words.split()))


def digest(*words: str) -> str:
    """Stand for some words."""
    return hex_digest("\0".join(words).encode("utf-8", "backslashreplace"))[:16]
