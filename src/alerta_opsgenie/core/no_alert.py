"""What a message without `alert` is about: Jira's automation and JSM's channels send such through JEC."""

from .message import Message
from .people import clean_name

_OF_EVERY_MESSAGE = frozenset({
    "action", "actionType", "alert", "customerId", "details", "discardScriptResponse", "entity", "integrationId",
    "integrationName", "integrationType", "mappedActionV2", "params", "requestId", "source",
})  # fmt: skip
_MOST_NAMES = 8


def describe(message: Message) -> str:
    """Say it in one sentence: the entity, and the names of the message's own fields; their values may be secrets."""
    envelope = message.envelope
    entity, details = (value if isinstance(value, dict) else {} for value in map(envelope.get, ("entity", "details")))
    about = " ".join(entity[key] for key in ("type", "id") if isinstance(entity.get(key), str))
    names = [name for name in (*envelope, *details) if name not in _OF_EVERY_MESSAGE]
    carried = "with " + ", ".join(names[:_MOST_NAMES]) if names else ""
    what = clean_name(" ".join(filter(None, (about, carried))))
    return "the message is about no alert" + (f" ({what})" if what else "")
