"""A message as the Go connectors read it, and the callback by which they tell how its script ended.

Under JEC a script can add to the callback by a named pipe.
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

PIPE_DIRECTORY = "/var/tmp/jec"  # noqa: S108 - the vendor's place, and the script is told the whole path
"""Where JEC makes its pipes; it does not make the directory."""

LARGEST_CONTEXT_BYTES = 16 * 1024
"""The size of JEC's buffer; what a script writes beyond it is read and dropped."""

DEFAULT_CONTEXT = "Execution Finished!"
"""What JEC itself writes into a pipe that the script left alone."""


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


def read_envelope(message: Mapping[str, Any] | str) -> Envelope:
    """Read a message's envelope; the action is the mapped one where there is one. Raises `NotUnderstood`."""
    fields = message
    if isinstance(message, str):
        try:
            fields = json.loads(message)
        except (ValueError, RecursionError):
            raise NotUnderstood("the message is not JSON") from None
    if not isinstance(fields, dict):
        raise NotUnderstood("the message is no JSON object")
    entity, mapped = _field(fields, "entity", {}), _field(fields, "mappedActionV2", {})
    action = _field(mapped, "name", "") or _field(fields, "action", "")
    if not action:
        raise NotUnderstood("the message has no action")
    own = (_field(fields, "actionType", ""), _field(fields, "requestId", ""))
    return Envelope(action, *own, _field(entity, "id", ""), _field(entity, "type", ""))


def _field(owner: Mapping[str, Any], name: str, absent: Any) -> Any:
    """Take a field of the type of `absent`; null is as good as absent."""
    value = owner.get(name)
    if value is not None and not isinstance(value, type(absent)):
        raise NotUnderstood(f"{name} is not {'a text' if absent == '' else 'an object'}")
    return absent if value is None else value


def callback_body(dialect: str, envelope: Envelope, *, failure: str = "", context: str = "") -> dict[str, Any]:
    """Build the callback's body; without a `failure` it is a success.

    What is empty or false is left out (Go's `omitempty`), so a failure shows by the lack of `isSuccessful`. JEC always
    sends `callbackContext`.
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
    """Make one message's pipe, for this user alone; gives its path, and what to read it by, if it could be made.

    JEC passes the path also where it cannot be made (runbook/callback_context_handler_unix.go): the directory is only
    there in the vendor's image.
    """
    # JEC names it by the message; an id from the queue must not be able to name a path.
    path, reader = f"{directory}/jecCallbackPipe-{uuid.uuid4()}", None
    with suppress(OSError):
        os.mkfifo(path, 0o600)
        # Opened for writing too, so that it is ready before the script is and has no end before ours.
        reader = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    is_pipe = reader is not None and stat.S_ISFIFO(os.fstat(reader).st_mode)  # others may write to the directory
    try:
        yield path, reader if is_pipe else None
    finally:
        if reader is not None:
            os.close(reader)
            Path(path).unlink(missing_ok=True)
