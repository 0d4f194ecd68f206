"""Results are told in the exact form, tried again, and never held on to for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from lab.cloud import Cloud, CloudServer, Integration

from alerta_opsgenie.connector import callbacks
from alerta_opsgenie.connector.callbacks import Callbacks, is_failure, result_of
from alerta_opsgenie.connector.tasks import end, within
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.vendor.callback import read_envelope
from alerta_opsgenie.vendor.config import EdgeConfig
from alerta_opsgenie.vendor.secret import Secret
from tests.connector.waiting import until


class Run:
    def __init__(self, dialect: str, cloud: Cloud, server: CloudServer, session: aiohttp.ClientSession) -> None:
        self.cloud, self.dialect = cloud, dialect
        add = cloud.add_oec if dialect == "oec" else cloud.add_jec
        self.integration: Integration = add()
        self.counts: list[str] = []
        config = EdgeConfig(dialect, Secret(self.integration.key), server.base_url, {})
        self.callbacks = Callbacks(config, session, self.counts.append)
        self.task = asyncio.ensure_future(self.callbacks.run())

    def result(self, outcome: Outcome, *, failed: bool) -> dict[str, Any]:
        self.cloud.person("alice@example.com").create("m", source="Alerta")
        envelope = read_envelope(self.cloud.sent(self.integration)[-1])
        return result_of(self.dialect, envelope, "Acknowledge x by alice", outcome, failed=failed)


@pytest.fixture(params=["oec", "jec"])
async def run(request: pytest.FixtureRequest) -> AsyncIterator[Run]:
    cloud = Cloud()
    server = CloudServer(cloud)
    await asyncio.to_thread(server.start)
    cloud.attach(None, lambda: None)
    async with aiohttp.ClientSession() as session:
        running = Run(request.param, cloud, server, session)
        yield running
        await end(running.task)
    await asyncio.to_thread(server.stop)
    cloud.assert_no_violations()


DONE = Outcome(Kind.APPLIED, Reason.DONE)
REFUSED = Outcome(Kind.KEPT, Reason.UNAUTHORIZED, "Alerta answered HTTP 401")


async def test_success_and_failure_are_told_as_the_vendor_wants_them(run: Run) -> None:
    run.callbacks.put(run.result(DONE, failed=False))
    await run.callbacks.flush()
    run.callbacks.put(run.result(REFUSED, failed=True))
    await run.callbacks.flush()
    success, failure = (callback.body for callback in run.cloud.records.callbacks)
    assert success["isSuccessful"] is True
    assert "failureMessage" not in success
    assert "isSuccessful" not in failure
    assert failure["failureMessage"].startswith("Acknowledge x by alice: Alerta answered HTTP 401; give an API key")
    assert ("callbackContext" in success) == (run.dialect == "jec")
    assert run.counts == ["sent", "sent"]


async def test_what_passes_is_tried_again(run: Run) -> None:
    run.cloud.faults.status(503, "callback", times=2)
    run.callbacks.put(run.result(DONE, failed=False))
    await within(10, run.callbacks.flush())
    assert run.counts == ["sent"]


async def test_what_is_refused_is_not_tried_again(run: Run) -> None:
    fault = run.cloud.faults.status(422, "callback")
    run.callbacks.put(run.result(DONE, failed=False))
    await within(5, run.callbacks.flush())
    assert run.counts == ["refused"]
    assert fault.struck == 1


async def test_no_more_than_a_thousand_wait(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "MOST_WAITING", 3)
    run.cloud.faults.hang("callback")
    for _ in range(8):
        run.callbacks.put({"requestId": "r"})
    await until(lambda: run.counts.count("dropped") >= 3)
    assert len(run.callbacks) <= 3 + callbacks.SENDERS


async def test_without_a_request_id_there_is_nobody_to_tell(run: Run) -> None:
    run.callbacks.put({"action": "Acknowledge"})
    assert len(run.callbacks) == 0


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (DONE, False),
        (Outcome(Kind.ALREADY, Reason.IN_STATE), False),
        (Outcome(Kind.IGNORED, Reason.FOREIGN), False),
        (Outcome(Kind.KEPT, Reason.NETWORK), False),
        (REFUSED, True),
        (Outcome(Kind.REJECTED, Reason.NOT_FOUND), True),
    ],
)
def test_what_goes_by_itself_is_no_failure(outcome: Outcome, failed: bool) -> None:
    assert is_failure(outcome, safe=True) == failed
