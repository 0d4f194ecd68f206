"""What version 1 left is taken over: its spool, what its executors had under way, and nothing twice."""

import fcntl
import json
import sqlite3
from pathlib import Path
from typing import Iterator

import pytest

from alerta_opsgenie.journal import Journal
from alerta_opsgenie.journal.upgrade import take_over_spool
from tests.journal.aids import claim, garbage, keys

# As version 1 wrote it.
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, lane TEXT NOT NULL, order_ns INTEGER NOT NULL,
    body BLOB NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, kept_at REAL NOT NULL,
    due_at REAL NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, attempted_at REAL, since REAL NOT NULL,
    owner TEXT NOT NULL DEFAULT '', leased_until REAL, claims INTEGER NOT NULL DEFAULT 0, checksum INTEGER NOT NULL
);
CREATE TABLE delivered (key TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 1095717712;
PRAGMA user_version = 1;
"""
INSERT = (
    "INSERT INTO entries (key, lane, order_ns, body, kind, state, attempts, kept_at, due_at, reason, detail,"
    " attempted_at, since, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


def old_spool(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    with sqlite3.connect(directory / "spool.db") as connection:
        connection.executescript(TABLES)
        connection.execute(INSERT, ("w", "a", 7, b'{"x": 1}', "Close", "waiting", 2, 10.0, 20.0, "r", "d", 9.0, 10.0))
        connection.execute(INSERT, ("d", "a", 8, b"{}", "Close", "dead", 1, 11.0, 21.0, "refused", "422", None, 12.0))
        connection.execute("INSERT INTO delivered VALUES ('gone', 5.0)")
    connection.close()
    return directory


def taken_file(directory: Path, **changes: object) -> Path:
    (directory / "taken").mkdir(parents=True, exist_ok=True)
    path = directory / "taken" / "a.1.2"
    job = {"key": "t", "lane": "a", "order_ns": 5, "kind": "Close", "body": "{}", "taken_at": 30.0, **changes}
    path.write_text(json.dumps(job))
    return path


def test_a_directory_without_anything_of_version_1_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    assert take_over_spool(journal, str(tmp_path / "none")) == 0
    assert not (tmp_path / "none").exists()


def test_waiting_and_dead_entries_are_taken_over_as_they_were(journal: Journal, tmp_path: Path) -> None:
    directory = old_spool(tmp_path / "old")
    assert take_over_spool(journal, str(directory)) == 2
    waiting, dead = journal.get(1), journal.get(2)
    assert waiting is not None
    assert dead is not None
    assert (waiting.alert, waiting.order_ns, waiting.kind, waiting.body) == ("a", 7, "Close", '{"x": 1}')
    assert (waiting.state, waiting.attempts, waiting.accepted_at, waiting.due_at) == ("waiting", 2, 10.0, 20.0)
    assert (waiting.reason, waiting.detail, waiting.first_attempt_at) == ("r", "d", 9.0)
    assert (dead.state, dead.reason, dead.detail, dead.since) == ("dead", "refused", "422", 12.0)


def test_what_version_1_delivered_is_not_done_again(journal: Journal, tmp_path: Path) -> None:
    take_over_spool(journal, str(old_spool(tmp_path / "old")))
    gone = journal.get(3)
    assert gone is not None
    assert (gone.state, gone.since) == ("done", 5.0)


def test_an_old_spool_is_renamed_so_that_it_is_taken_over_once(journal: Journal, tmp_path: Path) -> None:
    directory = old_spool(tmp_path / "old")
    take_over_spool(journal, str(directory))
    assert [path.name for path in directory.iterdir()] == ["spool.db.taken-over"]
    assert take_over_spool(journal, str(directory)) == 0


def test_a_take_over_that_was_killed_before_the_renaming_doubles_nothing(journal: Journal, tmp_path: Path) -> None:
    take_over_spool(journal, str(old_spool(tmp_path / "old")))
    (tmp_path / "old" / "spool.db.taken-over").rename(tmp_path / "old" / "spool.db")
    assert take_over_spool(journal, str(tmp_path / "old")) == 0
    assert sorted(keys(journal)) == ["d", "gone", "w"]


def test_what_an_executor_had_under_way_has_an_unknown_end(journal: Journal, tmp_path: Path) -> None:
    taken_file(tmp_path / "old")
    (tmp_path / "old" / "lanes" / "ab").mkdir(parents=True)
    (tmp_path / "old" / "waiting").touch()
    assert take_over_spool(journal, str(tmp_path / "old")) == 1
    action = claim(journal, 1e12)
    assert (action.key, action.first_attempt_at, action.accepted_at) == ("t", 30.0, 30.0)
    assert list((tmp_path / "old").iterdir()) == []


def test_what_an_executor_still_holds_stays_for_the_next_time(journal: Journal, tmp_path: Path) -> None:
    path = taken_file(tmp_path / "old")
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert take_over_spool(journal, str(tmp_path / "old")) == 0
    assert take_over_spool(journal, str(tmp_path / "old")) == 1


@pytest.mark.parametrize("changes", [{"key": 1}, {"taken_at": "x"}, {"order_ns": None}])
def test_a_file_that_is_no_action_is_removed(journal: Journal, tmp_path: Path, changes: "dict[str, object]") -> None:
    path = taken_file(tmp_path / "old", **changes)
    assert take_over_spool(journal, str(tmp_path / "old")) == 0
    assert not path.exists()


def test_a_damaged_spool_is_put_away_and_what_can_be_read_is_taken(journal: Journal, tmp_path: Path) -> None:
    directory = old_spool(tmp_path / "old")
    garbage(directory / "spool.db", 0, 4096)
    assert take_over_spool(journal, str(directory)) == 0
    assert (directory / "spool.db.taken-over").exists()
