"""The journal's promises, one by one: accepting, order, ends, memory, dead letters, and what it tells."""

import json
from pathlib import Path
from typing import Iterator, List, Sequence

import pytest

from alerta_opsgenie.journal import Action, Journal, New
from tests.journal.aids import PAUSE, append, claim, keys, new, refusal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


def deliver_all(journal: Journal, now: float = 100.0) -> List[str]:
    """The keys in the order in which they are given."""
    given = []
    while found := journal.claim(now, 1, PAUSE):
        given.append(found[0].key)
        journal.done(found[0], now, "applied")
    return given


# -- Accepting


def test_an_action_comes_back_as_it_was_appended(journal: Journal) -> None:
    made = New("k", "alert", 7, "Acknowledge", '{"a": "ü"}', '{"notes": "all"}', '{"state": 7}', "words", 4.0)
    (action,) = journal.append([made], 5.0)
    assert action == Action(1, *made, "waiting", 0, 5.0, 5.0, 5.0, "", "", is_new=True)
    assert journal.get(1) == action._replace(is_new=False)
    assert journal.by_key("k") == journal.get(1)


def test_an_action_outlives_the_object_that_appended_it(tmp_path: Path) -> None:
    with Journal(tmp_path) as first:
        append(first, "k")
    with Journal(tmp_path) as second:
        assert keys(second) == ["k"]


@pytest.mark.parametrize("state", ["waiting", "in-flight", "done", "dead"])
def test_a_known_key_gives_its_row_as_it_is(journal: Journal, state: str) -> None:
    append(journal, "k")
    if state != "waiting":
        action = claim(journal)
        if state != "in-flight":
            (journal.done if state == "done" else journal.dead)(action, 101.0, "reason", "detail")
    (again,) = journal.append([new("k", "another", 5)], 200.0, claim=True)
    assert (again.is_new, again.state, again.alert, again.id) == (False, state, "a", 1)
    assert len(keys(journal)) == 1


def test_a_key_twice_in_one_append_is_one_action(journal: Journal) -> None:
    first, second = journal.append([new("k"), new("k")], 100.0)
    assert (first.is_new, second.is_new, first.id) == (True, False, second.id)


def test_no_id_is_ever_given_twice(journal: Journal) -> None:
    append(journal, "first")
    journal.drop([1])
    assert append(journal, "second").id == 2
    append(journal, "first")


@pytest.mark.parametrize(
    "text", ["\ud83d", "\x00", "ü\u2028", "x" * 1_000_000, ""], ids=["half", "nul", "wide", "long", "none"]
)
def test_no_text_is_too_odd_to_be_kept(journal: Journal, text: str) -> None:
    """JSON may hold half a surrogate pair, which SQLite's text may not."""
    odd = New(f"k{text}", text, 0, text, text, text, text, text)
    for _ in range(2):
        journal.append([odd], 100.0)
    assert journal.waits(text)
    action = claim(journal)
    assert action.body == text
    journal.done(action, 100.0, text, text)
    assert [found.state for found in journal.append([odd], 200.0)] == ["done"]


@pytest.mark.parametrize("order_ns", [2**63, -(2**63) - 1, 10**30])
def test_an_order_beyond_sqlites_integers_is_still_kept(journal: Journal, order_ns: int) -> None:
    append(journal, "k", order_ns=order_ns)
    append(journal, "middle")
    assert deliver_all(journal) == (["middle", "k"] if order_ns > 0 else ["k", "middle"])


def test_what_was_refused_is_a_dead_letter_at_once(journal: Journal) -> None:
    action = journal.bury(new("bad", ""), 100.0, "bad-message", "no action")
    assert (action.state, action.reason, action.detail, action.is_new) == ("dead", "bad-message", "no action", True)
    assert journal.bury(new("bad", ""), 200.0, "other", "").reason == "bad-message"


# -- Order


def test_an_alerts_actions_go_by_order_and_then_by_arrival(journal: Journal) -> None:
    for key, order_ns in (("c", 3), ("a", 1), ("b1", 2), ("b2", 2)):
        append(journal, key, order_ns=order_ns)
    assert deliver_all(journal) == ["a", "b1", "b2", "c"]


