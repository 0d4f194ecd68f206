"""What the connector needs of a queue, whichever it is: SQS, or the HTTP channel of JEC's version 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, NamedTuple, Protocol, Sequence

MOST_PER_BATCH = 10
"""SQS gives and deletes so many at once.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

LONGEST_POLL_SECONDS = 20  # The longest that SQS lets a receiver wait (the same page)


class TransportError(Exception):
    """The queue did not do what was asked. `stale`: other credentials, or another queue, are needed."""

    def __init__(self, text: str, *, stale: bool = False, retry_after_seconds: float | None = None) -> None:
        super().__init__(text)
        self.stale = stale
        self.retry_after_seconds = retry_after_seconds


class Receipt(NamedTuple):
    """What a message is deleted by; `message_id` stays the same when the message comes again."""

    message_id: str
    handle: str


@dataclass(frozen=True)
class Received:
    """A message from a queue. Instants are in seconds since the epoch by this host's clock.

    `count` is how often it was received; from the second time on an earlier receiver may have acted on it.
    """

    receipt: Receipt = field(repr=False)
    body: str = field(repr=False)
    attributes: Mapping[str, str]
    count: int
    sent_at: float
    received_at: float

    @property
    def attempted_at(self) -> float | None:
        """When an earlier receiver may have begun to act on it: not before the sending. None: there was none."""
        return min(self.sent_at, self.received_at) if self.count > 1 else None


class Transport(Protocol):
    """A queue at work; it is polled by one thread and told of deletions by another. All raise `TransportError`."""

    name: str

    def receive(self, most: int, wait_seconds: int) -> list[Received]:
        """Wait for messages, at most `most` (up to 10)."""

    def done(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Delete up to ten messages; gives those to try again."""

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Let a message come again no sooner than in so many seconds; 0: now."""


class Source(Protocol):
    """Where a message came from, for whoever deals with it (`poller.Poller`)."""

    name: str

    def finish(self, receipt: Receipt) -> None:
        """Delete a message soon: it is done, or safe."""

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Let a message come again no sooner than in so many seconds."""
