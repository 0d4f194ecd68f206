"""What an action writes, so that an older one that arrives late undoes nothing.

Each action writes registers (the state, the owner, the priority, each tag); each register remembers the `updatedAt`
of its newest writer. An action all of whose registers have a newer writer is stale. Notes write none: a note is never
stale.
"""

from typing import FrozenSet, Mapping

from .message import Message, MessageError, tags

STATE = "state"

_REGISTERS: Mapping[str, str] = {
    "Acknowledge": STATE,
    "UnAcknowledge": STATE,
    "Close": STATE,
    "Snooze": STATE,
    "SnoozeEnded": STATE,
    "Delete": STATE,
    "AssignOwnership": "owner",
    "TakeOwnership": "owner",
    "UpdatePriority": "priority",
}
_TAG_FIELDS: Mapping[str, str] = {"AddTags": "addedTags", "RemoveTags": "removedTags"}


def registers(message: Message) -> FrozenSet[str]:
    """Name what the action writes."""
    field = _TAG_FIELDS.get(message.action)
    if field:
        try:
            return frozenset(f"tag:{tag}" for tag in tags(message, field))
        except MessageError:
            return frozenset()
    register = _REGISTERS.get(message.action)
    return frozenset({register}) if register else frozenset()


def superseded(message: Message, newest_ns: Mapping[str, int]) -> FrozenSet[str]:
    """Name those of its registers that something newer has written (`newest_ns`: register -> `updatedAt`).

    A message without `updatedAt` is taken as the newest: it is better applied in doubt than lost.
    """
    if not message.updated_ns:
        return frozenset()
    return frozenset(name for name in registers(message) if newest_ns.get(name, 0) > message.updated_ns)
