"""A queue as SQS keeps it (standard queues), without I/O: time is an argument, in seconds.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/
"""

from __future__ import annotations

import hashlib
import heapq
import struct
import uuid
from base64 import b64decode
from collections import deque
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]

MOST_IN_FLIGHT = 120_000
STRING, BINARY = 1, 2


class Refusal(Exception):  # noqa: N818 - an answer of AWS
    """AWS refuses a request: `code` is its error code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(eq=False)
class Held:
    """A message in the queue. `handle` is that of its last receipt, "" while it was never received or is gone."""

    message_id: str
    body: str
    attributes: JSON
    sent_at_ms: int
    body_md5: str
    attributes_md5: str
    handle: str = ""
    received: int = 0
    first_received_at_ms: int = 0
    hidden_until: float = 0.0
    gone: bool = False


@dataclass
class QueueModel:
    """One standard queue; `visibility_seconds` is its default visibility timeout."""

    name: str
    visibility_seconds: float = 30.0
    _ready: deque[Held] = field(default_factory=deque)
    _hidden: list[tuple[float, int, Held]] = field(default_factory=list)
    _in_flight: dict[str, Held] = field(default_factory=dict)
    _delayed: set[int] = field(default_factory=set)
    _order: int = 0
    deleted: int = 0

    def send(self, body: str, attributes: JSON, now: float, delay_seconds: float = 0.0) -> Held:
        """Put a message into the queue."""
        held = Held(
            str(uuid.uuid4()), body, attributes, int(now * 1000), _md5(body.encode()), digest_attributes(attributes)
        )
        if delay_seconds > 0:
            self._delayed.add(id(held))
            self._hide(held, now + delay_seconds)
        else:
            self._ready.append(held)
        return held

    def receive(self, most: int, now: float, visibility_seconds: float | None = None) -> list[Held]:
        """Take up to `most` messages; each is hidden for its visibility timeout and has a new receipt handle."""
        self.release(now)
        hidden_for = self.visibility_seconds if visibility_seconds is None else visibility_seconds
        taken: list[Held] = []
        while self._ready and len(taken) < most:
            if len(self._in_flight) >= MOST_IN_FLIGHT:
                raise Refusal("OverLimit", f"more than {MOST_IN_FLIGHT} messages are in flight")
            held = self._ready.popleft()
            if held.gone:
                continue
            taken.append(held)
            held.received += 1
            held.first_received_at_ms = held.first_received_at_ms or int(now * 1000)
            self._in_flight.pop(held.handle, None)
            held.handle = uuid.uuid4().hex
            self._in_flight[held.handle] = held
            self._hide(held, now + hidden_for)
        return taken

    def delete(self, handle: str) -> None:
        """Delete by receipt handle; a handle that is no longer the last one deletes nothing, without an error."""
        held = self._in_flight.pop(handle, None)
        if held is not None:
            held.gone, held.body = True, ""  # its entry in the heap stays until its time
            self.deleted += 1

    def change_visibility(self, handle: str, seconds: float, now: float) -> None:
        """Hide a message that is in flight for `seconds` from now; 0 gives it back."""
        held = self._in_flight.get(handle)
        if held is None or held.hidden_until <= now:
            raise Refusal("MessageNotInflight", "the message is not in flight, or the receipt handle is an older one")
        self._hide(held, now + seconds)
        self.release(now)

    def release(self, now: float) -> None:
        """Make the messages visible whose time is over."""
        while self._hidden and self._hidden[0][0] <= now:
            until, _, held = heapq.heappop(self._hidden)
            # A changed visibility leaves its older entry in the heap.
            if not held.gone and until == held.hidden_until:
                self._delayed.discard(id(held))
                self._ready.append(held)

    def next_due(self) -> float | None:
        """Return when the next hidden message may become visible, or None."""
        return self._hidden[0][0] if self._hidden else None

    def purge(self) -> None:
        """Delete all messages."""
        self._ready.clear()
        self._hidden.clear()
        self._in_flight.clear()
        self._delayed.clear()

    def count(self, now: float) -> tuple[int, int, int]:
        """Return how many messages are visible, in flight, and delayed."""
        self.release(now)
        visible = sum(not held.gone for held in self._ready)
        in_flight = sum(held.hidden_until > now for held in self._in_flight.values())
        return visible, in_flight, len(self._delayed)

    def _hide(self, held: Held, until: float) -> None:
        held.hidden_until = until
        self._order += 1
        heapq.heappush(self._hidden, (until, self._order, held))


def digest_attributes(attributes: JSON) -> str:
    """Return SQS's MD5 of message attributes, "" without any.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    if not attributes:
        return ""
    parts = []
    for name in sorted(attributes):
        attribute = attributes[name]
        text = attribute.get("StringValue")
        value = text.encode() if text is not None else b64decode(attribute["BinaryValue"])
        kind = STRING if text is not None else BINARY
        parts += [_prefixed(name.encode()), _prefixed(attribute["DataType"].encode()), bytes([kind]), _prefixed(value)]
    return _md5(b"".join(parts))


def _prefixed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
