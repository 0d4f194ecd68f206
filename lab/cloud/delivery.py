"""Sends the messages out: to webhooks by HTTP, to edge connectors by SQS, in order for each integration."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from contextlib import suppress
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from lab.cloud.cloud import Cloud
from lab.cloud.integrations import Integration, Queue
from lab.cloud.messages import CUSTOMER_ID, Message
from lab.cloud.queues import client, origin

MOST_PER_BATCH = 10
HOLD_SECONDS = 0.1  # how long an overtaken message waits for one to overtake it
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 1.0
TOO_MANY, SERVER_ERRORS, SUCCESSES = 429, range(500, 600), range(200, 300)

Inbox = asyncio.Queue[Message]


class Delivery:
    """One task per outgoing integration; lives on the event loop that starts it, and takes messages from any thread."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, tuple[Inbox, asyncio.Task[None]]] = {}
        self._http = aiohttp.ClientSession()
        self._clients: dict[tuple[str, str], Any] = {}
        self._making_client = threading.Lock()

    def put(self, message: Message) -> None:
        """Take a message (from any thread)."""
        self._loop.call_soon_threadsafe(self._take, message)

    async def stop(self) -> None:
        """End all tasks; what is not delivered stays undelivered."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()

    def _take(self, message: Message) -> None:
        integration = message.integration
        if integration.integration_id not in self._tasks:
            inbox: Inbox = asyncio.Queue()
            run = self._run_queue if integration.on_queue else self._run_webhook
            self._tasks[integration.integration_id] = (inbox, self._loop.create_task(run(integration, inbox)))
        self._tasks[integration.integration_id][0].put_nowait(message)

    # --- webhooks ---------------------------------------------------------------------------------------------

    async def _run_webhook(self, _integration: Integration, inbox: Inbox) -> None:
        while True:
            message = await inbox.get()
            delivered = await self._post_with_retries(message)
            self._cloud.finish_delivery(message, delivered=delivered)

    async def _post_with_retries(self, message: Message) -> bool:
        """Post until it is taken, refused for good (4xx but 429), or the policy's retries are used up."""
        for delay_seconds in (*message.integration.policy.retry_delays_seconds, None):
            status = await self._post(message)
            if status in SUCCESSES:
                return True
            if status and status != TOO_MANY and status not in SERVER_ERRORS:
                return False
            if delay_seconds is not None:
                await asyncio.sleep(delay_seconds)
        return False

    async def _post(self, message: Message) -> int:
        """Return the status of the answer, or 0 when there was none."""
        integration = message.integration
        timeout = aiohttp.ClientTimeout(total=integration.policy.timeout_seconds)
        try:
            async with self._http.post(
                integration.url,
                data=json.dumps(message.body),
                headers={"Content-Type": "application/json", **integration.headers},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
            return 0

    # --- queues -----------------------------------------------------------------------------------------------

    async def _run_queue(self, integration: Integration, inbox: Inbox) -> None:
        rng = random.Random(f"{self._cloud.seed}/{integration.name}")
        overtaken: list[Message] = []
        while True:
            batch = await self._gather(inbox, HOLD_SECONDS if overtaken else None)
            if not integration.queues:
                self._finish(batch, delivered=False)
                continue
            going, overtaken = self._disturb(batch, overtaken, inbox, rng)
            await self._send(integration, going)
            self._finish(going, delivered=True)

    async def _gather(self, inbox: Inbox, timeout_seconds: float | None) -> list[Message]:
        """Wait for a message, and take what else is there; nothing after `timeout_seconds`."""
        batch: list[Message] = []
        with suppress(asyncio.TimeoutError):
            batch.append(await asyncio.wait_for(inbox.get(), timeout_seconds))
        while len(batch) < MOST_PER_BATCH and not inbox.empty():
            batch.append(inbox.get_nowait())
        return batch

    def _disturb(
        self, batch: list[Message], overtaken: list[Message], inbox: Inbox, rng: random.Random
    ) -> tuple[list[Message], list[Message]]:
        """Return what goes now, and what is overtaken; duplicates go back into the inbox."""
        going: list[Message] = []
        later: list[Message] = []
        for message in batch:
            (later if rng.random() < self._cloud.switches.disorder_share else going).append(message)
            if rng.random() < self._cloud.switches.duplicate_share:
                self._cloud.begin_delivery()
                inbox.put_nowait(message)
        return going + overtaken, later

    async def _send(self, integration: Integration, messages: list[Message]) -> None:
        """Send until SQS has them all: the cloud loses nothing that it has put on its way."""
        delay_seconds, waiting = FIRST_RETRY_SECONDS, messages
        while waiting:
            waiting = await self._try_send(integration, waiting)
            if waiting:
                await asyncio.sleep(delay_seconds)
                delay_seconds = min(delay_seconds * 2, LAST_RETRY_SECONDS)

    async def _try_send(self, integration: Integration, messages: list[Message]) -> list[Message]:
        """Send one batch per queue; return what was not taken."""
        left: list[Message] = []
        for queue in integration.queues:
            own = [message for message in messages if _choose(message, integration) is queue]
            for start in range(0, len(own), MOST_PER_BATCH):
                left += await self._send_batch(queue, integration, own[start : start + MOST_PER_BATCH])
        return left

    async def _send_batch(self, queue: Queue, integration: Integration, batch: list[Message]) -> list[Message]:
        entries = [
            {"Id": str(index), "MessageBody": json.dumps(message.body), "MessageAttributes": self._mark(integration)}
            for index, message in enumerate(batch)
        ]
        try:
            answer = await asyncio.to_thread(self._send_entries, queue, entries)
        except (BotoCoreError, ClientError, OSError):
            return batch
        return [batch[int(failed["Id"])] for failed in answer.get("Failed", [])]

    def _mark(self, integration: Integration) -> dict[str, Any]:
        """Return the attributes by which a connector knows its messages (queue/job.go of both)."""
        owner, values = integration.owner_id, {"ownerId": integration.owner_id}
        if integration.kind == "oec":
            values["integrationId"] = integration.integration_id
        else:
            by_owner = self._cloud.switches.jec_match == "ownerId"
            values = {"ownerId": owner if by_owner else CUSTOMER_ID, "channelId": CUSTOMER_ID if by_owner else owner}
        return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}

    def _send_entries(self, queue: Queue, entries: list[dict[str, Any]]) -> Any:
        place = (origin(queue.url), queue.region)
        with self._making_client:
            if place not in self._clients:
                grant = self._cloud.credentials.own
                self._clients[place] = client(
                    place[0],
                    region=place[1],
                    aws_access_key_id=grant.access_key_id,
                    aws_secret_access_key=grant.secret_access_key,
                    aws_session_token=grant.session_token,
                )
        return self._clients[place].send_message_batch(QueueUrl=queue.url, Entries=entries)

    def _finish(self, messages: list[Message], *, delivered: bool) -> None:
        for message in messages:
            self._cloud.finish_delivery(message, delivered=delivered)


def _choose(message: Message, integration: Integration) -> Queue:
    """Return the queue of a message: the same for all messages of an alert."""
    number = sum(message.change.alert.alias.encode())
    return integration.queues[number % len(integration.queues)]
