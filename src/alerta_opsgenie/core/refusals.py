"""Requests that the vendor accepted (202) and then failed, by the text of their request status.

If the account's plan lacks an operation, the vendor accepts the request and fails it later (JSM's Standard plan does
so with snooze, assign and custom actions). The plugin stores such a refusal and sends a note instead from then on.
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
"""The text of the note in place of an operation. Every plan has acknowledge, close and note."""


def is_of_plan(text: str) -> bool:
    """Whether a status says that the account's plan lacks the operation."""
    return "plan does not support" in text.lower()


def changed_nothing(text: str) -> bool:
    """Whether a status says that there was nothing to do. The request is finished then, and is not reported."""
    return any(part in text.lower() for part in ("already", "there is no open alert"))


def note_instead(request: Request) -> Optional[Request]:
    """Return the note request that replaces a request; None if its operation has none."""
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
