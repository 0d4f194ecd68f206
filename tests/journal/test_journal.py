"""The journal's promises that the model (`test_model.py`) does not cover: odd input, ends, memory, clocks, moving."""

import json
from pathlib import Path
from typing import Iterator, Sequence

import pytest

from alerta_opsgenie.journal import Action, Journal, New
from tests.journal.aids import PAUSE, append, claim, keys, new, refusal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


# -- Accepting


def test_an_action_comes_back_as_it_was_appended_to_any_object(tmp_path: Path) -> None:
    made = New("k", "alert", 7, "Acknowledge", '{"a": "ü"}', '{"notes": "all"}', '{"state": 7}', "words", 4.0)
    with Journal(tmp_path) as first:
        (action,) = first.append([made], 5.0)
    assert action == Action(1, *made, "waiting", 0, 5.0, 5.0, 5.0, "", "", is_new=True)
    with Journal(tmp_path) as second:
        assert second.get(1) == action._replace(is_new=False)


@pytest.mark.parametrize("state", ["waiting", "in-flight", "done", "dead"])
def test_a_known_key_returns_its_row_unchanged(journal: Journal, state: str) -> None:
    append(journal, "k")
    if state != "waiting":
        action = claim(journal)
        if state != "in-flight":
            (journal.done if state == "done" else journal.dead)(action, 101.0, "reason", "detail")
    first, second = journal.append([new("k", "another", 5), new("k")], 200.0)
    assert first == second
    assert (first.is_new, first.state, first.alert, first.id) == (False, state, "a", 1)


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


@pytest.mark.parametrize(("order_ns", "given"), [(2**63, "middle"), (-(2**63) - 1, "k"), (10**30, "middle")])
def test_an_order_beyond_sqlites_integers_is_still_kept(journal: Journal, order_ns: int, given: str) -> None:
    append(journal, "k", order_ns=order_ns)
    append(journal, "middle")
    assert claim(journal).key == given


def test_an_action_that_is_due_later_waits(journal: Journal) -> None:
    journal.append([new("k")], 100.0, due_at=150.0)
    assert journal.claim(149.0, 1, PAUSE) == []
    assert journal.next_due(149.0, PAUSE) == 150.0
    assert claim(journal, 150.0).accepted_at == 100.0


# -- Order and attempts


def test_the_alert_that_is_due_longest_comes_first(journal: Journal) -> None:
    for alert, now in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        append(journal, alert, alert, now=now)
    assert [action.key for action in journal.claim(100.0, 2, PAUSE)] == ["b", "c"]


def test_an_attempt_before_the_append_stays_the_first(journal: Journal) -> None:
    append(journal, "k", first_attempt_at=90.0)
    assert claim(journal).first_attempt_at == 90.0
    journal.recover(200.0)
    assert claim(journal, 200.0).first_attempt_at == 90.0


@pytest.mark.parametrize("end", ["done", "dead", "postpone"])
def test_the_end_of_an_action_lost_by_damage_inserts_it_again(journal: Journal, end: str) -> None:
    append(journal, "k")
    held = claim(journal)
    journal._writer.write(lambda connection: connection.execute("DELETE FROM actions"))
    if end == "postpone":
        journal.postpone(held, 100.0, 110.0, "timeout", "")
    else:
        (journal.done if end == "done" else journal.dead)(held, 100.0, "reason", "")
    assert [(action.key, action.state, action.attempts) for action in journal.actions()] == [
        ("k", "waiting" if end == "postpone" else end, 1)
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


def test_an_attempt_that_may_have_had_its_effect_counts_as_written(journal: Journal) -> None:
    append(journal, "never tried", order_ns=9, writes='{"state": 9}')
    append(journal, "tried", order_ns=5, writes='{"state": 5, "owner": 5}')
    assert journal.memory("a") == {}
    journal.postpone(claim(journal), 100.0, 200.0, "timeout", "")
    assert journal.memory("a") == {"state": 5, "owner": 5}
    journal.done(claim(journal, 200.0), 200.0, "ignored", wrote={})
    assert journal.memory("a") == {}


@pytest.mark.parametrize("writes", ["[1]", "no json", '{"state": true}'])
def test_invalid_writes_write_nothing(journal: Journal, writes: str) -> None:
    append(journal, "k", writes=writes)
    claim(journal)
    assert journal.memory("a") == {}


def test_words_that_are_none_do_not_count(journal: Journal) -> None:
    for key, words in (("a", "w"), ("b", "other"), ("c", "")):
        append(journal, key, words=words)
        journal.done(claim(journal), 100.0, "applied")
    assert [journal.count_words("a", words, 0.0) for words in ("w", "")] == [1, 0]


def test_any_number_is_pruned_in_steps(journal: Journal) -> None:
    journal.append([new(f"k{number}", f"a{number}") for number in range(2500)], 1.0)
    journal._writer.write(lambda connection: connection.execute("UPDATE actions SET state = 'done'"))
    assert journal.prune(100.0, 50.0) == 2500


# -- Clocks


def test_an_expired_action_has_the_reason_why_it_waited_and_after_a_retry_not_twice(journal: Journal) -> None:
    append(journal, "k")
    journal.postpone(claim(journal), 100.0, 500.0, "timeout", "no answer")
    (expired,) = journal.expire(160.0, 60.0)
    assert (expired.reason, expired.detail, expired.since) == ("expired", "timeout: no answer", 160.0)
    journal.retry([1], 161.0)
    assert journal.expire(162.0, 60.0) == []
    assert len(journal.expire(221.0, 60.0)) == 1


def test_an_age_never_counts_from_the_future(journal: Journal) -> None:
    """A clock that was ahead and set back: the action expires its time after that, not years later."""
    append(journal, "k", now=1_000_000.0)
    assert journal.expire(100.0, 60.0) == []
    assert [action.key for action in journal.expire(160.0, 60.0)] == ["k"]


# -- By hand, and to another journal


def test_any_number_is_listed_by_state(journal: Journal) -> None:
    journal.append([new(f"k{number}", f"a{number}") for number in range(500)], 100.0)
    journal.dead(claim(journal), 100.0, "refused", "")
    assert (len(keys(journal)), len(keys(journal, "waiting")), keys(journal, "dead")) == (500, 499, ["k0"])


def test_an_export_can_be_imported_once(journal: Journal, tmp_path: Path) -> None:
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
        assert other.get(1) == journal.get(1)


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


def test_actions_that_are_being_moved_are_not_claimed(journal: Journal, tmp_path: Path) -> None:
    append(journal, "k")
    with Journal(tmp_path / "other") as other:
        take = other.take

        def take_slowly(actions: Sequence[Action]) -> int:
            assert journal.claim(100.0, 1, PAUSE) == []
            return take(actions)

        other.take = take_slowly  # type: ignore[method-assign]
        assert journal.move_to(other) == 1
        assert keys(other, "waiting") == ["k"]


def test_actions_that_cannot_be_moved_wait_as_before(journal: Journal, tmp_path: Path) -> None:
    before = append(journal, "k")._replace(is_new=False)
    (tmp_path / "file").touch()
    with Journal(tmp_path / "file") as other:
        assert refusal(lambda: journal.move_to(other)).label == "io"
    assert journal.get(1) == before
    assert claim(journal).key == "k"
