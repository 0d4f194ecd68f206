"""One SQS queue. AWS's own environment variables and files are not read: they are for other programs."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.session import Session

from alerta_opsgenie.clients.connection import clock_ahead_seconds
from alerta_opsgenie.connector.cloud import CLIENT_INFO, error_text
from alerta_opsgenie.connector.credentials import AwsCredentials
from alerta_opsgenie.connector.transport import LONGEST_POLL_SECONDS, MOST_PER_BATCH, Receipt, Received, TransportError

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 10
_LONGEST_HIDDEN_SECONDS = 12 * 3600  # API_ChangeMessageVisibility.html
_SYSTEM_ATTRIBUTES = ["ApproximateReceiveCount", "SentTimestamp"]
_STALE_CODES = (
    "ExpiredToken", "InvalidClientTokenId", "AccessDenied", "SignatureDoesNotMatch", "UnrecognizedClient",
    "InvalidSecurity", "NonExistentQueue", "QueueDoesNotExist", "InvalidAccessKeyId",
)  # fmt: skip
_MILLISECONDS = 1000.0
_LARGEST_TIME_MS = 1e14
_MOST_RECEIPTS = 1e9
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, LookupError, RecursionError)


class _CurrentCredentials(Credentials):  # type: ignore[misc]
    """The newest credentials from the vendor, replaced as a whole; it is also botocore's provider of them."""

    def __init__(self, credentials: AwsCredentials) -> None:
        super().__init__(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
        self.renew(credentials)

    def renew(self, newest: AwsCredentials) -> None:
        self._newest = ReadOnlyCredentials(newest.access_key_id, newest.secret_access_key, newest.session_token)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self._newest

    def load_credentials(self) -> _CurrentCredentials:
        return self


class SqsQueue:
    """Transport for one queue. Raises `TransportError` where its URL cannot be used."""

    def __init__(self, url: str, region: str, credentials: AwsCredentials, *, visibility_seconds: int = 30) -> None:
        self.url = url
        self._visibility_seconds = visibility_seconds
        self._credentials = _CurrentCredentials(credentials)
        try:
            parts = urlsplit(url)
            self.name = parts.path.rpartition("/")[2] or parts.netloc
            self._endpoint = f"{parts.scheme}://{parts.netloc}"
            self._client = _make_client(self._endpoint, region, self._credentials)
        except (BotoCoreError, OSError, *_UNREADABLE) as error:
            raise TransportError(f"the queue {url} cannot be used: {error_text(error)}", stale=True) from None

    def renew(self, credentials: AwsCredentials) -> None:
        """Use other credentials from now on."""
        self._credentials.renew(credentials)

    def receive(self, most: int, wait_seconds: int) -> list[Received]:
        """Poll for at most `most` messages (up to 10). Raises `TransportError`."""
        answer = self._call(
            "receive_message",
            MaxNumberOfMessages=min(most, MOST_PER_BATCH),
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=self._visibility_seconds,
            MessageAttributeNames=["All"],
            AttributeNames=_SYSTEM_ATTRIBUTES,  # the older name, which Debian 12's botocore 1.29 knows too
        )
        try:
            date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
            ahead, now = clock_ahead_seconds(date), time.time()
            return [read_message(message, ahead, now) for message in answer.get("Messages") or []]
        except _UNREADABLE:
            raise TransportError(f"the queue {self.name} gave an answer that cannot be read") from None

    def delete(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Delete up to ten messages. Return those to try again. Raises `TransportError`."""
        entries = [{"Id": str(index), "ReceiptHandle": one.handle} for index, one in enumerate(receipts)]
        answer = self._call("delete_message_batch", Entries=entries)
        try:
            # A handle that SQS refuses (SenderFault) is not tried again.
            failed = {str(one["Id"]) for one in answer.get("Failed") or [] if not one.get("SenderFault")}
        except _UNREADABLE:
            raise TransportError(f"the queue {self.name} gave an answer that cannot be read") from None
        return [one for index, one in enumerate(receipts) if str(index) in failed]

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Hide a message for so many seconds; with 0 it is visible now. Raises `TransportError`."""
        hidden = min(seconds, _LONGEST_HIDDEN_SECONDS)
        self._call("change_message_visibility", ReceiptHandle=receipt.handle, VisibilityTimeout=hidden)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer = getattr(self._client, operation)(QueueUrl=self.url, **parameters)
        except ClientError as error:
            code = _code_of(error)
            text = f"the queue {self.name} refuses: {code or error_text(error)}"
            raise TransportError(text, stale=any(known in code for known in _STALE_CODES)) from None
        except (BotoCoreError, HTTPClientError, OSError, *_UNREADABLE) as error:
            raise TransportError(f"the queue {self.name} at {self._endpoint}: {error_text(error)}") from None
        return answer if isinstance(answer, dict) else {}


def _make_client(endpoint: str, region: str, credentials: _CurrentCredentials) -> Any:
    defaults = BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    names: dict[str, Any] = {name: (None, None, default, convert) for name, (_, _, default, convert) in defaults}
    # The one exception: a private CA of this host.
    names["ca_bundle"] = (None, "AWS_CA_BUNDLE", None, None)
    names["config_file"] = names["credentials_file"] = (None, None, "/dev/null", None)
    session = Session(session_vars=names)
    session.register_component("credential_provider", credentials)
    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=LONGEST_POLL_SECONDS + _ANSWER_SECONDS,
        parameter_validation=False,
        user_agent=CLIENT_INFO,  # botocore builds its own for each request
        max_pool_connections=MOST_PER_BATCH,
    )
    return session.create_client("sqs", region_name=region, endpoint_url=endpoint, config=config)


def _code_of(error: ClientError) -> str:
    found = error.response.get("Error")
    code = found.get("Code", "") if isinstance(found, dict) else ""
    return " ".join(str(code).split())[:100]


def read_message(message: Mapping[str, Any], ahead_seconds: float, now: float) -> Received:
    """Read one message of a response. Raises one of `_UNREADABLE`."""
    system = message.get("Attributes") or {}
    attributes = {
        str(name): str(value["StringValue"])
        for name, value in (message.get("MessageAttributes") or {}).items()
        if "StringValue" in value
    }
    sent = _number(system.get("SentTimestamp"), _LARGEST_TIME_MS) / _MILLISECONDS
    return Received(
        receipt=Receipt(str(message.get("MessageId", "")), str(message["ReceiptHandle"])),
        body=str(message.get("Body", "")),
        attributes=attributes,
        # Without a count, an earlier receipt is possible.
        count=int(_number(system.get("ApproximateReceiveCount"), _MOST_RECEIPTS)) or 2,
        sent_at=sent - ahead_seconds if sent else now,
        received_at=now,
    )


def _number(value: Any, most: float) -> float:
    """Return a number that AWS sends as a text; 0 if it is none, or not from 0 to `most`."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if 0 <= number <= most else 0.0
