"""What every door agrees on about an action that is kept."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from alerta_opsgenie import keeping
from alerta_opsgenie.core.message import Message, parse
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason
from alerta_opsgenie.journal import Spool
from alerta_opsgenie.lanes import Desk, Lane

ALIAS = "B7C1E0D4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
NS = 1751623260456000789


def message(action: str = "Acknowledge", updated_ns: int = NS) -> Message:
    alert = {"alias": ALIAS, "source": "Alerta", "updatedAt": updated_ns, "note": "n"}
    return parse(json.dumps({"action": action, "requestId": f"r{updated_ns}", "alert": alert}))


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    desk = Desk(str(tmp_path / "spool"))
    desk.prepare()
    return desk.lane(ALIAS.lower())


def test_a_job_is_in_the_alerts_lane_and_recalls_the_message() -> None:
    job = keeping.job_of(message(), 5.0)
    assert (job.lane, job.order_ns, job.kind, job.taken_at) == (ALIAS.lower(), NS, "Acknowledge", 5.0)


@pytest.mark.parametrize(
    ("kind", "reason", "done"),
    [
        (Kind.APPLIED, Reason.DONE, True),
        (Kind.ALREADY, Reason.IN_STATE, True),
        (Kind.IGNORED, Reason.STALE, True),
        (Kind.IGNORED, Reason.NOT_WANTED, False),
        (Kind.REJECTED, Reason.NOT_FOUND, False),
    ],
)
def test_what_needs_no_second_attempt_is_remembered(lane: Lane, kind: Kind, reason: Reason, done: bool) -> None:
    keeping.note_end(lane, message(), Outcome(kind, reason))
    lane.read()
    assert lane.remembers(message().key) == done


def test_an_attempt_that_begins_makes_what_is_older_stale(lane: Lane) -> None:
    keeping.note_begin(lane, message())
    lane.read()
    assert lane.newest_ns == {"state": NS}
    assert not lane.remembers(message().key)


def test_a_first_attempt_has_none_before_it(lane: Lane) -> None:
    assert keeping.attempted_before(lane, message(), None) is None


def test_what_an_attempt_knows_of_the_one_before_counts_more_than_what_the_lane_knows(lane: Lane) -> None:
    keeping.note_begin(lane, message())
    lane.read()
    assert keeping.attempted_before(lane, message(), 5.0) == 5.0


def before(lane: Lane, updated_ns: int) -> float:
    """Tell what the lane alone knows of the attempt of a message with that `updatedAt`."""
    tried = message(updated_ns=updated_ns)
    keeping.note_begin(lane, tried)
    lane.read()
    at = keeping.attempted_before(lane, tried, None)
    assert at is not None
    return at


def test_an_attempt_that_only_the_lane_knows_of_is_no_older_than_the_action(lane: Lane) -> None:
    assert NS / 1e9 - 10 < before(lane, NS) < NS / 1e9


def test_an_attempt_that_only_the_lane_knows_of_was_not_in_the_future(lane: Lane) -> None:
    assert before(lane, 2**62) <= time.time()


def test_an_attempt_of_an_action_without_a_time_may_be_as_old_as_what_the_spool_keeps(lane: Lane) -> None:
    assert before(lane, 0) < time.time() - 86400


def test_settling_the_last_entry_frees_the_lane(tmp_path: Path, lane: Lane) -> None:
    with Spool(tmp_path / "spool") as spool:
        keeping.keep(spool, keeping.job_of(message(), 1.0), keeping.BEHIND, None)
        lane.mark_waiting(waits=True)
        entry = spool.claim(time.time(), 60, "test")
        assert entry is not None
        keeping.settle(spool, lane, entry, Outcome(Kind.APPLIED, Reason.DONE), 1.0)
        assert not spool.waits(ALIAS.lower())
    lane.read()
    assert not lane.waits


def test_only_other_actions_with_the_same_words_since_the_attempt_are_twins(lane: Lane) -> None:
    """Two notes of one person with one text; what is of another person or of long ago does not count."""
    now = time.time()
    keeping.note_end(lane, message(updated_ns=NS), Outcome(Kind.APPLIED, Reason.DONE))
    keeping.note_end(lane, message("AddNote", updated_ns=NS + 1), Outcome(Kind.APPLIED, Reason.DONE))
    lane.read()
    assert keeping.count_twins(lane, message(updated_ns=NS + 2), now) == 1
    assert keeping.count_twins(lane, message(updated_ns=NS + 2), now + 60) == 0
    assert keeping.count_twins(lane, message("Close", updated_ns=NS + 2), now) == 0
    assert keeping.count_twins(lane, message(updated_ns=NS + 2), None) == 0


def test_a_no_op_leaves_no_line_and_is_nobodys_twin(lane: Lane) -> None:
    keeping.note_end(lane, message(), Outcome(Kind.ALREADY, Reason.IN_STATE))
    lane.read()
    assert keeping.count_twins(lane, message(updated_ns=NS + 2), time.time()) == 0
