"""Counts are written once, and those that the database refused are written the next time."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from alerta_opsgenie.plugin import figures
from alerta_opsgenie.plugin.figures import Figures


class Sender:
    def __init__(self) -> None:
        self.gauges: dict[str, float] = {}
        self.counts = {"sent_create_done": 2, "sent_close_done": 1}

    def take_counts(self) -> list[tuple[str, int]]:
        taken, self.counts = list(self.counts.items()), {}
        return taken

    def count(self, name: str, many: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + many


class Process:
    """The parts of a process that `Figures` uses."""

    def __init__(self) -> None:
        self.app = Flask("alerta")
        self.sender = Sender()
        self.memory = None

    def lease(self, _name: str, _seconds: float) -> bool:
        return False


def test_counts_that_the_database_refused_are_written_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, int] = {}
    broken = ["sent_create_done"]

    class Counter:
        def __init__(self, _group: str, name: str, *_texts: str) -> None:
            self.name = name

        def inc(self, many: int) -> None:
            if self.name in broken:
                raise RuntimeError("the database is down")
            written[self.name] = written.get(self.name, 0) + many

    monkeypatch.setattr(figures, "Counter", Counter)
    monkeypatch.setattr(figures, "_waiting", lambda _one, _now: {})
    process: Any = Process()
    watched = Figures(process, process)
    with pytest.raises(RuntimeError):
        watched.run()
    broken.clear()
    watched.run()
    watched.run()
    assert written["sent_create_done"] == 2
    assert written["sent_close_done"] == 1
