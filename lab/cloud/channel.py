"""JEC version 2's HTTP channel in front of a queue of the double (contracts 2.1, a branch that is not released).

A message that is not deleted comes again after the queue's visibility timeout, with a new `receiptHandle`: UNCONFIRMED.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from lab.cloud.answers import answer, error
from lab.cloud.integrations import Integration
from lab.cloud.model import JSON

if TYPE_CHECKING:
    from lab.cloud.queues import Double

T = TypeVar("T")
MOST_PER_POLL = 10
PATHS = {"authenticate": "/jsm/ops/jec/v2/authenticate", "messages": "/jsm/ops/jec/v2/messages/channel/{channel}"}


class Channel:
    """Serves the messages of an integration's first queue; the channel's id is the integration's owner id."""

    def __init__(self, host: Double) -> None:
        self._host = host

    async def authenticate(self, _request: web.Request, caller: Integration) -> web.Response:
        """Name the caller's channel."""
        return answer(200, {"channelId": caller.owner_id, "ownerId": caller.owner_id, "ownerType": "integration"})

    async def messages(self, request: web.Request, caller: Integration) -> web.Response:
        """Give messages, or delete those that the body of a DELETE names."""
        channel = request.match_info["channel"]
        if channel != caller.owner_id:
            return error(404, "there is no such channel")
        url = caller.queues[0].url
        if request.method == "DELETE":
            named = json.loads(await request.read())["messages"]
            await self._on_its_loop(self._delete(url, [one["messageHandle"] for one in named]))
            return web.Response(status=204)
        return answer(200, {"channelId": channel, "messages": await self._on_its_loop(self._receive(url))})

    async def _receive(self, url: str) -> list[JSON]:
        sqs = self._host.sqs
        taken = sqs.queue(url).receive(MOST_PER_POLL, sqs.now())
        return [{"id": one.message_id, "body": one.body, "receiptHandle": one.handle} for one in taken]

    async def _delete(self, url: str, handles: list[str]) -> None:
        for handle in handles:
            self._host.sqs.queue(url).delete(handle)

    async def _on_its_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._host.loop))
