"""A message as the Go connectors read it, and the callback by which they tell how its script ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Mapping

from alerta_opsgenie.vendor.config import JEC

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
    entity, mapped = _field(fields, "entity", {}), _field(fields, "mappedActionV2", {})
    action = _field(mapped, "name", "") or _field(fields, "action", "")
    if not action:
        raise NotUnderstood("the message has no action")
    return Envelope(
        action=action,
        action_type=_field(fields, "actionType", ""),
        request_id=_field(fields, "requestId", ""),
        entity_id=_field(entity, "id", ""),
        entity_type=_field(entity, "type", ""),
        discard_response=_field(fields, "discardScriptResponse", False),
    )


def _parse(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("the message is not JSON") from None
    if not isinstance(value, dict):
        raise NotUnderstood("the message is no JSON object")
    return value


_KINDS = {str: "a text", dict: "an object", bool: "true or false", int: "a whole number"}


def _field(owner: Mapping[str, Any], name: str, absent: Any) -> Any:
    """Take a field of the type of `absent`, whatever the case of its key, as encoding/json does."""
    value = owner.get(name, next((item for key, item in owner.items() if key.casefold() == name.casefold()), None))
    if value is not None and type(value) is not type(absent):
        raise NotUnderstood(f"{name} is not {_KINDS[type(absent)]}")
    return absent if value is None else value


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
        value = _parse(text)
        headers, body = _field(value, "headers", {}), _field(value, "body", "")
        status = _field(value, "statusCode", 0)
    except NotUnderstood:
        return None
    if not all(isinstance(item, str) for item in headers.values()):
        return None
    return {"headers": headers or None, "body": body, "statusCode": status}
