"""Handles each message: delivers its action, runs a script, ignores it, or records a dead letter."""

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
from alerta_opsgenie.connector.local_delivery import LocalDelivery
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
"""A message received more often may have crashed the process each time: it becomes a dead letter."""

MOST_BYTES = 2 * 1024 * 1024
"""Of message bodies in memory. Parsing a message may take 25 times its size, and the unit has MemoryMax=256M."""

_MOST_EXPECTED = 10_000
_log = logging.getLogger(__name__)


class UnusableMessageError(ValueError):
    """The message cannot be used; the text says why. It becomes a dead letter."""


@dataclass(frozen=True)
class Action:
    """The action of a message; `refusal` is why it has no mapping.

    It does not keep the parsed message: 1 MiB takes 25 MiB when parsed.
    """

    name: str
    alert: str
    person: str
    envelope: Envelope
    mapping: ActionMapping | None
    refusal: str = ""

    @property
    def about(self) -> str:
        """Return the action's name, alert and person."""
        return f"{self.name} {self.alert or 'no alert'} by {self.person}"


def read_action(received: Received, owner_id: str, config: EdgeConfig) -> Action:
    """Read a message as OEC or JEC does, by the dialect. Raises `UnusableMessageError`."""
    why = _not_ours(received, owner_id, config.dialect)
    if why:
        raise UnusableMessageError(why)
    if len(received.body) > LARGEST_MESSAGE_BYTES:
        raise UnusableMessageError(f"the message is larger than {LARGEST_MESSAGE_BYTES} bytes")
    try:
        message = parse(received.body)
        envelope = read_envelope(message.envelope)
    except (MessageError, UnreadableMessageError) as error:
        raise UnusableMessageError(f"the message cannot be read: {error}") from None
    mapping, refusal = _find_mapping(config, message, envelope)
    return Action(message.action, fields.shown_alias(message), fields.actor(message), envelope, mapping, refusal)


def _not_ours(received: Received, owner_id: str, dialect: str) -> str:
    """Return why a message is not for this integration (queue/job.go of both connectors); empty where it is."""
    attributes = received.attributes
    if not attributes:
        return "the message has no attributes, so that its owner is not known"
    # OEC compares ownerId, before 2019 integrationId; JEC accepts a message if ownerId or channelId is ours.
    of_oec = "ownerId" if "ownerId" in attributes else "integrationId"
    names = ("ownerId", "channelId") if dialect == JEC else (of_oec,)
    if owner_id and owner_id in map(attributes.get, names):
        return ""
    return "the message belongs to another integration"


