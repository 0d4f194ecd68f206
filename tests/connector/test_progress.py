"""What stands still is named, and what has ended is not."""

from __future__ import annotations

from alerta_opsgenie.connector.progress import Progress


def test_a_part_that_gets_on_is_not_stuck() -> None:
    progress = Progress()
    progress.beat("queue")
    assert progress.stuck() == []


def test_a_part_that_does_not_is() -> None:
    progress = Progress()
    progress.beat("queue", within_seconds=-1)
    progress.beat("spool")
    assert progress.stuck() == ["queue"]


def test_a_part_that_has_ended_is_not_watched() -> None:
    progress = Progress()
    progress.beat("queue", within_seconds=-1)
    progress.forget("queue")
    assert progress.stuck() == []
