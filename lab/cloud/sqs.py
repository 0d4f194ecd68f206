"""A fast double of SQS for benches and tests: its JSON protocol, long polls included, on one event loop.

`moto` is the reference (the same tests run on both), but takes about a hundred requests per second and spins while it
waits; this one takes thousands and sleeps. It speaks the protocol of current AWS clients (`X-Amz-Target`), not the
older query protocol, checks no signature, and checks temporary credentials where it is given a way to.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from lab.cloud.sqs_model import JSON, Held, QueueModel, Refusal, digest_attributes

ACCOUNT = "000000000000"
TARGET = "AmazonSQS."
CONTENT_TYPE = "application/x-amz-json-1.0"
MOST_PER_BATCH = 10
LONGEST_WAIT_SECONDS = 20
LONGEST_VISIBILITY_SECONDS = 43_200
LARGEST_BODY = 1_048_576  # bytes; 256 KiB until 2025
ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")

OLDER_CODES = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
}

CheckCredentials = Callable[[str, str], "str | None"]
Operation = Callable[["Sqs", JSON], "Any"]


class Sqs:
    """The queues of one server, with their waiting receivers.

    `check` says of an access key id and a session token whether they are good (None) or AWS's error code.
    """

    def __init__(self, check: CheckCredentials | None = None, clock: Callable[[], float] = time.time) -> None:
        self._check = check
        self._clock = clock
        self._origin = ""
        self._queues: dict[str, QueueModel] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def add_routes(self, router: web.UrlDispatcher, origin: str) -> None:
        """Add the routes to an application that is reached at `origin` (scheme, host, port)."""
        self._origin = origin
        router.add_post("/{path:.*}", self.handle)

    def create(self, name: str, visibility_seconds: float = 30.0) -> str:
        """Create a queue if it is not there, and return its URL."""
        self._queues.setdefault(name, QueueModel(name, visibility_seconds))
        return f"{self._origin}/{ACCOUNT}/{name}"

    def queue(self, url: str) -> QueueModel:
        """Return the queue of a URL."""
        queue = self._queues.get(url.rpartition("/")[2])
        if queue is None:
            raise Refusal("QueueDoesNotExist", "The specified queue does not exist.")
        return queue

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        return self._clock()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request of the JSON protocol."""
        try:
            operation = self._admit(request)
            result = operation(self, json.loads(await request.read() or b"{}"))
            if asyncio.iscoroutine(result):
                result = await result
        except Refusal as refusal:
            return _refuse(refusal)
        return web.Response(body=json.dumps(result).encode(), content_type=CONTENT_TYPE)

    def wake(self, queue: QueueModel, count: int = 1) -> None:
        """Wake receivers that wait for `count` messages."""
        waiting = self._waiting.get(queue.name, [])
        while waiting and count > 0:
            future = waiting.pop(0)
            if not future.done():
                future.set_result(None)
                count -= 1

    async def wait(self, queue: QueueModel, until: float) -> None:
        """Wait until a message may be there, at most until `until`."""
        future = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(queue.name, [])
        waiting.append(future)
        due = queue.next_due()
        wait_seconds = min(until, until if due is None else due) - self.now()
        try:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(future, max(wait_seconds, 0.001))
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.wake(queue)  # this receiver is gone: the message is for the next one
            raise
        finally:
            if future in waiting:
                waiting.remove(future)

    def _admit(self, request: web.Request) -> Operation:
        """Return what is asked for, to someone who may ask."""
        if self._check is not None:
            key = ACCESS_KEY.search(request.headers.get("Authorization", ""))
            code = self._check(key.group(1) if key else "", request.headers.get("X-Amz-Security-Token", ""))
            if code is not None:
                raise Refusal(code, "The security token included in the request is invalid or expired")
        operation = _OPERATIONS.get(request.headers.get("X-Amz-Target", "").removeprefix(TARGET))
        if operation is None:
            raise Refusal("InvalidAction", "the double does not know this action")
        return operation


def _refuse(refusal: Refusal) -> web.Response:
    status = 403 if refusal.code in ("ExpiredToken", "InvalidClientTokenId") else 400
    body = {"__type": f"com.amazonaws.sqs#{refusal.code}", "message": str(refusal)}
    # Clients of the JSON protocol take the code of the older protocol from this header.
    older = OLDER_CODES.get(refusal.code, refusal.code)
    headers = {"x-amzn-query-error": f"{older};Sender"}
    return web.Response(status=status, text=json.dumps(body), content_type=CONTENT_TYPE, headers=headers)


def _number(body: JSON, name: str, default: float, most: float, least: float = 0) -> float:
    value = body.get(name, default)
    if not isinstance(value, (int, float)) or not least <= value <= most:
        raise Refusal("InvalidParameterValue", f"Value {value!r} for parameter {name} is invalid.")
    return float(value)


def _create_queue(sqs: Sqs, body: JSON) -> JSON:
    seconds = float(body.get("Attributes", {}).get("VisibilityTimeout", 30))
    return {"QueueUrl": sqs.create(body["QueueName"], seconds)}


def _get_queue_url(sqs: Sqs, body: JSON) -> JSON:
    sqs.queue(body["QueueName"])
    return {"QueueUrl": sqs.create(body["QueueName"])}


def _get_attributes(sqs: Sqs, body: JSON) -> JSON:
    queue = sqs.queue(body["QueueUrl"])
    visible, in_flight, delayed = queue.count(sqs.now())
    known = {
        "ApproximateNumberOfMessages": str(visible),
        "ApproximateNumberOfMessagesNotVisible": str(in_flight),
        "ApproximateNumberOfMessagesDelayed": str(delayed),
        "VisibilityTimeout": str(int(queue.visibility_seconds)),
    }
    wanted = body.get("AttributeNames", [])
    return {"Attributes": {name: value for name, value in known.items() if name in wanted or "All" in wanted}}


