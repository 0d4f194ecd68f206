"""What a request's status says of a request that was taken and had no effect, and what to do instead.

A plan that lacks an operation takes it with a 202 and refuses it later, each single time (JSM's Standard plan does so
with snooze, assign and custom actions). Such a refusal is learnt, and a note says from then on what cannot be done.
"""

from typing import Mapping, Optional

from . import limits
from .publish import Request

NOTED_INSTEAD: Mapping[str, str] = {
    "unacknowledge": "Unacknowledged in Alerta",
    "snooze": "Shelved in Alerta until {endTime}",
    "assign": "Assigned in Alerta to {owner}",
    "priority": "Priority in Alerta: {priority}",
    "message": "Message in Alerta: {message}",
    "description": "Description in Alerta: {description}",
}
"""What is noted in place of an operation; acknowledge, close and note have every plan."""


def is_of_plan(text: str) -> bool:
    """Whether a status says that the account's plan lacks the operation."""
    return "plan does not support" in text.lower()


def changed_nothing(text: str) -> bool:
    """Whether a status says that there was nothing to do: final, and nobody need hear of it."""
    said = text.lower()
    return "already" in said or "there is no open alert" in said


def note_instead(request: Request) -> Optional[Request]:
    """Give the note that says what a request would have done; None: there is none for its operation."""
    template = NOTED_INSTEAD.get(request.operation)
    if template is None:
        return None
    body, owner = request.body, request.body.get("owner")
    fields = {**dict.fromkeys(("endTime", "priority", "message", "description"), "?"), **body}
    fields["owner"] = owner.get("username", "?") if isinstance(owner, dict) else "?"
    text = template.format_map(fields) + (f": {body['note']}" if body.get("note") else "")
    path, _, query = request.path.partition("?")
    signature = {key: body[key] for key in ("user", "source") if key in body}
    noted = {**signature, "note": limits.shorten(text, limits.NOTE)}
    return Request("note", "POST", f"{path.rpartition('/')[0]}/notes?{query}", noted)
