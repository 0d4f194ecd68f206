"""Heartbeats go out while all is well, and a trouble is said once."""

from __future__ import annotations

import asyncio

import pytest

from alerta_opsgenie.connector.heartbeat import Heartbeat, heartbeat_call
from alerta_opsgenie.connector.tasks import end
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.relay import Call
from tests.connector.waiting import until


class FakeAlerta:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[Call] = []

    async def send(self, call: Call, _seconds: float) -> Answer:
        self.calls.append(call)
        return self.answer


async def beat(answer: Answer, well: bool, times: int) -> tuple[FakeAlerta, list[str]]:
    alerta, counts = FakeAlerta(answer), list[str]()
    task = asyncio.ensure_future(Heartbeat(alerta, 0.01, "oec", lambda: well, counts.append).run())  # type: ignore[arg-type]
    await until(lambda: len(counts) >= times)
    await end(task)
    return alerta, counts


async def test_they_are_sent_while_all_is_well() -> None:
    alerta, counts = await beat(Answer(201, {"status": "ok"}), True, 2)
    assert counts[:2] == ["sent", "sent"]
    assert alerta.calls[0].path == "/heartbeat"


async def test_they_are_withheld_while_it_is_not_so_that_alerta_shows_it() -> None:
    alerta, counts = await beat(Answer(201, {"status": "ok"}), False, 2)
    assert counts[:2] == ["withheld", "withheld"]
    assert alerta.calls == []


async def test_a_missing_scope_is_said_once_with_the_mend(caplog: pytest.LogCaptureFixture) -> None:
    _, counts = await beat(Answer(403, {"status": "error", "message": "Missing required scope"}), True, 3)
    assert set(counts) == {"failed"}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "write:heartbeats" in said[0]


def test_alerta_shows_the_bridge_as_gone_after_three_missed_ones() -> None:
    body = heartbeat_call("alerta-opsgenie/web01", 60, "jec").body or {}
    assert (body["origin"], body["timeout"]) == ("alerta-opsgenie/web01", 180)
    assert "jec" in body["tags"]
