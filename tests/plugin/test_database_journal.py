"""The outbox in a real PostgreSQL: one sender at a time claims the requests of an alert, in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from alerta_opsgenie.core.publish import Dispatch, Request
from alerta_opsgenie.journal import Action, Journal, JournalError, New, try_lock
from alerta_opsgenie.plugin import database_journal
from alerta_opsgenie.plugin.database import Database
from alerta_opsgenie.plugin.database_journal import DatabaseJournal
from alerta_opsgenie.plugin.outbox import LOCK_NAME, Outbox, read_row
from alerta_opsgenie.plugin.resend_check import is_ambiguous
from tests.support.own_postgres import own_postgres

pytestmark = pytest.mark.alerta

PAUSE = 100.0
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with own_postgres("journal") as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    with Database({"DATABASE_URL": server}).transaction() as cursor:
        cursor.execute("TRUNCATE alerta_opsgenie_outbox")
    return server


def journal(url: str) -> DatabaseJournal:
    return DatabaseJournal(Database({"DATABASE_URL": url}))


def new(alert: str, body: str = "{}") -> New:
    number = next(_numbers)
    return New(f"k{number}", alert, number, "note", body)


def claimed(journal: DatabaseJournal, now: float, limit: int = 10) -> list[str]:
    return [action.key for action in journal.claim(now, limit, PAUSE)]


def test_an_appended_request_is_claimed_unchanged(url: str) -> None:
    made = new("a", '{"note": "\\ud800 \\u0000 ü"}')
    journal(url).append([made], 10.0)
    (action,) = journal(url).claim(20.0, 1, PAUSE)
    assert New(*action[1:6]) == made
    assert (action.accepted_at, action.first_attempt_at, action.state) == (10.0, None, "in-flight")


def test_nul_is_removed_and_a_lone_surrogate_is_escaped(url: str) -> None:
    own = journal(url)
    own.append([new("a\0\ud800")], 10.0)
    (action,) = own.claim(20.0, 1, PAUSE)
    own.dead(action, 30.0, "refused", "said \0 \ud800")
    assert [row.detail for row in own.actions("dead")] == ["said  \\ud800"]


def test_a_key_is_added_once(url: str) -> None:
    made = new("a")
    for _ in range(2):
        journal(url).append([made], 10.0)
    assert journal(url).counts(10.0).waiting == 1


def test_of_one_alert_one_request_is_in_flight_in_order(url: str) -> None:
    own, first, second, other = journal(url), new("a"), new("a"), new("b")
    own.append([first, second, other], 10.0)
    assert claimed(own, 20.0) == [first.key, other.key]
    assert claimed(journal(url), 20.0) == []


@pytest.mark.parametrize("end", ["done", "dead"])
def test_the_next_request_is_claimed_after_the_end_of_the_first(url: str, end: str) -> None:
    own, first, second = journal(url), new("a"), new("a")
    own.append([first, second], 10.0)
    (action,) = own.claim(20.0, 1, PAUSE)
    own.done(action, 20.0, "") if end == "done" else own.dead(action, 20.0, "refused", "no")
    assert claimed(own, 20.0) == [second.key]


def test_a_postponed_request_delays_the_later_ones_of_its_alert(url: str) -> None:
    own, first, second = journal(url), new("a"), new("a")
    own.append([first, second], 10.0)
    (action,) = own.claim(20.0, 1, PAUSE)
    own.postpone(action, 20.0, 50.0, "network", "no answer")
    assert claimed(own, 40.0) == []
    (again,) = own.claim(60.0, 10, PAUSE)
    assert (again.key, again.first_attempt_at, again.reason, again.attempts) == (first.key, 20.0, "network", 1)


def test_a_request_due_after_the_longest_pause_is_due_now(url: str) -> None:
    """The clock was set back."""
    own = journal(url)
    own.append([new("a")], 10_000.0)
    assert own.next_due(20.0, PAUSE) == 20.0
    assert len(claimed(own, 20.0)) == 1


def test_the_first_holder_of_an_ended_lease_changes_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_journal, "_LEAST_LEASE_SECONDS", 0.0)
    late = DatabaseJournal(Database({"DATABASE_URL": url}), timeout_seconds=0.0)
    late.append([new("a")], 10.0)
    (action,) = late.claim(20.0, 1, PAUSE)
    (taken,) = journal(url).claim(30.0, 1, PAUSE)
    assert (taken.key, taken.first_attempt_at) == (action.key, 20.0)
    late.done(action, 40.0, "")
    assert journal(url).counts(40.0).in_flight == 1


def test_the_next_sender_of_a_host_takes_over_the_leases_of_a_killed_one(url: str) -> None:
    killed = journal(url)
    killed.append([new("a")], 10.0)
    killed.claim(20.0, 1, PAUSE)
    following = journal(url)
    assert claimed(following, 30.0) == []
    assert following.next_due(30.0, PAUSE) is None
    assert following.recover(30.0) == 1
    assert (following.next_due(30.0, PAUSE) or 0.0) <= 30.0
    assert len(claimed(following, 30.0)) == 1


def test_only_the_first_request_of_an_alert_is_due(url: str) -> None:
    own = journal(url)
    own.append([new("a"), new("a")], 10.0)
    (head,) = own.claim(20.0, 1, PAUSE)
    own.postpone(head, 20.0, 90.0, "throttled", "")
    assert own.next_due(30.0, PAUSE) == 90.0


def test_a_killed_attempt_is_ambiguous_whatever_the_result_before_it(url: str, tmp_path: Path) -> None:
    with Journal(tmp_path) as disk:
        for own, next_one in ((journal(url), journal(url)), (disk, disk)):
            own.append([new("a")], 10.0)
            (first,) = own.claim(20.0, 1, PAUSE)
            own.postpone(first, 20.0, 30.0, "throttled", "")
            (second,) = own.claim(40.0, 1, PAUSE)
            assert (second.reason, is_ambiguous(second)) == ("throttled", False)
            next_one.recover(50.0)
            (third,) = next_one.claim(50.0, 1, PAUSE)
            assert is_ambiguous(third)


def test_requests_on_the_disk_are_not_taken_over_while_another_process_sends_them(url: str, tmp_path: Path) -> None:
    outbox = Outbox(str(tmp_path), journal(url))
    with Journal(tmp_path) as disk:
        disk.append([new("a")], 10.0)
    with try_lock(tmp_path, LOCK_NAME) or pytest.fail("it is free"):
        outbox.take_over()
        assert journal(url).counts(10.0).waiting == 0
    outbox.take_over()
    assert journal(url).counts(10.0).waiting == 1


def test_requests_in_memory_are_written_with_the_next_request(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = journal(url)
    outbox, append = Outbox(str(tmp_path), own), own.append

    def failing(*_: object) -> None:
        raise JournalError("no database", "look", "network")

    monkeypatch.setattr(own, "append", failing)
    outbox.put(Dispatch("default", (Request("close", "POST", "/first", {}),)), "a")
    assert (len(outbox.memory), own.counts(10.0).waiting) == (1, 0)
    monkeypatch.setattr(own, "append", append)
    outbox.put(Dispatch("default", (Request("close", "POST", "/second", {}),)), "a")
    assert (len(outbox.memory), [read_row(row).request.path for row in own.actions()]) == (0, ["/first", "/second"])


def test_requests_on_the_disk_are_taken_over_in_order(url: str, tmp_path: Path) -> None:
    made = [new("a", '{"n": 1}'), new("b"), new("a", '{"n": 2}')]
    with Journal(tmp_path) as disk:
        disk.append(made, 10.0)
        assert journal(url).take_over(disk) == 3
        assert journal(url).take_over(disk) == 0
    assert [New(*row[1:6]) for row in journal(url).actions()] == made


def test_senders_that_die_do_not_change_the_order_of_an_alert_s_requests(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that dies leaves its lease. Another repeats that request before the later ones of the alert."""
    monkeypatch.setattr(database_journal, "_LEAST_LEASE_SECONDS", 0.5)
    alerts = [f"alert {number}" for number in range(20)]
    made = [new(alert) for _ in range(10) for alert in alerts]
    journal(url).append(made, 10.0)
    sent: list[Action] = []
    mutex = threading.Lock()
    stop = time.monotonic() + 60

    def send(seed: int) -> None:
        chance = random.Random(seed)
        own = DatabaseJournal(Database({"DATABASE_URL": url}), timeout_seconds=0.0)
        while time.monotonic() < stop:
            found = own.claim(20.0, 1, PAUSE)
            for action in found:
                with mutex:
                    sent.append(action)
                if chance.random() > 0.05:
                    own.done(action, 20.0, "")
            if not found and not own.counts(20.0).alerts:
                return

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(send, range(6)))
    for alert in alerts:
        wanted = [row.key for row in made if row.alert == alert]
        keys = [row.key for row in sent if row.alert == alert]
        assert sorted(set(keys), key=keys.index) == wanted
        assert keys == sorted(keys, key=wanted.index)


