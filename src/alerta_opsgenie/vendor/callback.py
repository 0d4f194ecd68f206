"""A message as the Go connectors read it, and the callback that reports the result of its script.

Under JEC, a script can add a text to the callback through a named pipe.
"""

from __future__ import annotations

import json
import os
import stat
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

from alerta_opsgenie.vendor.config import JEC

PIPE_DIRECTORY = "/var/tmp/jec"  # noqa: S108 - the vendor's directory; the script gets the absolute path
"""JEC makes its pipes in this directory; it does not make the directory."""

LARGEST_CONTEXT_BYTES = 16 * 1024
"""The size of JEC's buffer; what a script writes beyond it is dropped."""

DEFAULT_CONTEXT = "Execution Finished!"
"""JEC writes this into a pipe to which the script wrote nothing."""


class UnreadableMessageError(ValueError):
    """The connector cannot read the message and drops it; the text is the reason."""


@dataclass(frozen=True)
class Envelope:
    """The fields of a message that the connectors themselves use (queue/payload.go)."""

    action: str
    action_type: str
    request_id: str
    entity_id: str
    entity_type: str


def read_envelope(message: Mapping[str, Any] | str) -> Envelope:
    """Read a message's envelope; `mappedActionV2` replaces the action. Raises `UnreadableMessageError`."""
    fields = message
    if isinstance(message, str):
        try:
            fields = json.loads(message)
        except (ValueError, RecursionError):
            raise UnreadableMessageError("the message is not JSON") from None
    if not isinstance(fields, dict):
        raise UnreadableMessageError("the message is no JSON object")
    entity, mapped = _field(fields, "entity", {}), _field(fields, "mappedActionV2", {})
    action = _field(mapped, "name", "") or _field(fields, "action", "")
    if not action:
        raise UnreadableMessageError("the message has no action")
    own = (_field(fields, "actionType", ""), _field(fields, "requestId", ""))
    return Envelope(action, *own, _field(entity, "id", ""), _field(entity, "type", ""))


def _field(owner: Mapping[str, Any], name: str, absent: Any) -> Any:
    """Return a field that must have the type of `absent`; `absent` if it is missing or null."""
    value = owner.get(name)
    if value is not None and not isinstance(value, type(absent)):
        raise UnreadableMessageError(f"{name} is not {'a text' if absent == '' else 'an object'}")
    return absent if value is None else value


def callback_body(dialect: str, envelope: Envelope, *, failure: str = "", context: str = "") -> dict[str, Any]:
    """Return the callback's body; without a `failure` it reports success.

    Empty and false values are left out (Go's `omitempty`), so a failure has no `isSuccessful`. JEC always sends
    `callbackContext`.
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
    return {**body, "callbackContext": context} if dialect == JEC else body


@contextmanager
def callback_pipe(directory: str) -> Iterator[tuple[str, int | None]]:
    """Make one message's pipe, mode 0600; yield its path, and a descriptor to read it, or None if it cannot be made.

    JEC passes the path even if it cannot make the pipe (runbook/callback_context_handler_unix.go): the directory exists
    only in the vendor's image.
    """
    # JEC puts the message's id into the name; here an id from the queue must not become part of a path.
    path, reader = f"{directory}/jecCallbackPipe-{uuid.uuid4()}", None
    with suppress(OSError):
        os.mkfifo(path, 0o600)
        # Open for writing too: opening then does not wait for a writer, and reading meets no end of file.
        reader = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    is_pipe = reader is not None and stat.S_ISFIFO(os.fstat(reader).st_mode)  # others may write to the directory
    try:
        yield path, reader if is_pipe else None
    finally:
        if reader is not None:
            os.close(reader)
            Path(path).unlink(missing_ok=True)
