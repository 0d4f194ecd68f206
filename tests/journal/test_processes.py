"""The journal among threads and processes: sharing, forks, locks, kills, and other Pythons."""

import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

import alerta_opsgenie
from alerta_opsgenie.journal import Journal, Lock, try_lock
from tests.journal.aids import PAUSE, append, at_once, in_child, keys, kill_me, killed_in_child, new, refusal

SOURCE = str(Path(alerta_opsgenie.__file__).parents[1])


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal") as opened:
        yield opened


# -- Many at once


def test_works_that_threads_queue_share_one_commit(journal: Journal) -> None:
    append(journal, "before")
    statements: List[str] = []
    journal._writer.read(lambda connection: connection.set_trace_callback(statements.append))
    at_once(journal, *(partial(append, journal, f"k{number}") for number in range(12)))
    assert statements.count("COMMIT") == 1
    assert len(keys(journal)) == 13


def test_a_work_that_fails_does_not_make_others_fail(journal: Journal) -> None:
    append(journal, "before")
    errors: List[BaseException] = []

    def fail() -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            journal._writer.write(lambda _connection: 1 / 0)
        errors.append(caught.value)

    at_once(journal, fail, partial(append, journal, "k"))
    assert (len(errors), keys(journal)) == (1, ["before", "k"])


HAMMER = """
import json, os, sys, threading, time
from alerta_opsgenie.journal import Journal, New, try_lock

directory, name, number, log = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
journal = Journal(directory, busy_seconds=60.0)

def append():
    for index in range(number):
        journal.append([New(f"{name}-{index}", f"{name}-{index % 4}", index, "Close", "body")], 1.0)
        print(f"{name}-{index}", flush=True)

def deliver():
    while (lock := try_lock(directory, "agent")) is None:
        time.sleep(0.01)
    journal.recover(1.0)
    with open(log, "a", buffering=1) as out:
        while True:
            for action in journal.claim(1.0, 3, 1e3):
                while action is not None:
                    out.write(json.dumps([action.key, action.alert, action.order_ns, action.first_attempt_at]) + "\\n")
                    action = journal.done(action, 1.0, "applied", claim_next=True)
            if os.path.exists(directory + "/stop") and not journal.counts(1.0).waiting:
                return
            time.sleep(0.001)

threads = [threading.Thread(target=append), threading.Thread(target=deliver)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_processes_that_are_killed_lose_nothing_and_keep_the_order(tmp_path: Path) -> None:
    """Three processes append, and one delivers; each is killed in turn. Second attempts are known as such."""
    directory, log = tmp_path / "journal", tmp_path / "log"
    arguments = [sys.executable, "-c", HAMMER, str(directory)]
    environment = {**os.environ, "PYTHONPATH": SOURCE}

    def start(name: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*arguments, name, "40", str(log)], env=environment, stdout=subprocess.PIPE, text=True
        )

    accepted: List[str] = []
    killed = [start(name) for name in ("x", "y", "z")]
    for process in killed:
        assert process.stdout is not None
        accepted += [process.stdout.readline().strip() for _ in range(8)]
        process.kill()
        accepted += process.stdout.read().split()
        process.wait()
    last = start("last")
    assert last.stdout is not None
    accepted += [last.stdout.readline().strip() for _ in range(40)]
    (directory / "stop").touch()
    assert last.wait(100) == 0
    last.stdout.close()
    given = [json.loads(line) for line in log.read_text().splitlines()]
    assert set(accepted) <= {key for key, *_ in given}
    seen = set()
    newest: Dict[str, int] = {}
    for key, alert, order_ns, first_attempt_at in given:
        assert key not in seen or first_attempt_at is not None
        assert order_ns >= newest.get(alert, 0)
        newest[alert] = order_ns
        seen.add(key)
    with Journal(directory) as journal:
        assert journal.counts(1.0)[:3] == (0, 0, 0)
        assert len(seen) == journal.counts(1.0).done


def test_a_journal_that_another_process_holds_is_waited_for_only_so_long(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as holder, Journal(tmp_path / "journal", busy_seconds=0.05) as hurried:
        append(hurried, "before")
        error = holder._writer.write(lambda _connection: refusal(lambda: append(hurried, "k")))
        assert (error.label, "0.05 s" in error.reason) == ("busy", True)
        append(hurried, "k")


def test_reads_do_not_wait(tmp_path: Path) -> None:
    """A deliverer that finds nothing due asks for no lock."""
    with Journal(tmp_path / "journal") as holder, Journal(tmp_path / "journal", busy_seconds=0.0) as looking:
        append(looking, "k")

        def look() -> "tuple[int, int]":
            return len(looking.claim(99.0, 1, PAUSE)), looking.counts(100.0).waiting

        assert holder._writer.write(lambda _connection: look()) == (0, 1)


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(RuntimeError, match="was closed"):
        append(journal, "k")
    with pytest.raises(RuntimeError, match="was closed"):
        keys(journal)


# -- Forks


def test_parent_and_forked_child_go_on_with_the_same_object(journal: Journal) -> None:
    append(journal, "before")
    assert in_child(lambda: (append(journal, "child").is_new, keys(journal))) == (True, ["before", "child"])
    append(journal, "after")
    assert keys(journal) == ["before", "child", "after"]


def test_a_fork_waits_for_another_threads_transaction(journal: Journal) -> None:
    """A child must never find the file in the middle of one."""
    begun, go_on = threading.Event(), threading.Event()

    def work(_connection: object) -> None:
        begun.set()
        go_on.wait(10)

    writer = threading.Thread(target=journal._writer.write, args=(work,))
    writer.start()
    assert begun.wait(10)
    threading.Timer(0.05, go_on.set).start()
    assert in_child(lambda: append(journal, "child").is_new) is True
    assert go_on.is_set()
    writer.join()


FOREIGN_FORK = """
import ctypes, os, sys
from alerta_opsgenie.journal import Journal, JournalError