def test_an_alert_has_one_action_in_flight(journal: Journal) -> None:
    append(journal, "first", order_ns=2)
    held = claim(journal)
    append(journal, "older", order_ns=1)
    assert journal.claim(100.0, 9, PAUSE) == []
    journal.postpone(held, 100.0, 150.0, "timeout", "")
    assert claim(journal).key == "older"


def test_an_alert_that_waits_holds_up_no_other(journal: Journal) -> None:
    append(journal, "a1", "a")
    append(journal, "a2", "a")
    append(journal, "b1", "b")
    journal.postpone(claim(journal), 100.0, 500.0, "timeout", "")
    assert deliver_all(journal) == ["b1"]
    assert deliver_all(journal, 500.0) == ["a1", "a2"]


def test_the_alert_that_is_due_longest_comes_first(journal: Journal) -> None:
    for alert, now in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        append(journal, alert, alert, now=now)
    assert [action.key for action in journal.claim(100.0, 2, PAUSE)] == ["b", "c"]


def test_a_new_action_is_in_flight_at_once_if_its_alert_has_nothing_else(journal: Journal) -> None:
    append(journal, "waits", "b")
    given = journal.append([new("a2", "a", 2), new("a1", "a", 1), new("b2", "b")], 100.0, claim=True)
    assert [(action.key, action.state) for action in given] == [
        ("a2", "waiting"), ("a1", "in-flight"), ("b2", "waiting"),
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["done", "dead"])
def test_an_end_gives_the_next_action_of_the_same_alert(journal: Journal, end: str) -> None:
    for key in ("first", "next"):
        append(journal, key)
    finish = journal.done if end == "done" else journal.dead
    following = finish(claim(journal), 100.0, "reason", "", claim_next=True)
    assert following is not None
    assert (following.key, following.state) == ("next", "in-flight")
    assert finish(following, 100.0, "reason", "", claim_next=True) is None


def test_an_end_gives_nothing_that_is_not_due(journal: Journal) -> None:
    append(journal, "first", order_ns=1)
    append(journal, "later", order_ns=0, now=500.0)
    held = claim(journal, 500.0)
    journal.postpone(held, 500.0, 600.0, "timeout", "")
    (action,) = journal.append([new("zero", order_ns=-1)], 500.0)
    assert journal.done(claim(journal, 500.0), 500.0, "applied", claim_next=True) is None
    assert action.key == "zero"


# -- Attempts


def test_the_first_claim_knows_of_no_attempt_and_the_next_one_does(journal: Journal) -> None:
    append(journal, "k")
    assert claim(journal, 100.0).first_attempt_at is None
    assert journal.recover(200.0) == 1
    assert claim(journal, 300.0).first_attempt_at == 100.0


def test_an_attempt_before_the_append_stays_the_first(journal: Journal) -> None:
    (action,) = journal.append([new("k", first_attempt_at=90.0)], 100.0, claim=True)
    assert action.first_attempt_at == 90.0
    journal.recover(200.0)
    assert claim(journal, 200.0).first_attempt_at == 90.0


def test_what_is_recovered_is_due_now_with_its_attempts(journal: Journal) -> None:
    append(journal, "k")
    append(journal, "other", "b")
    journal.postpone(claim(journal), 100.0, 110.0, "timeout", "")
    journal.claim(110.0, 9, PAUSE)
    assert journal.recover(50.0) == 2
    action = journal.by_key("k")
    assert action is not None
    assert (action.state, action.due_at, action.attempts) == ("waiting", 50.0, 1)


def test_what_is_released_waits_as_if_it_had_not_been_claimed(journal: Journal) -> None:
    before = append(journal, "k")._replace(is_new=False)
    journal.release(claim(journal))
    assert journal.get(1) == before
    assert claim(journal, 200.0).first_attempt_at is None


def test_a_postponed_action_tells_how_often_and_why(journal: Journal) -> None:
    append(journal, "k")
    for due_at in (110.0, 120.0):
        journal.postpone(claim(journal, due_at - 10.0), due_at - 10.0, due_at, "timeout", "no answer in 3 s")
    action = journal.get(1)
    assert action is not None
    assert (action.attempts, action.due_at, action.reason, action.detail) == (2, 120.0, "timeout", "no answer in 3 s")


