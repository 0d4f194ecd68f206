"""What a message from the queue is: one of ours or not, and which mapping it is for."""

from __future__ import annotations

from dataclasses import dataclass

from alerta_opsgenie.connector.transport import Received
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import LARGEST_MESSAGE_BYTES, Message, MessageError, parse
from alerta_opsgenie.vendor.callback import Envelope, NotUnderstood, read_envelope
from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig


class MisfitError(ValueError):
    """A message that is no action for us; the text says why. It is set aside, never acted on."""


@dataclass(frozen=True)
class Action:
    """A message that is for us; `refusal` says why there is no mapping for it.

    Nothing else of the message is kept: read, 1 MiB of it takes 25 MiB.
    """

    name: str
    alert: str
    person: str
    envelope: Envelope
    mapping: ActionMapping | None
    refusal: str = ""

    @property
    def about(self) -> str:
        """Name the action, its alert and the person."""
        return f"{self.name} {self.alert or 'no alert'} by {self.person}"


def read_action(received: Received, owner_id: str, config: EdgeConfig) -> Action:
    """Read a message as the connector of the configuration's dialect would. Raises `MisfitError`."""
    why = _not_ours(received, owner_id, config.dialect)
    if why:
        raise MisfitError(why)
    if len(received.body) > LARGEST_MESSAGE_BYTES:
        raise MisfitError(f"the message is larger than {LARGEST_MESSAGE_BYTES} bytes")
    try:
        message = parse(received.body)
        envelope = read_envelope(message.envelope)
    except (MessageError, NotUnderstood) as error:
        raise MisfitError(f"the message cannot be read: {error}") from None
    mapping, refusal = _find_mapping(config, message, envelope)
    return Action(message.action, fields.shown_alias(message), fields.actor(message), envelope, mapping, refusal)


def _not_ours(received: Received, owner_id: str, dialect: str) -> str:
    """Say why a message is not for this integration (queue/job.go of both connectors); empty where it is."""
    attributes = received.attributes
    if not attributes:
        return "the message has no attributes, so that its owner is not known"
    # OEC looks at ownerId, before 2019 at integrationId; JEC takes a message if either of its two names us.
    of_oec = "ownerId" if "ownerId" in attributes else "integrationId"
    names = ("ownerId", "channelId") if dialect == JEC else (of_oec,)
    if owner_id and owner_id in map(attributes.get, names):
        return ""
    return "the message belongs to another integration"


def _find_mapping(config: EdgeConfig, message: Message, envelope: Envelope) -> tuple[ActionMapping | None, str]:
    """Find the mapping by the mapped name; for our executor the action's own name, or any type left out, will do.

    Which of the two names a plain integration of JEC's sends is not documented.
    """
    mapping = config.mappings.get(envelope.action)
    if mapping is None:
        own = config.mappings.get(message.action)
        mapping = own if own is not None and own.is_alerta_executor else None
    if mapping is None:
        return None, f"the configuration maps no action {envelope.action[:100]!r}"
    lenient = mapping.is_alerta_executor and not envelope.action_type
    if mapping.type != envelope.action_type and not lenient:
        what = f"the action {envelope.action[:100]!r} is mapped as type {mapping.type!r}, and was sent as another"
        return None, what
    return mapping, ""