journal = Journal(sys.argv[1])
journal.get(1)
if ctypes.PyDLL(None).fork():
    os.wait()
    journal.close()
else:
    for opened in (journal, Journal(sys.argv[1])):
        try:
            opened.get(1)
        except JournalError as error:
            print(error.label, error.advice, flush=True)
    os._exit(0)
"""


def test_a_fork_that_python_does_not_see_is_refused_with_advice(tmp_path: Path) -> None:
    """As the fork in C by which uWSGI makes its workers."""
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN_FORK, str(tmp_path / "journal")], env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True, text=True, timeout=60, check=True,
    )
    assert done.stdout.count("forked") == 2
    assert "lazy-apps" in done.stdout


# -- Locks


def taken(directory: Path, name: str = "agent") -> Lock:
    lock = try_lock(directory, name)
    assert lock is not None
    return lock


def test_a_lock_has_one_holder_until_it_is_closed(tmp_path: Path) -> None:
    with taken(tmp_path / "state") as first, taken(tmp_path / "state", "sender"):
        assert first.held
        assert try_lock(tmp_path / "state", "agent") is None
        assert in_child(lambda: try_lock(tmp_path / "state", "agent")) is None
    with taken(tmp_path / "state") as second:
        first.close()
        assert (first.held, second.held, try_lock(tmp_path / "state", "agent")) == (False, True, None)


def test_a_forked_child_does_not_have_its_parents_lock(tmp_path: Path) -> None:
    with taken(tmp_path) as lock:
        assert in_child(lambda: lock.held) is False
        in_child(lock.close)
        assert in_child(lambda: try_lock(tmp_path, "agent")) is None


def test_a_lock_does_not_live_on_in_a_killed_holders_children(tmp_path: Path) -> None:
    def holder() -> None:
        started, start = os.pipe()
        assert try_lock(tmp_path, "agent")
        if not os.fork():
            os.close(ended)
            os.write(start, b".")
            os.read(reader, 1)  # lives until the test is over
            kill_me()
        os.read(started, 1)

    reader, ended = os.pipe()
    killed_in_child(holder)
    taken(tmp_path).close()
    os.close(ended)
    os.close(reader)


# -- Cost and settings


def test_claim_append_and_done_use_indexes_however_many_rows_there_are(journal: Journal) -> None:
    """No statement of theirs reads a table from end to end, or sorts."""
    journal.append([new(f"k{number}", f"a{number % 50}", number) for number in range(200)], 100.0)
    plans: List[str] = []
    queries: List[str] = []
    journal._writer.read(lambda connection: connection.set_trace_callback(queries.append))
    journal.append([new("again", "a1")], 100.0)
    for action in journal.claim(100.0, 5, PAUSE):
        journal.memory(action.alert)
        journal.count_words(action.alert, "w", 0.0)
        journal.done(action, 100.0, "applied", wrote={"state": 1}, claim_next=True)
    journal._writer.read(lambda connection: connection.set_trace_callback(None))
    for query in dict.fromkeys(text for text in queries if text.startswith(("SELECT", "UPDATE", "DELETE"))):
        rows = asked(journal, f"EXPLAIN QUERY PLAN {query}")
        plans += [f"{detail} of {query}" for *_, detail in rows]
    assert len(plans) > 10
    assert [plan for plan in plans if plan.startswith("SCAN") and "alerts_ready" not in plan] == []
    assert [plan for plan in plans if "TEMP B-TREE" in plan] == []


def asked(journal: Journal, query: str) -> List[Tuple[Any, ...]]:
    return journal._writer.read(lambda connection: connection.execute(query).fetchall())


# -- Other Pythons

SMOKE = """
import sys
from alerta_opsgenie.journal import Journal, JournalError, New, try_lock