@pytest.mark.parametrize("end", ["done", "dead", "postpone"])
def test_an_end_of_an_action_that_a_damaged_file_lost_makes_it_anew(journal: Journal, end: str) -> None:
    append(journal, "k")
    held = claim(journal)
    journal._writer.write(lambda connection: connection.execute("DELETE FROM actions"))
    if end == "postpone":
        journal.postpone(held, 100.0, 110.0, "timeout", "")
    else:
        (journal.done if end == "done" else journal.dead)(held, 100.0, "reason", "")
    assert [(action.key, action.state) for action in journal.actions()] == [
        ("k", "waiting" if end == "postpone" else end)
    ]


@pytest.mark.parametrize("end", ["done", "dead", "postpone", "release"])
def test_an_end_that_comes_twice_changes_nothing(journal: Journal, end: str) -> None:
    append(journal, "k")
    held = claim(journal)
    journal.dead(held, 101.0, "refused", "422")
    before = journal.get(1)
    arguments = {"done": (102.0, "applied"), "dead": (102.0, "other", ""), "postpone": (102.0, 103.0, "timeout", "")}
    getattr(journal, end)(held, *arguments.get(end, ()))
    assert journal.get(1) == before


# -- Memory


def test_a_done_action_frees_its_body_and_keeps_its_key(journal: Journal) -> None:
    append(journal, "k", options="{}", writes='{"state": 7}', words="w")
    journal.done(claim(journal), 105.0, "applied", "fine")
    action = journal.get(1)
    assert action is not None
    assert (action.body, action.options, action.writes, action.words) == ("", "", "", "w")
    assert (action.state, action.since, action.reason, action.detail) == ("done", 105.0, "applied", "fine")


def test_the_newest_of_each_field_is_remembered(journal: Journal) -> None:
    for key, wrote in (("a", {"state": 5, "owner": 1}), ("b", {"state": 3}), ("c", {"snooze": 9})):
        append(journal, key)
        journal.done(claim(journal), 100.0, "applied", wrote=wrote)
    assert journal.memory("a") == {"state": 5, "owner": 1, "snooze": 9}
    assert journal.memory("b") == {}


def test_an_attempt_that_may_have_had_its_effect_counts_as_written(journal: Journal) -> None:
    append(journal, "never tried", order_ns=9, writes='{"state": 9}')
    append(journal, "tried", order_ns=5, writes='{"state": 5, "owner": 5}')
    assert journal.memory("a") == {}
    held = claim(journal)
    assert journal.memory("a") == {"state": 5, "owner": 5}
    journal.postpone(held, 100.0, 200.0, "timeout", "")
    assert journal.memory("a") == {"state": 5, "owner": 5}
    journal.done(claim(journal, 200.0), 200.0, "ignored", wrote={})
    assert journal.memory("a") == {}


@pytest.mark.parametrize("writes", ["[1]", "no json", '{"state": "x"}', '{"state": true}', "7"])
def test_writes_that_are_not_ours_write_nothing(journal: Journal, writes: str) -> None:
    append(journal, "k", writes=writes)
    claim(journal)
    assert journal.memory("a") == {}


def test_words_of_done_actions_are_counted_since_an_instant(journal: Journal) -> None:
    for key, now, counted in (("a", 100.0, True), ("b", 200.0, True), ("c", 300.0, False), ("d", 300.0, True)):
        append(journal, key, now=now, words="w" if key != "d" else "other")
        journal.done(claim(journal, now), now, "applied", count_words=counted)
    assert [journal.count_words("a", "w", since) for since in (100.0, 100.1, 200.1)] == [2, 1, 0]
    assert journal.count_words("a", "", 0.0) == 0


def test_done_keys_and_memory_are_forgotten_only_when_old_enough(journal: Journal) -> None:
    for key, now in (("old", 100.0), ("new", 101.0)):
        append(journal, key, key, now=now)
        journal.done(claim(journal, now), now, "applied", wrote={"state": 1})
    append(journal, "dead", now=1.0)
    journal.dead(claim(journal, 1.0), 1.0, "refused", "")
    assert journal.prune(160.0, 60.0) == 1
    assert keys(journal) == ["new", "dead"]
    assert (journal.memory("old"), journal.memory("new")) == ({}, {"state": 1})


