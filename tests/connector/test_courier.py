"""Delivered, kept, or left in the queue; once and in order; with the disk as it happens to be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from alerta_opsgenie import keeping
from alerta_opsgenie.clients.connection import UnreachableError
from alerta_opsgenie.connector.courier import Courier, Delivery
from alerta_opsgenie.connector.disk import Disk
from alerta_opsgenie.core.message import Message, parse
from alerta_opsgenie.core.outcome import Answer, Kind, Reason
from alerta_opsgenie.core.relay import Call, Settings
from tests.connector.waiting import until

ALIAS = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
ACTED_NS = 1751623260 * 10**9


WRITTEN = "alice@example.com: only once"
LANDS_SECONDS = 0.2


class FakeAlerta:
    """Answers as an Alerta with our plugin; `answers` come first. Notes are really kept.

    With `hung_note` set, it hangs for one call, and what was sent then is done `LANDS_SECONDS` after its next answer.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.answers: list[Answer | Exception] = []
        self.notes: list[str] = []
        self.gate: asyncio.Event | None = None
        self.hung_note = ""

    def hang(self, note: str) -> None:
        """Take the next call without an answer, and do it late."""
        self.answers = [UnreachableError("no answer in time", timed_out=True)]
        self.hung_note = note

    def _answer_again(self) -> None:
        if self.hung_note:
            asyncio.get_running_loop().call_later(LANDS_SECONDS, self.notes.append, self.hung_note)
            self.hung_note = ""

    async def send(self, call: Call, seconds: float) -> Answer:
        assert seconds > 0
        self.calls.append((call.method, call.path.rpartition("/")[2]))
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        self._answer_again()
        if call.method == "PUT" and call.path.endswith("/note"):
            self.notes.append(str((call.body or {})["text"]))
        return Answer(200, self._body(), on_behalf_of=call.on_behalf_of)

    def _body(self) -> dict[str, Any]:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        history = [{"text": text, "updateTime": now, "status": "open"} for text in self.notes]
        return {"status": "ok", "alert": {"status": "open", "history": history}}


class Case:
    def __init__(self, directory: str) -> None:
        self.alerta = FakeAlerta()
        self.disk = Disk(directory)
        self.courier = Courier(self.alerta, self.disk)  # type: ignore[arg-type]

    async def deliver(self, message: Message, attempted_at: float | None = None) -> Delivery:
        return await self.courier.deliver(message, Settings(), attempted_at)

    async def waiting(self) -> list[str]:
        return [entry.kind for entry in await self.disk.run(lambda: list(self.disk.spool().entries("waiting")))]


def message(action: str = "Acknowledge", order: int = 1, key: str = "", **fields: object) -> Message:
    alert = {"alias": ALIAS, "source": "Alerta", "username": "alice@example.com", "updatedAt": ACTED_NS + order}
    body = {"action": action, "requestId": key or f"{action}{order}", "alert": {**alert, **fields}}
    return parse(json.dumps(body))


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    made = Case(str(tmp_path / "spool"))
    await made.disk.prepare()
    with blockbuster_ctx():
        yield made
    await made.disk.close()


async def test_an_action_is_delivered_and_known_as_done_after(case: Case) -> None:
    first = await case.deliver(message())
    again = await case.deliver(message())
    assert (first.outcome.kind, first.safe) == (Kind.APPLIED, True)
    assert again.outcome == keeping.DONE_BEFORE
    assert len(case.alerta.calls) == 1


@pytest.mark.parametrize("answer", [UnreachableError("gone", timed_out=False), Answer(503), Answer(401), Answer(429)])
async def test_what_cannot_go_is_kept_at_the_first_try_and_may_be_deleted(case: Case, answer: Any) -> None:
    case.alerta.answers = [answer]
    delivery = await case.deliver(message())
    assert (delivery.outcome.kind, delivery.safe) == (Kind.KEPT, True)
    assert await case.waiting() == ["Acknowledge"]
    assert len(case.alerta.calls) == 1


async def test_what_comes_after_something_that_is_kept_goes_behind_it(case: Case) -> None:
    case.alerta.answers = [Answer(503)]
    await case.deliver(message("AddNote", 1, note="a"))
    delivery = await case.deliver(message("AddNote", 2, note="b"))
    assert delivery.outcome.reason is Reason.BEHIND
    assert await case.waiting() == ["AddNote", "AddNote"]
    assert len(case.alerta.calls) == 1


async def test_a_message_that_comes_again_while_it_waits_is_kept_once(case: Case) -> None:
    case.alerta.answers = [Answer(503)]
    await case.deliver(message())
    assert (await case.deliver(message())).safe
    assert await case.waiting() == ["Acknowledge"]


async def test_a_redelivered_note_that_a_hung_alerta_does_late_is_not_written_twice(case: Case) -> None:
    case.alerta.hung_note = WRITTEN
    delivery = await case.deliver(message("AddNote", note="only once"), attempted_at=time.time() - 30)
    assert delivery.outcome.kind is Kind.ALREADY
    assert case.alerta.notes == [WRITTEN]