directory = sys.argv[1]
with Journal(directory) as journal:
    rows = journal.append([New(f"k{i}", f"a{i % 2}", -i, "Close", "b" * 3000, writes="{}") for i in range(8)], 1.0)
    assert [row.is_new for row in rows] == [True] * 8
    action = journal.claim(1.0, 1, 1e3)[0]
    assert action.key == "k6" and journal.done(action, 1.0, "applied", claim_next=True).key == "k4"
    assert journal.record_dead(New("bad", "", 0, "", ""), 1.0, "refused", "").state == "dead"
    assert journal.counts(2.0)[:4] == (6, 1, 1, 1) and journal.recover(1.0) == 1
    assert len(list(journal.export())) == 8
lock = try_lock(directory, "smoke")
assert lock.held and try_lock(directory, "smoke") is None
with open(directory + "/journal.db", "r+b") as file:
    file.write(b"garbage!" * 512)
with Journal(directory) as journal:
    assert [action.key for action in journal.actions("done")] == ["k6"]
    assert journal.set_aside and journal.carried_over == 9
try:
    Journal(directory + "/journal.db").get(1)
except JournalError as error:
    assert error.label == "io", error
print("fine")
"""


@pytest.mark.parametrize("version", ["3.9", "3.13", "3.14"])
def test_other_pythons_can_use_it_without_a_warning(tmp_path: Path, version: str) -> None:
    script = f"import sys; sys.path.insert(0, {SOURCE!r})\n{SMOKE}"
    done = subprocess.run(
        [other_python(version), "-I", "-W", "error", "-c", script, str(tmp_path / "journal")],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


def other_python(version: str) -> str:
    """A Python of that version that starts: on the PATH, or in the directory of the one that runs the tests."""
    name = f"python{version}"
    beside = Path(sys.base_prefix).parent.glob(f"*{version}*/bin/{name}")
    for python in filter(None, [shutil.which(name), *map(str, beside)]):
        if subprocess.run([python, "-c", "import sqlite3"], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"there is no Python {version} here")


def test_a_killed_child_loses_nothing(journal: Journal) -> None:
    append(journal, "before")
    killed_in_child(lambda: append(journal, "child"))
    append(journal, "after")
    assert keys(journal) == ["before", "child", "after"]


def test_a_child_that_outlives_its_parent_keeps_what_it_appends(tmp_path: Path) -> None:
    """SQLite's locks are the parent's; a file left open over a fork would be unguarded once the parent is gone."""

    def parent() -> None:
        journal = Journal(tmp_path / "journal")
        append(journal, "parent")
        if not os.fork():
            os.read(reader, 1)  # until the parent is gone and another process has opened and closed the file
            append(journal, "child")
            os.write(done, b".")
            kill_me()
        kill_me()

    reader, go_on = os.pipe()
    finished, done = os.pipe()
    killed_in_child(parent)
    with Journal(tmp_path / "journal") as other:
        append(other, "other")
    os.write(go_on, b".")
    assert os.read(finished, 1) == b"."
    with Journal(tmp_path / "journal") as last:
        assert keys(last) == ["parent", "other", "child"]
    for descriptor in (reader, go_on, finished, done):
        os.close(descriptor)


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    killed_in_child(lambda: try_lock(tmp_path, "agent"))
    taken(tmp_path).close()


def test_a_program_that_is_started_does_not_have_the_lock(tmp_path: Path) -> None:
    lock = taken(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as program:
        lock.close()
        taken(tmp_path).close()
        program.communicate(b"\n")


def test_a_commit_is_on_the_disk_and_not_only_with_the_kernel(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        append(journal, "k")
        for setting, value in (("journal_mode", "wal"), ("synchronous", 2)):
            assert asked(journal, f"PRAGMA {setting}") == [(value,)]
