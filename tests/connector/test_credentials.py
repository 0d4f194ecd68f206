"""Queue credentials: read, named as held, renewed in time, and asked for again for ever where they are refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from lab.cloud import Cloud, CloudServer, Queue

from alerta_opsgenie.connector.credentials import (
    CredentialsError,
    CredentialsKeeper,
    Grant,
    QueuePlace,
    Token,
    parse_token,
)
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.tasks import end
from alerta_opsgenie.vendor.config import EdgeConfig
from alerta_opsgenie.vendor.secret import Secret
from tests.connector.waiting import until

PLACE = Queue("http://127.0.0.1:1/000000000000/alerta", "eu-west-1")


def test_a_token_is_read_with_what_it_says_about_refreshing() -> None:
    token = parse_token(json.dumps(described()), ahead_seconds=2.0)
    assert token == Token(
        "me", (QueuePlace("http://q/1", "eu-west-1", Grant("A", 1751623.2, "S", "T")),), 30.0, 15.0, 2.0
    )
    assert "'T'" not in repr(token)


def test_a_queue_without_credentials_keeps_those_that_are_held() -> None:
    value = described()
    value["queueProperties"][0]["assumeRoleResult"] = {}
    assert parse_token(json.dumps(value)).queues[0].grant is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"queueProperties": [{}]}', '{"queueProperties": [1]}', "[" * 9999])
def test_a_header_that_cannot_be_read_is_an_error_and_nothing_worse(text: str) -> None:
    with pytest.raises(CredentialsError):
        parse_token(text)


def described() -> dict[str, Any]:
    role = {"accessKeyId": "A", "secretAccessKey": "S", "sessionToken": "T", "expireTimeMillis": 1751623200}
    conf = {
        "queueUrl": "http://q/1",
        "region": "eu-west-1",
        "credentialSuccessRefreshPeriod": 30,
        "credentialErrorRefreshPeriod": 15,
    }
    properties = {"assumeRoleResult": {"credentials": role}, "queueConfiguration": conf}
    return {"ownerId": "me", "queueProperties": [properties]}


class Run:
    """A keeper at work on a stand-in."""

    def __init__(self, dialect: str, cloud: Cloud, server: CloudServer, session: aiohttp.ClientSession) -> None:
        self.cloud = cloud
        add = cloud.add_oec if dialect == "oec" else cloud.add_jec
        self.integration = add(queues=(PLACE,))
        self.tokens: list[Token] = []
        self.came = asyncio.Event()
        config = EdgeConfig(dialect, Secret(self.integration.key), server.base_url, {})
        self.keeper = CredentialsKeeper(config, session, self._use, Progress())
        self.task = asyncio.ensure_future(self.keeper.run())

    def _use(self, token: Token) -> None:
        self.tokens.append(token)
        self.came.set()

    async def next(self) -> Token:
        await asyncio.wait({asyncio.ensure_future(self.came.wait())}, timeout=10)
        assert self.came.is_set(), self.keeper.failure
        self.came.clear()
        return self.tokens[-1]


@pytest.fixture(params=["oec", "jec"])
async def run(request: pytest.FixtureRequest) -> AsyncIterator[Run]:
    cloud = Cloud()
    server = CloudServer(cloud)
    await asyncio.to_thread(server.start)
    async with aiohttp.ClientSession() as session:
        running = Run(request.param, cloud, server, session)
        yield running
        await end(running.task)
    await asyncio.to_thread(server.stop)


async def test_credentials_come_with_the_queue_and_its_owner(run: Run) -> None:
    token = await run.next()
    assert token.owner_id == run.integration.owner_id
    assert token.queues[0].url == PLACE.url
    assert token.queues[0].grant is not None
    assert run.cloud.records.client_infos[0].startswith("alerta-opsgenie/")


async def test_they_are_renewed_before_they_expire(run: Run) -> None:
    run.cloud.credentials.lifetime_seconds, run.cloud.credentials.renew_before_seconds = 2.0, 1.5
    first = (await run.next()).queues[0].grant
    grants = [first]
    while len(grants) < 3:
        grants.append((await run.next()).queues[0].grant or grants[-1])
    assert grants[-1] != first, "asked in time, though told to ask once a minute"


async def test_what_was_refused_is_not_named_as_held(run: Run) -> None:
    await run.next()
    run.keeper.refresh()
    assert (await run.next()).queues[0].grant is not None


async def test_a_refused_endpoint_is_asked_again_and_said_once(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with run.cloud.faults.status(503, "credentials"):
        run.keeper.refresh()
        await until(lambda: run.keeper.failures >= 2)
        assert "HTTP 503" in run.keeper.failure
    await run.next()
    while run.keeper.failure:
        await run.next()
    said = [record for record in caplog.records if "no credentials" in record.getMessage()]
    assert len(said) == 1
    assert run.integration.key not in caplog.text
