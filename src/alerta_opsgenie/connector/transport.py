"""The interface of a queue: SQS, or the HTTP channel of JEC's version 2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, NamedTuple, Protocol, Sequence

MOST_PER_BATCH = 10
"""The limit of SQS for one receive or delete request.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

LONGEST_POLL_SECONDS = 20  # The longest wait of SQS (the same page)


class TransportError(Exception):
    """A request to the queue failed. `stale`: other credentials, or another queue, are needed."""

    def __init__(self, text: str, *, stale: bool = False, retry_after_seconds: float | None = None) -> None:
        super().__init__(text)
        self.stale = stale
        self.retry_after_seconds = retry_after_seconds


class Receipt(NamedTuple):
    """Needed to delete a message; `message_id` stays the same when the message is redelivered."""

    message_id: str
    handle: str


@dataclass(frozen=True)
class Received:
    """A message from a queue. Times are in seconds since the epoch by this host's clock.

    `count` is how often it was received; if more than once, an earlier receiver may have acted on it.
    """

    receipt: Receipt = field(repr=False)
    body: str = field(repr=False)
    attributes: Mapping[str, str]
    count: int
    sent_at: float
    received_at: float

    @property
    def attempted_at(self) -> float | None:
        """The earliest time at which an earlier receiver may have acted on it; None if there was none."""
        return min(self.sent_at, self.received_at) if self.count > 1 else None


class Transport(Protocol):
    """A queue. One thread calls `receive`, another `delete`. All methods raise `TransportError`."""

    name: str

    def receive(self, most: int, wait_seconds: int) -> list[Received]:
        """Poll for at most `most` messages (up to 10)."""

    def delete(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Delete up to ten messages. Return those to try again."""

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Hide a message for so many seconds; with 0 it is visible now."""


class Source(Protocol):
    """The queue that a message came from (`poller.Poller`)."""

    name: str

    def finish(self, receipt: Receipt) -> None:
        """Delete a message soon: its action has ended or is in the journal."""

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Hide a message for so many seconds."""
