"""The queue delivers twice and in any order, twelve at a time: the result is the same as once and in order."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from alerta_opsgenie.vendor.runner import ScriptResult
from tests.support.console import Console, NewAlert
from tests.support.executor import Edge
from tests.support.proxy import Proxy
from tests.support.scenarios import JSON, Expected, Scenarios, action, expected_after, found_in
from tests.support.tiers import amount, grows

SEEDS = range(amount(1, 20))

pytestmark = [pytest.mark.faults, grows]



@pytest.fixture
def edge(tmp_path: Path, proxy: Proxy, alerta_key: str) -> Iterator[Edge]:
    with Edge(tmp_path, proxy.url, alerta_key) as made:
        yield made


def on_other_alerts(messages: Sequence[JSON], others: dict[str, str]) -> list[JSON]:
    """Return the same actions on other alerts, as new messages."""
    return [
        {
            **message,
            "requestId": str(uuid.uuid4()),
            "alert": {**message["alert"], "alias": others[message["alert"]["alias"]]},
        }
        for message in messages
    ]


def shown(console: Console, alert_id: str) -> Expected:
    return found_in(console.get(alert_id), console.notes(alert_id))


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_twice_and_in_random_order_ends_like_once_and_in_order(
    seed: int, edge: Edge, console: Console, new_alert: NewAlert
) -> None:
    stories = Scenarios(seed)
    alert_ids = [new_alert() for _ in range(8)]
    others = {alert_id: new_alert() for alert_id in alert_ids}
    messages = stories.tell(alert_ids, 32)
    in_order = [edge.run(message) for message in messages]
    chaos = edge.run_all(stories.shuffled(2 * on_other_alerts(messages, others)))
    assert {(result.exit_code, result.stderr) for result in in_order + chaos} == {(0, "")}
    edge.await_drained()
    for alert_id in alert_ids:
        story = [message for message in messages if message["alert"]["alias"] == alert_id]
        assert shown(console, alert_id) == expected_after(story)
        assert shown(console, others[alert_id]) == expected_after(story), [message["action"] for message in story]


def outcome(result: ScriptResult) -> str:
    """Return kind and reason of the outcome in the log line."""
    words = result.stdout.split()
    return f"{words[2]} {words[words.index('by') + 2].rstrip(',')}" if "by" in words else result.stdout


class TestOneAlert:
    def test_an_older_change_of_state_after_a_newer_one_is_stale(
        self, edge: Edge, console: Console, new_alert: NewAlert
    ) -> None:
        alert_id, now_ns = new_alert(), time.time_ns()
        assert outcome(edge.run(action("Close", alert_id, at_ns=now_ns))) == "applied done"
        late = edge.run(action("Acknowledge", alert_id, at_ns=now_ns - 1))
        assert (outcome(late), late.exit_code) == ("ignored stale", 0)
        assert outcome(edge.run(action("AddNote", alert_id, at_ns=now_ns - 2, note="late"))) == "applied done"
        assert console.status(alert_id) == "closed"

    def test_the_same_message_again_is_not_done_again(self, edge: Edge, console: Console, new_alert: NewAlert) -> None:
        message = action("AddNote", new_alert(), note="once")
        assert [outcome(edge.run(message)) for _ in range(3)] == [
            "applied done", "already redelivered", "already redelivered",
        ]  # fmt: skip
        assert len(console.notes(message["alert"]["alias"])) == 1

    def test_the_same_note_of_two_people_is_two_notes(
        self, edge: Edge, console: Console, new_alert: NewAlert
    ) -> None:
        alert_id = new_alert()
        edge.run_all(
            [action("AddNote", alert_id, note="on it", by=by) for by in ("alice@example.com", "bob@example.com")]
        )
        assert len(console.notes(alert_id)) == 2

    def test_twelve_at_once_end_with_the_newest(self, edge: Edge, console: Console, new_alert: NewAlert) -> None:
        alert_id, now_ns = new_alert(), time.time_ns()
        names = ["Acknowledge", "UnAcknowledge"] * 6
        messages = [action(name, alert_id, at_ns=now_ns + index) for index, name in enumerate(names)]
        random.Random(7).shuffle(messages)
        results = edge.run_all(messages, 12)
        assert {result.exit_code for result in results} == {0}
        assert {outcome(result) for result in results} <= {"applied done", "already in-state", "ignored stale"}
        assert console.status(alert_id) == "open"

    def test_one_at_a_time_acts_on_it(self, edge: Edge, proxy: Proxy, new_alert: NewAlert) -> None:
        alert_id = new_alert()
        with proxy.delaying(0.3):
            began = time.monotonic()
            edge.run_all([action("AddNote", alert_id, note=str(number)) for number in range(4)])
            assert time.monotonic() - began >= 4 * 0.3
        assert len(proxy.exchanges) == 4

    def test_later_actions_wait_behind_a_waiting_one_and_all_are_done_in_order(
        self, edge: Edge, proxy: Proxy, console: Console, new_alert: NewAlert
    ) -> None:
        alert_id, now_ns = new_alert(), time.time_ns()
        names = ("Acknowledge", "UnAcknowledge", "Close")
        edge.arguments = ("--timeLimit", "3")
        with proxy.answering(503):
            first = edge.run(action(names[0], alert_id, at_ns=now_ns, by="alice@example.com"))
            assert outcome(first) == "kept unavailable"
            edge.arguments = ()
            for number, name in enumerate(names[1:], 1):
                assert outcome(edge.run(action(name, alert_id, at_ns=now_ns + number))) == "kept behind"
        edge.await_drained()
        kinds = [entry["type"] for entry in console.history(alert_id) if entry["type"] in ("ack", "unack", "close")]
        assert kinds == ["ack", "unack", "close"]

    def test_an_older_one_does_not_undo_a_newer_one_of_unknown_outcome(
        self, edge: Edge, proxy: Proxy, console: Console, new_alert: NewAlert
    ) -> None:
        """A newer acknowledge takes effect and its response is lost; the older unacknowledge arrives while it waits."""
        alert_id, now_ns = new_alert(), time.time_ns()
        edge.run(action("Acknowledge", alert_id, at_ns=now_ns))
        edge.run(action("UnAcknowledge", alert_id, at_ns=now_ns + 1))
        edge.arguments = ("--timeLimit", "0.6")
        newest = action("Acknowledge", alert_id, at_ns=now_ns + 10, by="carol@example.com")
        with proxy.dropping_answers():
            assert "kept" in outcome(edge.run(newest))
            assert console.status(alert_id) == "ack"
            edge.kill_agents()
            older = edge.run(action("UnAcknowledge", alert_id, at_ns=now_ns + 5))
            assert outcome(older) in ("ignored stale", "kept behind")
            edge.kill_agents()
        edge.run(action("AddNote", new_alert(), note="of another alert"))
        edge.await_drained()
        assert console.status(alert_id) == "ack"


class TestSameWords:
    """Two actions of one person leave the same line in Alerta's history; the second must not be taken for the first."""

    def test_an_acknowledge_right_after_an_unacknowledge_is_done_although_it_has_to_be_tried_twice(
        self, edge: Edge, proxy: Proxy, console: Console, new_alert: NewAlert
    ) -> None:
        alert_id = new_alert()
        for name in ("Acknowledge", "UnAcknowledge"):
            assert edge.run(action(name, alert_id)).exit_code == 0
        with proxy.answering(503, times=1):
            assert edge.run(action("Acknowledge", alert_id)).exit_code == 0
        edge.await_drained()
        assert console.status(alert_id) == "ack"

    def test_a_second_snooze_right_after_the_first_is_done_although_it_has_to_be_tried_twice(
        self, edge: Edge, proxy: Proxy, console: Console, new_alert: NewAlert
    ) -> None:
        alert_id, now = new_alert(), time.time()
        assert edge.run(action("Snooze", alert_id, snoozedUntil=int((now + 1800) * 1000))).exit_code == 0
        with proxy.answering(503, times=1):
            assert edge.run(action("Snooze", alert_id, snoozedUntil=int((now + 7200) * 1000))).exit_code == 0
        edge.await_drained()
        timeouts = [entry["timeout"] for entry in console.history(alert_id) if entry["type"] == "shelve"]
        assert 7100 < timeouts[-1] <= 7200
