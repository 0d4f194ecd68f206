"""The cost of a page depends on the rows that it shows, not on the size of the journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from alerta_opsgenie.journal import Journal, New

MANY = 3000


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "journal")
    made.append([New(str(n), f"alert-{n:05}", n, "Close", '{"alert":{"username":"x"}}') for n in range(MANY)], 1.0)
    return made


def steps(journal: Journal, call: object) -> int:
    """Count SQLite's steps (in hundreds) while `call` runs; they do not depend on the machine."""
    count = [0]

    def tick() -> int:
        count[0] += 1
        return 0

    journal.get(1)  # so that it is open
    connection = journal._file._connection
    assert isinstance(connection, sqlite3.Connection)
    connection.set_progress_handler(tick, 100)
    call()  # type: ignore[operator]
    connection.set_progress_handler(None, 100)
    return count[0]


def test_the_newest_and_the_oldest_are_found_without_reading_the_others(journal: Journal) -> None:
    assert steps(journal, lambda: journal.latest(10)) < 20
    assert steps(journal, journal.oldest_waiting) < 5


def test_no_more_rows_are_given_than_are_asked_for(journal: Journal) -> None:
    assert [len(found) for found in (journal.latest(7), journal.search("x", 7), journal.search("alert-", 7))] == [7] * 3


def test_a_search_without_a_match_reads_the_file_once(journal: Journal) -> None:
    assert journal.search("nobody", 10) == []
    assert steps(journal, lambda: journal.search("nobody", 10)) < MANY * 30 / 100
    assert journal.of_alert("nobody", 10) == []