def test_any_number_is_pruned_in_steps(journal: Journal) -> None:
    journal.append([new(f"k{number}", f"a{number}") for number in range(2500)], 1.0)
    journal._writer.write(lambda connection: connection.execute("UPDATE actions SET state = 'done'"))
    assert journal.prune(100.0, 50.0) == 2500


# -- Clocks


def test_nothing_is_given_before_it_is_due(journal: Journal) -> None:
    append(journal, "k", now=101.0)
    assert journal.claim(100.9, 1, PAUSE) == []
    assert journal.next_due(100.9, PAUSE) == 101.0
    assert claim(journal, 101.0).key == "k"


def test_what_is_due_further_ahead_than_the_longest_pause_is_due_now(journal: Journal) -> None:
    append(journal, "k", now=1_000_000.0)
    assert journal.next_due(100.0, PAUSE) == 100.0
    assert claim(journal).key == "k"


def test_what_waits_too_long_becomes_a_dead_letter(journal: Journal) -> None:
    append(journal, "old", now=100.0)
    append(journal, "new", now=101.0)
    journal.postpone(claim(journal), 100.0, 500.0, "timeout", "no answer")
    expired = journal.expire(160.0, 60.0)
    assert [action.key for action in expired] == ["old"]
    assert expired == list(journal.actions("dead"))
    assert (expired[0].reason, expired[0].detail, expired[0].since) == ("expired", "timeout: no answer", 160.0)
    assert deliver_all(journal, 160.0) == ["new"]


def test_an_age_never_counts_from_the_future(journal: Journal) -> None:
    """A clock that was ahead and set back: the action expires its time after that, not years later."""
    append(journal, "k", now=1_000_000.0)
    assert journal.expire(100.0, 60.0) == []
    assert [action.key for action in journal.expire(160.0, 60.0)] == ["k"]


def test_what_is_in_flight_does_not_expire(journal: Journal) -> None:
    append(journal, "k")
    claim(journal)
    assert journal.expire(1e6, 60.0) == []


# -- By hand


def test_a_dead_letter_comes_back_to_its_place_with_its_attempts(journal: Journal) -> None:
    append(journal, "first", order_ns=1)
    append(journal, "second", order_ns=2)
    journal.dead(claim(journal), 105.0, "refused", "")
    assert journal.retry([1, 99], 200.0) == 1
    action = claim(journal, 200.0)
    assert (action.key, action.attempts, action.due_at, action.accepted_at) == ("first", 1, 200.0, 100.0)


def test_a_dead_letter_that_came_back_does_not_expire_at_once(journal: Journal) -> None:
    append(journal, "k")
    journal.expire(1000.0, 60.0)
    journal.retry([1], 1001.0)
    assert journal.expire(1002.0, 60.0) == []
    assert len(journal.expire(1061.0, 60.0)) == 1


def test_what_waits_is_due_now_when_it_is_retried(journal: Journal) -> None:
    append(journal, "k")
    journal.postpone(claim(journal), 100.0, 500.0, "timeout", "")
    assert journal.retry([1], 200.0) == 1
    assert claim(journal, 200.0).key == "k"


def test_what_is_in_flight_is_neither_retried_nor_dropped(journal: Journal) -> None:
    append(journal, "k")
    claim(journal)
    assert (journal.retry([1], 200.0), journal.drop([1])) == (0, 0)


def test_drop_removes_waiting_and_dead_and_the_alert_goes_on(journal: Journal) -> None:
    for key in ("dead", "head", "next"):
        append(journal, key)
    journal.dead(claim(journal), 100.0, "refused", "")
    journal.postpone(claim(journal), 100.0, 500.0, "timeout", "")
    assert journal.drop(iter([1, 2, 2, 99])) == 2
    assert deliver_all(journal) == ["next"]


