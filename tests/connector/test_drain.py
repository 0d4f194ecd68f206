"""What lies in the spool goes out by the same process, in order, and under the role that executors know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alerta_opsgenie import keeping
from alerta_opsgenie.connector.drain import SpoolDrainer
from alerta_opsgenie.connector.progress import Progress
from alerta_opsgenie.connector.tasks import end
from alerta_opsgenie.core.message import Message
from alerta_opsgenie.core.outcome import Answer, Kind, Outcome, Reason
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.journal import Entry, try_lock
from alerta_opsgenie.lanes import Job
from tests.connector.test_courier import ALIAS, LANDS_SECONDS, WRITTEN, Case, lane_of, message
from tests.connector.waiting import until


class Drain(Case):
    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.ended: list[tuple[str, Kind]] = []
        self.drainer = SpoolDrainer(self.courier, lambda _message: Settings(), self._report, Progress())
        self.task: asyncio.Task[None] | None = None

    def _report(self, entry: Entry, _message: Message | None, outcome: Outcome) -> None:
        self.ended.append((entry.key, outcome.kind))

    def start(self) -> None:
        self.task = asyncio.ensure_future(self.drainer.run())

    async def keep(self, *messages: Message) -> None:
        """Keep messages as they would be during an outage."""
        self.alerta.answers = [Answer(503)]
        for one in messages:
            assert (await self.deliver(one)).outcome.kind is Kind.KEPT
        self.alerta.answers.clear()
        self.alerta.calls.clear()


@pytest.fixture
async def drain(tmp_path: Path) -> AsyncIterator[Drain]:
    made = Drain(str(tmp_path / "spool"))
    await made.disk.prepare()
    yield made
    if made.task is not None:
        made.drainer.stop()
        await asyncio.wait({made.task}, timeout=5)
        await end(made.task)
    await made.disk.close()


async def test_what_waits_goes_out_in_the_order_of_the_actions(drain: Drain) -> None:
    notes = [message("AddNote", order, note=f"n{order}") for order in (3, 1, 2)]
    await drain.keep(*notes)
    drain.start()
    await until(lambda: len(drain.ended) == 3)
    assert [text.rpartition(": ")[2] for text in drain.alerta.notes] == ["n1", "n2", "n3"]
    assert (await drain.deliver(message("AddNote", 4, note="n4"))).outcome.kind is not Kind.KEPT


async def test_a_note_that_a_hung_alerta_does_late_is_not_written_twice(drain: Drain) -> None:
    drain.alerta.hang(WRITTEN)
    assert (await drain.deliver(message("AddNote", note="only once"))).outcome.reason is Reason.TIMEOUT
    drain.start()
    await until(lambda: bool(drain.ended), 5)
    await asyncio.sleep(2 * LANDS_SECONDS)
    assert drain.alerta.notes == [WRITTEN]


async def test_a_kept_copy_of_a_note_whose_attempt_was_killed_is_looked_for_first(drain: Drain) -> None:
    """The other copy went to a process that was killed; this one was kept behind something else."""
    note = message("AddNote", 2, note="only once")
    drain.alerta.notes = ["alice@example.com: only once"]
    await drain.disk.run(lambda: keeping.note_begin(lane_of(drain), note))
    await drain.keep(message("AddNote", 1, note="first"))
    assert (await drain.deliver(note)).outcome.reason is Reason.BEHIND
    drain.start()
    await until(lambda: len(drain.ended) == 2, 5)
    assert sorted(drain.alerta.notes) == ["alice@example.com: first", "alice@example.com: only once"]


async def test_what_fails_again_waits_longer_and_stays(drain: Drain) -> None:
    await drain.keep(message())
    drain.alerta.answers = [Answer(503), Answer(503)]
    drain.start()
    await until(lambda: (ALIAS and [kind for _, kind in drain.ended][-1:]) == [Kind.APPLIED])
    assert [kind for _, kind in drain.ended] == [Kind.KEPT, Kind.KEPT, Kind.APPLIED]


async def test_what_a_killed_executor_had_taken_is_picked_up(drain: Drain) -> None:
    note = message("AddNote", note="from an executor")
    job = keeping.job_of(note, 1.0)

    def leave() -> None:
        taken = drain.disk.desk.take(Job(*job))
        import os  # noqa: PLC0415

        os.close(taken._file)

    await drain.disk.run(leave)
    drain.start()
    await until(lambda: bool(drain.ended))
    assert drain.alerta.notes == ["alice@example.com: from an executor"]


async def test_while_another_has_the_role_nothing_is_done(drain: Drain) -> None:
    await drain.keep(message())
    lock = await drain.disk.run(lambda: try_lock(drain.disk.directory, keeping.ROLE))
    assert lock is not None
    drain.start()
    await asyncio.sleep(0.1)
    assert not drain.drainer.leads
    assert drain.ended == []
    lock.release()
    await until(lambda: bool(drain.ended))


async def test_a_body_that_is_no_message_becomes_a_dead_letter(drain: Drain) -> None:
    job = Job("k", ALIAS, 1, "AddNote", "[]", 1.0)
    await drain.disk.run(lambda: drain.disk.keep_now(job, keeping.BEHIND, None, None))
    drain.start()
    await until(lambda: bool(drain.ended))
    assert (await drain.disk.counts()).dead == 1


async def test_stopping_lets_what_is_in_hand_end(drain: Drain) -> None:
    await drain.keep(message())
    drain.alerta.gate = asyncio.Event()
    drain.start()
    await until(lambda: bool(drain.alerta.calls))
    drain.drainer.stop()
    drain.alerta.gate.set()
    await until(drain.drainer.ended.is_set)
    assert [kind for _, kind in drain.ended] == [Kind.APPLIED]
    assert (await drain.disk.counts()).waiting == 0