def _purge(sqs: Sqs, body: JSON) -> JSON:
    sqs.queue(body["QueueUrl"]).purge()
    return {}


def _send(sqs: Sqs, body: JSON) -> JSON:
    queue = sqs.queue(body["QueueUrl"])
    sent = _send_one(sqs, queue, body)
    sqs.wake(queue)
    return sent


def _send_one(sqs: Sqs, queue: QueueModel, entry: JSON) -> JSON:
    text = entry.get("MessageBody", "")
    if not text:
        raise Refusal("MissingParameter", "The request must contain the parameter MessageBody.")
    if len(text.encode()) > LARGEST_BODY:
        raise Refusal("InvalidParameterValue", f"Message must be shorter than {LARGEST_BODY} bytes.")
    held = queue.send(text, entry.get("MessageAttributes", {}), sqs.now(), _number(entry, "DelaySeconds", 0, 900))
    sent = {"MessageId": held.message_id, "MD5OfMessageBody": held.body_md5}
    return {**sent, "MD5OfMessageAttributes": held.attributes_md5} if held.attributes_md5 else sent


async def _receive(sqs: Sqs, body: JSON) -> JSON:
    queue = sqs.queue(body["QueueUrl"])
    most = int(_number(body, "MaxNumberOfMessages", 1, MOST_PER_BATCH, 1))
    until = sqs.now() + _number(body, "WaitTimeSeconds", 0, LONGEST_WAIT_SECONDS)
    hidden = _number(body, "VisibilityTimeout", queue.visibility_seconds, LONGEST_VISIBILITY_SECONDS)
    while not (taken := queue.receive(most, sqs.now(), hidden)) and sqs.now() < until:
        await sqs.wait(queue, until)
    # An empty answer has no "Messages", as at AWS.
    return {"Messages": [_show(held, body) for held in taken]} if taken else {}


def _show(held: Held, wanted: JSON) -> JSON:
    shown: JSON = {
        "MessageId": held.message_id,
        "ReceiptHandle": held.handle,
        "MD5OfBody": held.body_md5,
        "Body": held.body,
    }
    system = {
        "ApproximateReceiveCount": str(held.received),
        "ApproximateFirstReceiveTimestamp": str(held.first_received_at_ms),
        "SentTimestamp": str(held.sent_at_ms),
        "SenderId": "AIDAEXAMPLE",
    }
    names = {*wanted.get("AttributeNames", []), *wanted.get("MessageSystemAttributeNames", [])}
    chosen = {name: value for name, value in system.items() if name in names or "All" in names}
    if chosen:
        shown["Attributes"] = chosen
    attributes = _choose(held.attributes, wanted.get("MessageAttributeNames", []))
    if attributes:
        whole = len(attributes) == len(held.attributes)
        shown["MessageAttributes"] = attributes
        shown["MD5OfMessageAttributes"] = held.attributes_md5 if whole else digest_attributes(attributes)
    return shown


def _choose(attributes: JSON, names: list[str]) -> JSON:
    """Return the attributes that are asked for: by name, by `prefix.*`, or all."""
    if not attributes or "All" in names or ".*" in names:
        return attributes
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {key: value for key, value in attributes.items() if key in names or (prefixes and key.startswith(prefixes))}


def _delete(sqs: Sqs, body: JSON) -> JSON:
    sqs.queue(body["QueueUrl"]).delete(body["ReceiptHandle"])
    return {}


def _change_visibility(sqs: Sqs, body: JSON) -> JSON:
    queue = sqs.queue(body["QueueUrl"])
    seconds = _number(body, "VisibilityTimeout", -1, LONGEST_VISIBILITY_SECONDS)
    queue.change_visibility(body["ReceiptHandle"], seconds, sqs.now())
    sqs.wake(queue)  # to look at the new time, or to take the message
    return {}


def _batch(operation: Operation) -> Operation:
    """Return the batch form of an operation on one entry."""

    def run(sqs: Sqs, body: JSON) -> JSON:
        sqs.queue(body["QueueUrl"])
        entries = body.get("Entries", [])
        _check_entries(entries)
        result: JSON = {"Successful": [], "Failed": []}
        for entry in entries:
            kind, done = _try_entry(operation, sqs, {**entry, "QueueUrl": body["QueueUrl"]})
            result[kind].append({"Id": entry["Id"], **done})
        return {key: value for key, value in result.items() if value}

    return run


def _try_entry(operation: Operation, sqs: Sqs, entry: JSON) -> tuple[str, JSON]:
    try:
        return "Successful", operation(sqs, entry)
    except Refusal as refusal:
        return "Failed", {"Code": refusal.code, "Message": str(refusal), "SenderFault": True}


def _check_entries(entries: list[JSON]) -> None:
    if not entries:
        raise Refusal("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > MOST_PER_BATCH:
        raise Refusal("TooManyEntriesInBatchRequest", f"Maximum number of entries is {MOST_PER_BATCH}.")
    if len({entry["Id"] for entry in entries}) != len(entries):
        raise Refusal("BatchEntryIdsNotDistinct", "Ids of a batch must be distinct.")


_OPERATIONS: dict[str, Operation] = {
    "CreateQueue": _create_queue,
    "GetQueueUrl": _get_queue_url,
    "GetQueueAttributes": _get_attributes,
    "PurgeQueue": _purge,
    "SendMessage": _send,
    "SendMessageBatch": _batch(_send),
    "ReceiveMessage": _receive,
    "DeleteMessage": _delete,
    "DeleteMessageBatch": _batch(_delete),
    "ChangeMessageVisibility": _change_visibility,
    "ChangeMessageVisibilityBatch": _batch(_change_visibility),
}
