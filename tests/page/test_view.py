"""The page's data of a state directory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alerta_opsgenie.core.outcome import Reason
from alerta_opsgenie.page.view import MOST_ROWS, Overview, PageInputs, Part, Problem, Row, View
from tests.cli.state_directory import NOWHERE, StateDirectory


@pytest.fixture
def place(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


def view(place: StateDirectory, **more: object) -> View:
    return View(PageInputs(str(place.directory), lambda: Part("Queue", "", is_well=True), **more))  # type: ignore[arg-type]


def cards(found: Overview) -> dict[str, bool | None]:
    return {part.name: part.is_well for part in found.parts}


def test_nothing_kept_yet_is_well(place: StateDirectory) -> None:
    found = view(place).overview()
    assert (found.is_well, cards(found)["Journal"]) == (True, None)


def test_actions_that_wait_for_an_alerta_that_is_down_are_a_problem_with_its_reason(place: StateDirectory) -> None:
    place.keep("Close", age_seconds=100)
    journal = place.journal()
    (action,) = journal.claim(time.time(), 1, 60)
    journal.postpone(action, time.time(), time.time() + 9, "network", "connection refused")
    found = view(place).overview()
    assert (found.is_well, cards(found)["Alerta"]) == (False, False)
    assert f"1 wait for {NOWHERE}, which does not take them (network): connection refused" in found.problems[0].what
    assert "see whether Alerta is up" in found.problems[0].advice


def test_actions_that_wait_behind_others_do_not_hide_a_refused_key(place: StateDirectory) -> None:
    for age_seconds, reason in ((200, Reason.BEHIND), (100, Reason.UNAUTHORIZED)):
        place.keep("Close", age_seconds=age_seconds)
        journal = place.journal()
        (action,) = journal.claim(time.time(), 1, 60)
        journal.postpone(action, time.time(), time.time() + 9, reason.value, "HTTP 401")
    found = view(place).overview()
    assert f"2 wait for {NOWHERE}, which does not take them (unauthorized): HTTP 401" in found.problems[0].what


def test_actions_that_wait_without_a_delivering_process_are_a_problem(place: StateDirectory) -> None:
    place.keep("Close")
    assert "spool drain" in view(place).overview().problems[0].advice


def test_dead_letters_alone_are_well(place: StateDirectory) -> None:
    place.keep("Close", dead=True)
    found = view(place).overview()
    assert (found.is_well, found.total("dead")) == (True, 1)


def test_a_part_that_does_not_work_is_a_problem_if_no_other_explains_it(place: StateDirectory) -> None:
    source = PageInputs(str(place.directory), lambda: Part("Queue", "no queue answers", is_well=False))
    assert View(source).overview().problems == [Problem("Queue: no queue answers")]


def test_the_last_success_is_that_of_the_last_action_or_heartbeat(place: StateDirectory) -> None:
    place.keep("Close", age_seconds=100)
    journal = place.journal()
    (action,) = journal.claim(time.time(), 1, 60)
    journal.done(action, 1000.0, "done")
    last = [view(place, alerta_at=lambda at=at: at).overview().parts[1].at for at in (0.0, 2000.0)]
    assert last == [1000.0, 2000.0]


def test_the_newest_actions_of_all_states_and_targets_come_first_up_to_a_limit(place: StateDirectory) -> None:
    for number in range(MOST_ROWS):
        place.keep("Close", age_seconds=1000 + number)
    place.keep("Snooze", dead=True)
    place.keep("AddNote", age_seconds=10, url="http://other.example.com")
    rows = view(place).rows()
    assert [row.action for row in rows[:3]] == ["Snooze", "AddNote", "Close"]
    assert len(rows) == MOST_ROWS


def test_a_search_finds_an_alert_by_its_beginning_and_a_person(place: StateDirectory) -> None:
    wanted = place.keep("Close")
    place.keep("Snooze", username="bob_%@example.com")
    found = view(place)
    assert [row.action for row in found.rows(text=wanted.alert[:13].upper())] == ["Close"]
    assert [row.person for row in found.rows(text="BOB_%@")] == ["bob_%@example.com"]
    assert found.rows(text="b%b") == []


def test_ignored_actions_of_the_process_are_added(place: StateDirectory) -> None:
    ignored = [Row("", "", "Close", "", "dave@example.com", "ignored", "foreign", "of another source", 2.0)]
    found = view(place, ignored=lambda: ignored)
    assert [(row.person, row.outcome) for row in found.rows()] == [("dave@example.com", "ignored")]
    assert [[row.reason for row in found.rows(text=text)] for text in ("dave", "carol")] == [["foreign"], []]
