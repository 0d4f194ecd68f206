"""Heartbeats are sent while the connector is well; an error is logged once."""

from __future__ import annotations

import threading

import pytest

from alerta_opsgenie.connector.heartbeat import Heartbeat
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.task import Call


class FakeAlerta:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[Call] = []

    def send(self, call: Call, _deadline: float) -> Answer:
        self.calls.append(call)
        return self.answer

    def close(self) -> None: ...


def beat(answer: Answer, is_well: bool, times: int) -> tuple[FakeAlerta, list[str]]:
    """Run until so many heartbeats are counted."""
    alerta, counts, over = FakeAlerta(answer), list[str](), threading.Event()

    def count(how: str) -> None:
        counts.append(how)
        if len(counts) == times:
            over.set()

    Heartbeat([alerta], 0.01, "oec", lambda: is_well, count).run(over)  # type: ignore[list-item]
    return alerta, counts


def test_they_are_sent_while_it_is_well() -> None:
    alerta, counts = beat(Answer(201, {"status": "ok"}), True, 2)
    assert counts == ["sent", "sent"]
    assert alerta.calls[0].path == "/heartbeat"


def test_they_are_withheld_while_it_is_not_well() -> None:
    alerta, counts = beat(Answer(201, {"status": "ok"}), False, 2)
    assert counts == ["withheld", "withheld"]
    assert alerta.calls == []


def test_a_missing_scope_is_logged_once_with_advice(caplog: pytest.LogCaptureFixture) -> None:
    _, counts = beat(Answer(403, {"status": "error", "message": "Missing required scope"}), True, 3)
    assert set(counts) == {"failed"}
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "write:heartbeats" in warnings[0]
