"""One SQS queue: messages received, deleted, and hidden for longer or given back.

The endpoint is the queue URL's own origin, and the credentials are those that the vendor gave, replaced in place as
new ones come.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from alerta_opsgenie.clients.connection import clock_ahead_seconds
from alerta_opsgenie.connector.cloud import words_of
from alerta_opsgenie.connector.credentials import CLIENT_INFO, Grant
from alerta_opsgenie.connector.tasks import within

MOST_PER_BATCH = 10
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""

LONGEST_POLL_SECONDS = 20
"""The longest that SQS lets a receiver wait (the same page)."""

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 10
_SYSTEM_ATTRIBUTES = ["ApproximateReceiveCount", "SentTimestamp", "ApproximateFirstReceiveTimestamp"]
_STALE_CODES = (
    "ExpiredToken", "InvalidClientTokenId", "AccessDenied", "SignatureDoesNotMatch", "UnrecognizedClient",
    "InvalidSecurity", "NonExistentQueue", "QueueDoesNotExist", "InvalidAccessKeyId",
)  # fmt: skip
_MILLISECONDS = 1000.0


class QueueError(Exception):
    """SQS did not do what was asked. `stale` says that other credentials, or another queue, are needed."""

    def __init__(self, text: str, *, stale: bool = False) -> None:
        super().__init__(text)
        self.stale = stale


@dataclass(frozen=True, eq=False)
class Received:
    """A message in our hands. Instants are in seconds since the epoch by this host's clock.

    `count` is how often it was received, this time included; more than once says that an earlier receiver may have
    acted on it. `attributes` are the texts among its attributes.
    """

    queue: SqsQueue = field(repr=False)
    message_id: str
    handle: str = field(repr=False)
    body: str = field(repr=False)
    attributes: Mapping[str, str]
    count: int
    sent_at: float
    received_at: float

    @property
    def attempted_at(self) -> float | None:
        """When an earlier receiver may have begun to act on it; None where there was none.

        That is no earlier than the sending, whatever happened to it since.
        """
        return min(self.sent_at, self.received_at) if self.count > 1 else None


class SqsQueue:
    """A queue at work; `connect` before anything else, and `close` at the end."""

    def __init__(self, url: str, region: str, grant: Grant) -> None:
        self.url = url
        parts = urlsplit(url)
        self.name = parts.path.rpartition("/")[2] or parts.netloc
        self._endpoint = f"{parts.scheme}://{parts.netloc}"
        self._region = region
        self._session = AioSession()
        self._session.set_credentials(grant.access_key_id, grant.secret_access_key, grant.session_token)
        self._context: Any = None
        self._client: Any = None

    async def connect(self) -> None:
        """Make the client. Raises `QueueError`."""
        # Its first use reads the description of SQS, half a megabyte of JSON, which is cached in the session.
        loader = self._session.get_component("data_loader")
        await asyncio.to_thread(loader.load_service_model, "sqs", "service-2")
        config = AioConfig(
            retries={"total_max_attempts": 1},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=LONGEST_POLL_SECONDS + _ANSWER_SECONDS,
            parameter_validation=False,
            user_agent=CLIENT_INFO,  # botocore's own is put together anew for each request
            max_pool_connections=MOST_PER_BATCH,
        )
        try:
            self._context = self._session.create_client(
                "sqs", region_name=self._region, endpoint_url=self._endpoint, config=config
            )
            self._client = await self._context.__aenter__()
        except (BotoCoreError, ValueError) as error:
            raise QueueError(f"the queue {self.url} cannot be used: {words_of(error)}", stale=True) from None

    async def renew(self, grant: Grant) -> None:
        """Use other credentials from now on."""
        held = await self._session.get_credentials()
        # Read afresh for each request (aiobotocore's AioCredentials.get_frozen_credentials).
        held.access_key, held.secret_key, held.token = (
            grant.access_key_id, grant.secret_access_key, grant.session_token,
        )  # fmt: skip

    async def receive(self, most: int, wait_seconds: int, visibility_seconds: int) -> list[Received]:
        """Wait for messages, at most `most` (up to 10). Raises `QueueError`."""
        answer = await self._call(
            "receive_message",
            wait_seconds + _ANSWER_SECONDS,
            MaxNumberOfMessages=min(most, MOST_PER_BATCH),
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=visibility_seconds,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=_SYSTEM_ATTRIBUTES,
        )
        ahead = clock_ahead_seconds(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
        now = time.time()
        return [self._read(message, ahead, now) for message in answer.get("Messages") or []]

    async def delete(self, handles: Iterable[str]) -> list[str]:
        """Delete up to ten messages; gives the handles that SQS failed to delete. Raises `QueueError`."""
        return await self._each("delete_message_batch", [{"ReceiptHandle": handle} for handle in handles])

    async def hide(self, handles: Iterable[str], seconds: int) -> list[str]:
        """Hide up to ten messages for so long from now; 0 gives them back. Gives the handles that failed."""
        entries = [{"ReceiptHandle": handle, "VisibilityTimeout": seconds} for handle in handles]
        return await self._each("change_message_visibility_batch", entries)

    async def close(self) -> None:
        """Close the connections."""
        if self._context is not None:
            await self._context.__aexit__(None, None, None)
            self._context = self._client = None

    async def _each(self, operation: str, entries: list[dict[str, Any]]) -> list[str]:
        numbered = [{"Id": str(index), **entry} for index, entry in enumerate(entries)]
        answer = await self._call(operation, _ANSWER_SECONDS, Entries=numbered)
        return [
            entries[int(failed["Id"])]["ReceiptHandle"]
            for failed in answer.get("Failed") or []
            if not failed.get("SenderFault")  # a handle that is no longer good will not be better the next time
        ]

    async def _call(self, operation: str, seconds: float, **parameters: Any) -> dict[str, Any]:
        if self._client is None:
            raise QueueError(f"the queue {self.url} is closed")
        try:
            call = getattr(self._client, operation)(QueueUrl=self.url, **parameters)
            answer: dict[str, Any] = await within(seconds, call)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            text = f"the queue {self.name} refuses: {code or words_of(error)}"
            raise QueueError(text, stale=any(known in code for known in _STALE_CODES)) from None
        except asyncio.TimeoutError:
            raise QueueError(f"the queue {self.name} at {self._endpoint} did not answer in time") from None
        except (BotoCoreError, OSError, ValueError) as error:
            raise QueueError(f"the queue {self.name} at {self._endpoint}: {words_of(error)}") from None
        return answer

    def _read(self, message: Mapping[str, Any], ahead_seconds: float, now: float) -> Received:
        system = message.get("Attributes") or {}
        attributes = {
            name: str(value["StringValue"])
            for name, value in (message.get("MessageAttributes") or {}).items()
            if "StringValue" in value
        }
        sent = _number(system.get("SentTimestamp")) / _MILLISECONDS
        return Received(
            queue=self,
            message_id=str(message.get("MessageId", "")),
            handle=str(message["ReceiptHandle"]),
            body=str(message.get("Body", "")),
            attributes=attributes,
            # Where SQS does not say, an earlier receipt is possible.
            count=int(_number(system.get("ApproximateReceiveCount"))) or 2,
            sent_at=sent - ahead_seconds if sent else now,
            received_at=now,
        )


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0
