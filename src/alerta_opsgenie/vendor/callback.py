"""A message as the Go connectors read it, and the callback by which they tell how its script ended.

Under JEC a script can add to the callback by a named pipe.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from alerta_opsgenie.vendor.config import JEC

PIPE_DIRECTORY = "/var/tmp/jec"  # noqa: S108 - the vendor's place, and the script is told the whole path
"""Where JEC makes its pipes; it does not make the directory."""

LARGEST_CONTEXT_BYTES = 16 * 1024
"""The size of JEC's buffer; what a script writes beyond it is read and dropped."""

DEFAULT_CONTEXT = "Execution Finished!"
"""What JEC itself writes into a pipe that the script left alone."""

_END = b"\0"


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


class CallbackPipe:
    """One message's pipe, for this user alone. It is read until the end of the `with` block, and removed then.

    JEC passes its path as `--jecNamedPipe` (runbook/callback_context_handler_unix.go), also where it cannot be made:
    the directory is only there in the vendor's image.
    """

    def __init__(self, directory: str) -> None:
        # JEC names it by the message; an id from the queue must not be able to name a path.
        self.path = f"{directory}/jecCallbackPipe-{uuid.uuid4()}"
        self.context = ""
        self._descriptor = -1
        self._written = bytearray()
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, name="jec-pipe", daemon=True)

    def __enter__(self) -> CallbackPipe:  # noqa: PYI034 - Self needs Python 3.11
        with suppress(OSError):
            os.mkfifo(self.path, 0o600)
            # Opened for writing too, so that it is ready before the script is and has no end before ours.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            if stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
                self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader.ident is not None:
            self._ended.set()
            os.write(self._descriptor, _END)
            self._reader.join()
            self.context = bytes(self._written).replace(_END, b"").decode("utf-8", "replace") or DEFAULT_CONTEXT
            Path(self.path).unlink(missing_ok=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _read(self) -> None:
        """Read until the end that `__exit__` writes: a script may open and close the pipe many times."""
        while True:
            chunk = os.read(self._descriptor, 64 * 1024)
            self._written += chunk[: LARGEST_CONTEXT_BYTES - len(self._written)]
            if self._ended.is_set() and chunk.endswith(_END):
                return
