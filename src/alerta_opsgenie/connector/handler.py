"""What is done with each message: delivered, handed to a script, passed over, or set aside; then deleted and told."""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Iterator, Sequence

from alerta_opsgenie.agent.intake import Request
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.ticket import Result, Ticket
from alerta_opsgenie.connector.callbacks import Callbacks, result_of
from alerta_opsgenie.connector.front import Front
from alerta_opsgenie.connector.report import Reporter
from alerta_opsgenie.connector.scripts import Scripts
from alerta_opsgenie.connector.settings import Plan
from alerta_opsgenie.connector.transport import Receipt, Received, Source
from alerta_opsgenie.core import message as fields
from alerta_opsgenie.core.message import LARGEST_MESSAGE_BYTES, Message, MessageError, parse
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.vendor.callback import Envelope, UnreadableMessageError, callback_body, read_envelope
from alerta_opsgenie.vendor.config import JEC, ActionMapping, EdgeConfig

MOST_RECEIPTS = 5
"""A message that comes more often has ended the process that took it, again and again: it is set aside."""

MOST_BYTES = 2 * 1024 * 1024
"""The bodies in hand. While it is read, a message may take 25 times its size, and the unit has MemoryMax=256M."""

_MOST_LEFT = 10_000
_log = logging.getLogger(__name__)


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
    except (MessageError, UnreadableMessageError) as error:
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


class Room:
    """Counts what is in hand: `most` messages, and `MOST_BYTES` of their bodies."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._messages = self._bytes = self._largest = 0
        self._changed = threading.Condition()
        self._open = True

    def __len__(self) -> int:
        return self._messages

    def count(self, messages: int, size: int) -> None:
        """Take one message (1) of so many bytes in hand, or let go of it (-1)."""
        with self._changed:
            self._messages += messages
            self._bytes += messages * size
            if messages > 0:
                # What comes next is taken for as large as this; the size is forgotten by halves.
                self._largest = max(size, self._largest // 2)
            self._changed.notify_all()

    def wait(self, want: int = 1) -> int:
        """Wait until there is room for so many more messages; gives how many fit by their bytes. 0: it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._has_room(want))
            fitting = (MOST_BYTES - self._bytes) // max(self._largest, 1)
            return max(1, min(want, fitting)) if self._open else 0

    def _has_room(self, want: int) -> bool:
        fits = not self._messages or self._bytes + self._largest <= MOST_BYTES
        return fits and self._messages + want <= self.most

    def close(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


class Handler:
    """Does what is to be done with the messages of all queues. `owner_id` is who they are for."""

    def __init__(
        self, plan: Plan, front: Front, callbacks: Callbacks, scripts: Scripts, reporter: Reporter
    ) -> None:
        self.owner_id = ""
        self.room = Room(plan.own.most_held)
        self._plan = plan
        self._front = front
        self._callbacks = callbacks
        self._scripts = scripts
        self._reporter = reporter
        self._left: OrderedDict[str, None] = OrderedDict()

    def take(self, source: Source, messages: Sequence[Received]) -> None:
        """Deal with messages; waits where they are more than there is room for in memory."""
        for portion in self._portions(messages):
            ours = [(one, *found) for one in portion if (found := self._sort(source, one))]
            requests = [Request(one.body, options, one.attempted_at) for one, _, options in ours]
            tickets = self._front.deliverer.submit(requests) if requests else []
            for (received, action, _), ticket in zip(ours, tickets):
                self._follow(source, received, action, ticket)

    def _portions(self, messages: Sequence[Received]) -> Iterator[list[Received]]:
        portion: list[Received] = []
        for received in messages:
            if portion and sum(len(one.body) for one in (*portion, received)) > MOST_BYTES:
                yield portion
                portion = []
                self.room.wait()
            portion.append(received)
        yield portion

    def _sort(self, source: Source, received: Received) -> tuple[Action, Options] | None:
        """Give an action to deliver, and how; anything else is dealt with here."""
        if received.count > MOST_RECEIPTS and received.receipt.message_id not in self._left:
            why = f"it was received {received.count} times and may have ended this program"
            self._set_aside(source, received, received.body.encode("utf-8", "backslashreplace").decode("utf-8"), why)
            return None
        try:
            action = read_action(received, self.owner_id, self._plan.config)
        except MisfitError as error:
            # In a list, so that no retry by hand takes it for an action: it is not for us.
            self._set_aside(source, received, json.dumps([received.body]), str(error))
            return None
        if action.mapping is not None and action.mapping.is_alerta_executor:
            return action, self._plan.relays[action.mapping.name]
        if action.mapping is None:
            self._pass_over(source, received, action)
        else:
            self._run_script(source, received, action)
        return None

    def _follow(self, source: Source, received: Received, action: Action, ticket: Ticket) -> None:
        receipt, size, is_committed = received.receipt, len(received.body), ticket.is_committed

        def ended(result: Result) -> None:
            self.room.count(-1, size)
            if result.is_safe:
                if not is_committed:
                    source.finish(receipt)
                self._callbacks.put(result_of(self._plan.config.dialect, action.envelope, action.about, result.outcome))
                return
            self._leave(receipt)
            why = result.problem or "it could not be written down"
            _log.error("%s stays in the queue and comes again: %s", action.about, why)

        if is_committed:
            source.finish(receipt)
        self.room.count(1, size)
        ticket.add_callback(ended)

    def _leave(self, receipt: Receipt) -> None:
        """Remember that a message comes again because of us, so that it is not taken for one that ends the process."""
        self._left[receipt.message_id] = None
        if len(self._left) > _MOST_LEFT:
            self._left.popitem(last=False)

    def _pass_over(self, source: Source, received: Received, action: Action) -> None:
        outcome = Outcome(Kind.IGNORED, Reason.NOT_WANTED, action.refusal)
        self._reporter.ended(action.name, action.alert, action.person, outcome)
        # OEC leaves it at a line in its own log; JEC reports it.
        if self._plan.config.dialect == JEC:
            self._callbacks.put(callback_body(JEC, action.envelope, failure=action.refusal))
        source.finish(received.receipt)

    def _set_aside(self, source: Source, received: Received, text: str, why: str) -> None:
        outcome = Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, why)
        failure = self._front.deliverer.record_dead(self._plan.options, text, outcome)
        if failure:
            self._leave(received.receipt)
            _log.error("%s; it cannot be recorded and stays in the queue %s: %s", why, source.name, failure)
            return
        source.finish(received.receipt)
        _log.error("set aside a message of %s: %s; it is kept as a dead letter", source.name, why)

    def _run_script(self, source: Source, received: Received, action: Action) -> None:
        size = len(received.body)
        self.room.count(1, size)
        if not self._scripts.put(source, received, action.about, functools.partial(self.room.count, -1, size)):
            self.room.count(-1, size)