def test_counts_tell_states_ages_and_alerts(journal: Journal) -> None:
    assert journal.counts(5.0) == (0, 0, 0, 0, 0.0, 0.0, 0)
    for number, alert in enumerate("abccd"):
        append(journal, f"k{number}", alert, now=100.0 + number)
    journal.dead(claim(journal), 100.0, "refused", "")
    journal.done(claim(journal, 101.0), 101.0, "applied")
    claim(journal, 102.0)
    assert journal.counts(110.0) == (2, 1, 1, 1, 8.0, 10.0, 2)
    assert journal.counts(50.0)[4:6] == (0.0, 0.0)


def test_actions_are_listed_by_state_alert_and_number(journal: Journal) -> None:
    journal.append([new(f"k{number}", "ab"[number % 2]) for number in range(500)], 100.0)
    journal.dead(claim(journal), 100.0, "refused", "")
    assert len(keys(journal)) == 500
    assert len(keys(journal, "dead")) == 1
    assert [action.id for action in journal.actions(alert="b", limit=3)] == [2, 4, 6]
    assert len(list(journal.actions("waiting", "b"))) == 250
    assert list(journal.actions(limit=0)) == []


# -- To another journal


def test_what_is_exported_can_be_imported_once(journal: Journal, tmp_path: Path) -> None:
    for key in ("dead", "in flight", "waiting", "done"):
        append(journal, key, key, writes='{"state": 1}', body="\ud83d")
    by_key = {action.key: action for action in journal.claim(100.0, 9, PAUSE)}
    journal.dead(by_key["dead"], 105.0, "refused", "422")
    journal.done(by_key["done"], 105.0, "applied")
    journal.release(by_key["waiting"])
    lines = list(journal.export())
    with Journal(tmp_path / "other") as other:
        assert (other.import_([*lines, "\n"]), other.import_(lines)) == (3, 0)
        states = {action.key: action.state for action in other.actions()}
        assert states == {"dead": "dead", "in flight": "waiting", "waiting": "waiting"}
        before, after = journal.by_key("dead"), other.by_key("dead")
        assert before is not None
        assert after == before._replace(id=1)


@pytest.mark.parametrize("change", [
    {"key": 1}, {"state": "done"}, {"order_ns": "x"}, {"due_at": float("nan")}, {"attempts": -1}, {"v": 2},
    {"since": 1e300}, {"body": None},
])  # fmt: skip
def test_a_line_that_was_not_exported_is_refused_and_nothing_is_imported(
    journal: Journal, tmp_path: Path, change: "dict[str, object]"
) -> None:
    append(journal, "k")
    (line,) = journal.export()
    bad = json.dumps({**json.loads(line), **change})
    with Journal(tmp_path / "other") as other:
        error = refusal(lambda: other.import_([line, bad]))
        assert (error.label, "line 2" in error.reason) == ("input", True)
        assert keys(other) == []


def test_moving_takes_what_waits_and_is_dead_and_leaves_the_rest(journal: Journal, tmp_path: Path) -> None:
    for now, key in enumerate(("dead", "in flight", "waiting", "chosen not")):
        append(journal, key, key, now=float(now))
    by_key = {action.key: action for action in journal.claim(100.0, 2, PAUSE)}
    journal.dead(by_key["dead"], 105.0, "refused", "422")
    with Journal(tmp_path / "other") as other:
        assert journal.move_to(other, [1, 2, 3]) == 2
        assert keys(other) == ["dead", "waiting"]
        assert keys(journal) == ["in flight", "chosen not"]
        assert claim(other).key == "waiting"


def test_what_is_being_moved_is_not_claimed_meanwhile(journal: Journal, tmp_path: Path) -> None:
    append(journal, "k")
    with Journal(tmp_path / "other") as other:
        take = other.take

        def take_slowly(actions: Sequence[Action]) -> int:
            assert journal.claim(100.0, 1, PAUSE) == []
            return take(actions)

        other.take = take_slowly  # type: ignore[method-assign]
        assert journal.move_to(other) == 1
        assert keys(other, "waiting") == ["k"]


def test_what_cannot_be_moved_waits_as_before(journal: Journal, tmp_path: Path) -> None:
    before = append(journal, "k")._replace(is_new=False)
    (tmp_path / "file").touch()
    with Journal(tmp_path / "file") as other:
        assert refusal(lambda: journal.move_to(other)).label == "not-a-directory"
    assert journal.get(1) == before
    assert claim(journal).key == "k"
