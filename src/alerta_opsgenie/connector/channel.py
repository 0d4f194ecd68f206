"""The HTTP channel of JEC's version 2: messages without SQS and without AWS credentials.

As in the unreleased public branch `jec-v2` of atlassian/jec (9d7f3a0).
"""

from __future__ import annotations

import time
from typing import Any, Callable, Sequence
from urllib.parse import quote

from alerta_opsgenie.clients.connection import Response, UnreachableError, clock_ahead_seconds, retry_after_seconds
from alerta_opsgenie.connector.cloud import VendorApi
from alerta_opsgenie.connector.credentials import CredentialsError, Token, raise_for_status
from alerta_opsgenie.connector.transport import Receipt, Received, TransportError

AUTHENTICATE_PATH = "/jsm/ops/jec/v2/authenticate"
MESSAGES_PATH = "/jsm/ops/jec/v2/messages/channel/"

ASK_V1_AGAIN_SECONDS = 86_400.0
SHORTEST_POLL_SECONDS = 1.0  # JEC polls an empty channel no faster

_REQUEST_SECONDS = 40.0
_LONGEST_ID = 200
_LONGEST_HANDLE = 4096
_MOST_MESSAGES = 1000
_STALE = frozenset({401, 403, 404, 410, 501})
_DELETED = frozenset({200, 202, 204})


def authenticate(api: VendorApi, seconds: float) -> Token:
    """Return a token with our channel. Raises `CredentialsError`."""
    url = api.url(AUTHENTICATE_PATH)
    try:
        response = api.request("GET", AUTHENTICATE_PATH, seconds=seconds)
    except UnreachableError as error:
        raise CredentialsError(str(error)) from None
    raise_for_status(url, response)
    value = _json_object(response)
    channel, owner = _id(value.get("channelId")), _id(value.get("ownerId"))
    if not channel:
        raise CredentialsError(f"{url}: the answer names no channel that can be used ($.channelId)")
    return Token(
        owner or channel,
        refresh_seconds=ASK_V1_AGAIN_SECONDS,
        ahead_seconds=clock_ahead_seconds(response.headers.get("date")),
        channel=channel,
    )


class Channel:
    """Transport for the channel `channel_id`. `make_api` opens a connection: one to poll, one to delete."""

    def __init__(
        self, channel_id: str, owner_id: str, make_api: Callable[[], VendorApi], *, wait_seconds: float = 1.0
    ) -> None:
        self.name = f"channel {channel_id}"
        self.url = channel_id
        self._path = MESSAGES_PATH + quote(channel_id, safe="")
        self._attributes = {"ownerId": owner_id, "channelId": owner_id}
        self._polling, self._deleting = make_api(), make_api()
        self._wait_seconds = max(wait_seconds, SHORTEST_POLL_SECONDS)
        self._next_at = 0.0
        self._seen: dict[str, int] = {}

    def receive(self, most: int, wait_seconds: int) -> list[Received]:  # noqa: ARG002 - the client names no count
        """Poll for messages, no faster than the shortest interval. Raises `TransportError`."""
        time.sleep(max(0.0, self._next_at - time.monotonic()))
        response = self._ask(self._polling, "GET", None)
        if response.status != 200:  # noqa: PLR2004
            raise self._refusal(response)
        messages = self._read(response)
        self._next_at = 0.0 if messages else time.monotonic() + self._wait_seconds
        return messages

    def delete(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Delete messages. Return those to try again. Raises `TransportError`."""
        listed = [{"messageId": one.message_id, "messageHandle": one.handle} for one in receipts]
        response = self._ask(self._deleting, "DELETE", {"messages": listed})
        if response.status not in _DELETED:
            raise self._refusal(response)
        for one in receipts:
            self._seen.pop(one.message_id, None)
        return []

    def extend(self, receipt: Receipt, seconds: int) -> None:
        """Do nothing: the channel has no visibility timeout."""

    def _ask(self, api: VendorApi, method: str, body: Any) -> Response:
        try:
            return api.request(method, self._path, body, seconds=_REQUEST_SECONDS)
        except UnreachableError as error:
            raise TransportError(f"the {self.name}: {error}") from None

    def _refusal(self, response: Response) -> TransportError:
        return TransportError(
            f"the {self.name} refuses: HTTP {response.status}",
            stale=response.status in _STALE,
            retry_after_seconds=retry_after_seconds(response.headers.get("retry-after")),
        )

    def _read(self, response: Response) -> list[Received]:
        entries = _json_object(response).get("messages")
        if not isinstance(entries, list) or len(entries) > _MOST_MESSAGES:
            raise TransportError(f"the {self.name} gave an answer without a list of messages ($.messages)")
        found = [self._received(entry) for entry in entries]
        usable = [one for one in found if one is not None]
        if entries and not usable:
            raise TransportError(f"the {self.name} gave messages without an id or a receiptHandle")
        return usable

    def _received(self, entry: Any) -> Received | None:
        """Read a message. Ignore one that cannot be deleted; one without a body becomes a dead letter later."""
        given = entry if isinstance(entry, dict) else {}
        message_id, handle = _text(given.get("id"), _LONGEST_ID), _text(given.get("receiptHandle"), _LONGEST_HANDLE)
        if not message_id or not handle:
            return None
        # The channel does not count deliveries. What this host has begun is in its journal.
        count = self._seen[message_id] = self._seen.get(message_id, 0) + 1
        if len(self._seen) > _MOST_MESSAGES * 10:
            del self._seen[next(iter(self._seen))]
        given_body, now = given.get("body"), time.time()
        body = given_body if isinstance(given_body, str) else ""
        return Received(Receipt(message_id, handle), body, self._attributes, count, now, now)


def _json_object(response: Response) -> dict[str, Any]:
    value = response.json
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str:
    text = _text(value, _LONGEST_ID)
    return text if text.isascii() and text.isprintable() and "/" not in text else ""


def _text(value: Any, longest: int) -> str:
    return value if isinstance(value, str) and len(value) <= longest else ""