def _find_mapping(config: EdgeConfig, message: Message, envelope: Envelope) -> tuple[ActionMapping | None, str]:
    """Return the mapping of the mapped name, or why there is none.

    For our executor the action's own name is accepted too, and the type may be missing. Which of the two names a plain
    JEC integration sends is not documented.
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


class InFlightMessages:
    """Limits the messages in flight: `most` messages, and `MOST_BYTES` of their bodies."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._messages = self._bytes = self._largest = 0
        self._changed = threading.Condition()
        self._open = True

    def __len__(self) -> int:
        return self._messages

    def add(self, size: int) -> None:
        """Add a message of so many bytes."""
        with self._changed:
            self._messages += 1
            self._bytes += size
            # The next message may be as large as this one; the estimate is halved with each smaller one.
            self._largest = max(size, self._largest // 2)

    def remove(self, size: int) -> None:
        """Remove a message of so many bytes."""
        with self._changed:
            self._messages -= 1
            self._bytes -= size
            self._changed.notify_all()

    def wait(self, want: int = 1) -> int:
        """Wait until so many more messages are allowed. Return how many fit by their bytes; 0 after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._has_capacity(want))
            fitting = (MOST_BYTES - self._bytes) // max(self._largest, 1)
            return max(1, min(want, fitting)) if self._open else 0

    def _has_capacity(self, want: int) -> bool:
        fits = not self._messages or self._bytes + self._largest <= MOST_BYTES
        return fits and self._messages + want <= self.most

    def close(self) -> None:
        """End `wait`."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


class Handler:
    """Handles the messages of all queues. `owner_id` is the integration that they must be for."""

    def __init__(
        self, plan: Plan, delivery: LocalDelivery, callbacks: Callbacks, scripts: Scripts, reporter: Reporter
    ) -> None:
        self.owner_id = ""
        self.in_flight = InFlightMessages(plan.settings.most_in_flight)
        self._plan = plan
        self._delivery = delivery
        self._callbacks = callbacks
        self._scripts = scripts
        self._reporter = reporter
        self._expected_redeliveries: OrderedDict[str, None] = OrderedDict()

    def take(self, source: Source, messages: Sequence[Received]) -> None:
        """Handle messages, in batches whose bodies fit into memory; waits before each but the first."""
        for batch in self._batches_that_fit(messages):
            ours = [(one, *found) for one in batch if (found := self._route(source, one))]
            requests = [Request(one.body, options, one.attempted_at) for one, _, options in ours]
            tickets = self._delivery.deliverer.submit(requests) if requests else []
            for (received, action, _), ticket in zip(ours, tickets):
                self._finish_with(source, received, action, ticket)

    def _batches_that_fit(self, messages: Sequence[Received]) -> Iterator[list[Received]]:
        batch: list[Received] = []
        for received in messages:
            if batch and sum(len(one.body) for one in (*batch, received)) > MOST_BYTES:
                yield batch
                batch = []
                self.in_flight.wait()
            batch.append(received)
        yield batch

    def _route(self, source: Source, received: Received) -> tuple[Action, Options] | None:
        """Return an action to deliver, and its options. Handle any other message here, and return None."""
        if received.count > MOST_RECEIPTS and received.receipt.message_id not in self._expected_redeliveries:
            why = f"it was received {received.count} times and may have crashed this program"
            text = received.body.encode("utf-8", "backslashreplace").decode("utf-8")
            self._record_dead_letter(source, received, text, why)
            return None
        try:
            action = read_action(received, self.owner_id, self._plan.config)
        except UnusableMessageError as error:
            # In a list, so that a retry by hand does not deliver it: it is not for us.
            self._record_dead_letter(source, received, json.dumps([received.body]), str(error))
            return None
        if action.mapping is not None and action.mapping.is_alerta_executor:
            return action, self._plan.mapping_options[action.mapping.name]
        if action.mapping is None:
            self._ignore(source, received, action)
        else:
            self._run_script(source, received, action)
        return None

    def _finish_with(self, source: Source, received: Received, action: Action, ticket: Ticket) -> None:
        receipt, size, is_committed = received.receipt, len(received.body), ticket.is_committed

        def ended(result: Result) -> None:
            self.in_flight.remove(size)
            if result.is_safe:
                if not is_committed:
                    source.finish(receipt)
                self._callbacks.put(result_of(self._plan.config.dialect, action.envelope, action.about, result.outcome))
                return
            self._expect_redelivery(receipt)
            why = result.problem or "the journal cannot be used"
            _log.error("%s stays in the queue and is redelivered: %s", action.about, why)

        if is_committed:
            source.finish(receipt)
        self.in_flight.add(size)
        ticket.add_callback(ended)

    def _expect_redelivery(self, receipt: Receipt) -> None:
        """Remember that we left a message in the queue: its next receipts are no sign of a crash."""
        self._expected_redeliveries[receipt.message_id] = None
        if len(self._expected_redeliveries) > _MOST_EXPECTED:
            self._expected_redeliveries.popitem(last=False)

    def _ignore(self, source: Source, received: Received, action: Action) -> None:
        outcome = Outcome(Kind.IGNORED, Reason.NOT_WANTED, action.refusal)
        self._reporter.ended(action.name, action.alert, action.person, outcome)
        # OEC only logs it; JEC reports it.
        if self._plan.config.dialect == JEC:
            self._callbacks.put(callback_body(JEC, action.envelope, failure=action.refusal))
        source.finish(received.receipt)

    def _record_dead_letter(self, source: Source, received: Received, text: str, why: str) -> None:
        outcome = Outcome(Kind.REJECTED, Reason.BAD_MESSAGE, why)
        failure = self._delivery.deliverer.record_dead(self._plan.options, text, outcome)
        if failure:
            self._expect_redelivery(received.receipt)
            _log.error("%s; it cannot be recorded and stays in the queue %s: %s", why, source.name, failure)
            return
        source.finish(received.receipt)
        _log.error("a message of %s is now a dead letter: %s", source.name, why)

    def _run_script(self, source: Source, received: Received, action: Action) -> None:
        size = len(received.body)
        self.in_flight.add(size)
        if not self._scripts.put(source, received, action.about, functools.partial(self.in_flight.remove, size)):
            self.in_flight.remove(size)