def test_a_claim_keeps_its_limit_after_the_table_was_empty(url: str) -> None:
    """A request that is claimed and not returned would wait for the end of its lease.

    For a table that was empty at the last ANALYZE, PostgreSQL plans to run a subquery again for each row.
    """
    own = journal(url)
    own.append([new(f"alert {number}") for number in range(200)], 10.0)
    with Database({"DATABASE_URL": url}).transaction() as cursor:
        cursor.execute("DELETE FROM alerta_opsgenie_outbox")
        cursor.execute("ANALYZE alerta_opsgenie_outbox")
    own.append([new(f"alert {number}") for number in range(10)], 10.0)
    assert len(own.claim(20.0, 1, PAUSE)) == 1
    assert own.counts(20.0).in_flight == 1


# -- the SQL in docs/set-up/plugin.md


def shown(title: str) -> str:
    """Return the block of SQL with that title, for the dead letter with the id 17."""
    page = Path(__file__).parents[2] / "docs/set-up/plugin.md"
    [block] = [found for found in page.read_text().split("```") if found.startswith(f"sql\n-- {title}")]
    return block.removeprefix("sql\n")


def dead_letters(url: str, own: DatabaseJournal, keys: int) -> None:
    """Make dead letters with the ids from 17."""
    with Database({"DATABASE_URL": url}).transaction() as cursor:
        cursor.execute("ALTER SEQUENCE alerta_opsgenie_outbox_id_seq RESTART WITH 17")
    own.append([new("a") for _ in range(keys)], 10.0)
    for _ in range(keys):
        (action,) = own.claim(20.0, 1, PAUSE)
        own.dead(action, 30.0, "refused", "HTTP 422")


def run_shown(url: str, title: str) -> list[tuple[object, ...]]:
    with Database({"DATABASE_URL": url}).transaction() as cursor:
        cursor.execute(shown(title).partition("-- What waits")[0])
        return list(cursor.fetchall()) if cursor.description else []


def test_the_pages_sql_lists_retries_and_drops_dead_letters(url: str) -> None:
    own = journal(url)
    dead_letters(url, own, 3)
    assert [(row[0], *row[-2:]) for row in run_shown(url, "Dead")] == [
        (number, "refused", "HTTP 422") for number in (17, 18, 19)
    ]
    run_shown(url, "Retry")
    (action,) = own.claim(time.time() + 1, 10, PAUSE)
    assert action.id == 17
    own.dead(action, 30.0, "refused", "HTTP 422")
    run_shown(url, "Drop")
    assert [action.id for action in own.actions()] == [18, 19]