async def test_a_redelivered_acknowledge_waits_for_nothing(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LANDING_SECONDS", 3600.0)
    assert (await asyncio.wait_for(case.deliver(message(), attempted_at=time.time() - 30), 20)).safe


async def test_an_older_change_after_a_newer_one_is_stale(case: Case) -> None:
    await case.deliver(message("Acknowledge", 2))
    assert (await case.deliver(message("UnAcknowledge", 1))).outcome.reason is Reason.STALE


async def test_an_older_change_is_stale_even_if_the_newer_attempt_was_killed(case: Case) -> None:
    """What it did to Alerta is not known; let through, the older one would undo it, and nobody would do it again."""
    killed = asyncio.ensure_future(case.deliver(message("Acknowledge", 2)))
    case.alerta.gate = asyncio.Event()
    await until(lambda: bool(case.alerta.calls))
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    case.alerta.gate = None
    assert (await case.deliver(message("UnAcknowledge", 1))).outcome.reason is Reason.STALE


async def test_a_copy_of_a_note_whose_attempt_was_killed_is_looked_for_first(case: Case) -> None:
    """A message that was sent twice: each copy comes for the first time as far as the queue can tell."""
    note = message("AddNote", note="only once")
    case.alerta.notes = ["alice@example.com: only once"]
    await case.disk.run(lambda: keeping.note_begin(lane_of(case), note))
    delivery = await case.deliver(note)
    assert delivery.outcome.reason is Reason.REDELIVERED
    assert case.alerta.notes == ["alice@example.com: only once"]


def lane_of(case: Case) -> Any:
    lane = case.disk.desk.lane(ALIAS)
    lane.read()
    return lane


async def test_a_note_that_comes_again_is_looked_for_first(case: Case) -> None:
    case.alerta.notes = ["alice@example.com: only once"]
    delivery = await case.deliver(message("AddNote", note="only once"), attempted_at=time.time() - 60)
    assert delivery.outcome.reason is Reason.REDELIVERED
    assert ("PUT", "note") not in case.alerta.calls


async def test_one_alert_is_acted_on_by_one_at_a_time(case: Case) -> None:
    case.alerta.gate = asyncio.Event()
    both = [asyncio.ensure_future(case.deliver(message("AddNote", order, note="n"))) for order in (1, 2)]
    await until(lambda: bool(case.alerta.calls))
    await asyncio.sleep(0.05)
    assert len(case.alerta.calls) == 1
    case.alerta.gate.set()
    await asyncio.gather(*both)
    assert len(case.alerta.calls) == 2


async def test_a_lane_that_another_process_holds_is_waited_for(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "CALL_SECONDS", 0.3)
    other = case.disk.desk.lane(ALIAS)
    with await case.disk.run(lambda: _entered(other)):
        busy = await case.deliver(message("AddNote", 1, note="n"))
    assert busy.outcome == keeping.BUSY
    assert await case.waiting() == ["AddNote"]


def _entered(lane: Any) -> Any:


    stack = contextlib.ExitStack()
    assert stack.enter_context(lane.locked(time.monotonic() + 1))
    return stack


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, {"status": "error", "message": "not found"}), Reason.NOT_FOUND),
        (Answer(400, {"status": "error", "message": "rejected"}), Reason.REFUSED),
    ],
)
async def test_what_will_never_work_is_a_dead_letter(case: Case, answer: Answer, reason: Reason) -> None:
    case.alerta.answers = [answer]
    delivery = await case.deliver(message())
    assert (delivery.outcome.reason, delivery.safe) == (reason, True)
    dead = await case.disk.run(lambda: list(case.disk.spool().entries("dead")))
    assert [entry.reason for entry in dead] == [reason.value]
    assert await case.waiting() == []


async def test_without_its_directory_it_delivers_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no directory")
    case = Case(str(tmp_path / "spool"))
    delivery = await case.deliver(message())
    assert (delivery.outcome.kind, delivery.safe) == (Kind.APPLIED, True)
    assert "not a directory" in delivery.trouble.lower()


async def test_without_its_directory_what_cannot_go_stays_in_the_queue(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no directory")
    case = Case(str(tmp_path / "spool"))
    case.alerta.answers = [Answer(503)]
    delivery = await case.deliver(message())
    assert (delivery.outcome.kind, delivery.safe) == (Kind.KEPT, False)


async def test_what_is_set_aside_is_never_delivered(case: Case) -> None:
    await case.disk.set_aside("id", json.dumps({"action": "Close", "alert": {"alias": ALIAS}}), "not ours")
    (entry,) = await case.disk.run(lambda: list(case.disk.spool().entries()))
    assert entry.state == "dead"
    with pytest.raises(ValueError, match="expected an object"):
        parse(entry.body)
