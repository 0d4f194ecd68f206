"""A message as the Go connectors read it, and the callback by which they tell how its script ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Mapping

from alerta_opsgenie.vendor.config import JEC

CUSTOM = "custom"
HTTP = "http"


class NotUnderstood(ValueError):  # noqa: N818 - it is an ending, not a fault
    """The connector could not read the message and drops it; the text says why."""


@dataclass(frozen=True)
class Envelope:
    """The fields of a message that the connectors themselves look at (queue/payload.go)."""

    action: str
    action_type: str
    request_id: str
    entity_id: str
    entity_type: str
    discard_response: bool


def read_envelope(message: Mapping[str, Any] | str) -> Envelope:
    """Read a message's envelope; the action is the mapped one where there is one. Raises `NotUnderstood`."""
    fields = _parse(message) if isinstance(message, str) else message
    entity, mapped = _object(fields, "entity"), _object(fields, "mappedActionV2")
    action = _text(mapped, "name") or _text(fields, "action")
    if not action:
        raise NotUnderstood("the message has no action")
    discard = _field(fields, "discardScriptResponse")
    if discard is not None and not isinstance(discard, bool):
        raise NotUnderstood("$.discardScriptResponse is not true or false")
    return Envelope(
        action=action,
        action_type=_text(fields, "actionType"),
        request_id=_text(fields, "requestId"),
        entity_id=_text(entity, "id"),
        entity_type=_text(entity, "type"),
        discard_response=bool(discard),
    )


def _parse(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("the message is not JSON") from None
    if not isinstance(value, dict):
        raise NotUnderstood("the message is no JSON object")
    return value


def _field(owner: Mapping[str, Any], name: str) -> Any:
    """Take a field whatever the case of its key, as encoding/json does."""
    if name in owner:
        return owner[name]
    return next((value for key, value in owner.items() if key.casefold() == name.casefold()), None)


def _text(owner: Mapping[str, Any], name: str) -> str:
    value = _field(owner, name)
    if value is not None and not isinstance(value, str):
        raise NotUnderstood(f"{name} is not a text")
    return value or ""


def _object(owner: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = _field(owner, name)
    if value is not None and not isinstance(value, dict):
        raise NotUnderstood(f"{name} is not an object")
    return value or {}


def callback_body(
    dialect: str, envelope: Envelope, *, failure: str = "", context: str = "", response: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Build the callback's body; without a `failure` it is a success.

    What is empty or false is left out (Go's `omitempty`), so a failure shows by the lack of `isSuccessful`. JEC always
    sends `callbackContext`. `response` is what a script of the type `http` gave, and stands beside the other fields.
    """
    body: dict[str, Any] = {
        "requestId": envelope.request_id,
        "isSuccessful": not failure,
        "entityId": envelope.entity_id,
        "entityType": envelope.entity_type,
        "action": envelope.action,
        "actionType": envelope.action_type,
        "failureMessage": failure,
    }
    body = {name: value for name, value in body.items() if value}
    if dialect == JEC:
        body["callbackContext"] = context
    return {**body, **(response or {})}


def http_response(text: str) -> dict[str, Any] | None:
    """Read what a script of the type `http` printed (`headers`, `body`, `statusCode`); None where it is not that."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    headers, body, status = (_field(value, name) for name in ("headers", "body", "statusCode"))
    if not (headers is None or (isinstance(headers, dict) and all(isinstance(item, str) for item in headers.values()))):
        return None
    if not (body is None or isinstance(body, str)) or isinstance(status, bool) or not isinstance(status or 0, int):
        return None
    return {"headers": headers, "body": body or "", "statusCode": status or 0}
