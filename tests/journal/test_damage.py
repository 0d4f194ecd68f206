"""The journal's file damaged in many ways, and replaced while other processes have it open."""

import fcntl
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, List, Tuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerta_opsgenie.journal import Action, Journal, JournalError, salvage, writer
from tests.journal.aids import DONE, PAUSE, append, body_of, copy_files, garbage, keys, new, refusal, with_actions

pytestmark = pytest.mark.faults


def waiting(journal: Journal) -> List[str]:
    """Read everything through every index, so that any damage shows. Return the waiting keys."""
    journal.counts(100.0)
    journal.prune(0.0, 100.0)
    journal.expire(100.0, 1000.0)
    return keys(journal, "waiting")


def check(directory: Path) -> int:
    """Deliver the actions of `with_actions`, check each, and return their number."""
    given: List[Action] = []
    with Journal(directory) as journal:
        append(journal, "new", "alert new", now=500.0)
        while found := journal.claim(1000.0, 1, PAUSE):
            given += found
            journal.done(found[0], 1000.0, "applied")
            assert len(given) < 200
    for action in given:
        assert action.key == "new" or action.body == body_of(int(action.key[1:]))
    assert len({action.key for action in given}) == len(given)
    return len(given) - 1


def asides(directory: Path) -> List[Path]:
    return [path for path in directory.glob("journal.db.damaged-*") if not path.name.endswith("-wal")]


@pytest.mark.parametrize("length", [4096, 64, 16, 100], ids=["page", "header", "magic", "100"])
def test_a_garbage_header_costs_no_action_and_no_memory(tmp_path: Path, length: int) -> None:
    with_actions(tmp_path / "journal", 60)
    garbage(tmp_path / "journal" / "journal.db", 0, length)
    before = (tmp_path / "journal" / "journal.db").read_bytes()
    with Journal(tmp_path / "journal") as journal:
        assert len(waiting(journal)) == 60
        assert journal.carried_over == 60 + DONE
        assert journal.memory("done 3") == {"state": 7}
        assert Path(journal.set_aside).read_bytes() == before
    assert check(tmp_path / "journal") == 60


def test_garbage_on_any_page_costs_only_what_is_on_that_page(tmp_path: Path) -> None:
    with_actions(tmp_path / "journal", 24)
    pages = (tmp_path / "journal" / "journal.db").stat().st_size // 4096
    lost = []
    for page in range(pages):
        directory = copy_files(tmp_path / "journal", tmp_path / f"copy{page}")
        garbage(directory / "journal.db", page * 4096, 4096)
        with Journal(directory) as journal:
            waiting(journal)
        lost.append(24 - check(directory))
        shutil.rmtree(directory)
    # One page is the root of all actions; every other has a few of them at most, and many have none.
    assert sorted(lost)[-2] < 12
    assert lost.count(0) > 5


@pytest.mark.parametrize("gap_ids", [3, 20_000], ids=["from both ends", "and between"])
def test_only_rows_on_a_damaged_page_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap_ids: int
) -> None:
    """With two bad pages, what lies between them is found one by one; else the good ends are."""
    monkeypatch.setattr(salvage, "_GAP_IDS", gap_ids)
    path = tmp_path / "journal" / "journal.db"
    bodies = {f"k{number}": f"k{number} " * 40 for number in range(1000, 1300)}
    with Journal(tmp_path / "journal") as journal:
        journal.append([new(key, body=body) for key, body in bodies.items()], 100.0)
    content = path.read_bytes()
    page_of = {key: content.index(body.encode()) // 4096 for key, body in bodies.items()}
    first, second = page_of["k1100"], page_of["k1200"]
    for page in (first, second):
        garbage(path, page * 4096, 4096)
    good = [key for key, page in page_of.items() if page not in (first, second)]
    between = [key for key in good if "k1100" < key < "k1200"]
    with Journal(tmp_path / "journal") as journal:
        assert waiting(journal) == [key for key in good if gap_ids > 3 or key not in between]
        assert between


@pytest.mark.parametrize("keep_bytes", [0, 1, 100, 4096, 5000, 40960, 100_000])
def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path, keep_bytes: int) -> None:
    directory = tmp_path / "journal"
    with_actions(directory, 60)
    os.truncate(directory / "journal.db", keep_bytes)
    before = (directory / "journal.db").read_bytes()
    with Journal(directory) as journal:
        found = len(waiting(journal))
        # To SQLite a file of one byte is as good as none.
        assert bool(journal.set_aside) == (keep_bytes > 1)
        if keep_bytes > 1:
            assert Path(journal.set_aside).read_bytes() == before
    assert check(directory) == found
    assert found < 60
    assert (found > 0) == (keep_bytes >= 100_000)


@pytest.mark.parametrize("is_gone", [False, True], ids=["cut to nothing", "removed"])
def test_a_lost_file_loses_nothing_that_is_in_its_log(tmp_path: Path, is_gone: bool) -> None:
    """SQLite by itself would throw the log away."""
    with Journal(tmp_path / "journal") as journal:
        for number in range(20):
            append(journal, f"k{number}")
        directory = copy_files(tmp_path / "journal", tmp_path / "copy")
    if is_gone:
        (directory / "journal.db").unlink()
    else:
        os.truncate(directory / "journal.db", 0)
    log = (directory / "journal.db-wal").read_bytes()
    with Journal(directory) as journal:
        assert keys(journal) == [f"k{number}" for number in range(20)]
        assert Path(journal.set_aside + "-wal").read_bytes() == log


def test_a_damaged_file_keeps_its_log(tmp_path: Path) -> None:
    """Changes that are only in the log are copied, and the log is renamed unchanged."""
    with_actions(tmp_path / "journal", 20)
    with Journal(tmp_path / "journal") as journal:
        append(journal, "in the log")
        directory = copy_files(tmp_path / "journal", tmp_path / "copy")
    garbage(directory / "journal.db", 0, 4096)
    log = (directory / "journal.db-wal").read_bytes()
    with Journal(directory) as journal:
        assert len(waiting(journal)) == 21
        assert Path(journal.set_aside + "-wal").read_bytes() == log


@pytest.mark.parametrize(
    "content", [b"just text\n", b"\x00" * 8192, random.Random(1).randbytes(10_000)], ids=["text", "zeros", "noise"]
)
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal").mkdir(mode=0o700)
    (tmp_path / "journal" / "journal.db").write_bytes(content)
    with Journal(tmp_path / "journal") as journal:
        append(journal, "k")
        assert Path(journal.set_aside).read_bytes() == content
        assert journal.carried_over == 0


def test_damage_is_noticed_while_the_journal_is_open(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    with_actions(directory, 60)
    with Journal(directory) as journal:
        assert journal.get(1)
        garbage(directory / "journal.db", 4096, (directory / "journal.db").stat().st_size - 4096)
        assert waiting(journal) == []
        assert [Path(journal.set_aside)] == asides(directory)
        append(journal, "k")


def test_each_damaged_file_gets_its_own_name(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    for number in (1, 2, 3):
        with_actions(directory, 1) if number == 1 else None
        garbage(directory / "journal.db", 0, 20_000)
        with Journal(directory) as journal:
            waiting(journal)
        assert len(asides(directory)) == number


def test_copied_rows_keep_ids_states_and_order(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    with Journal(directory) as journal:
        journal.append([new(f"k{number}", f"a{number}", number) for number in range(5)], 100.0)
        journal.drop([2])
        buried, ended, _held = journal.claim(100.0, 3, PAUSE)
        journal.dead(buried, 101.0, "refused", "422")
        journal.done(ended, 101.0, "applied")
        before = list(journal.actions())
    garbage(directory / "journal.db", 0, 4096)
    with Journal(directory) as journal:
        assert list(journal.actions()) == before
        assert journal.set_aside
        assert [action.key for action in journal.claim(100.0, 9, PAUSE)] == ["k4"]


def test_processes_that_have_the_file_open_go_on_with_the_new_one(tmp_path: Path) -> None:
    """What they append is in the file that everybody reads, and their closing does not take its log away."""
    directory = tmp_path / "journal"
    with_actions(directory, 10)
    others = [Journal(directory) for _ in range(3)]
    for other in others:
        assert len(keys(other)) == 10 + DONE
    garbage(directory / "journal.db", 0, 4096)
    with Journal(directory) as finder:
        assert len(keys(finder)) == 10 + DONE
        for number, other in enumerate(others):
            append(other, f"other{number}")
            assert other.set_aside == ""
            other.close()
        copy = copy_files(directory, tmp_path / "copy")
    with Journal(copy) as crashed:
        assert len(keys(crashed)) == 13 + DONE


def test_closing_a_file_that_was_replaced_leaves_the_new_log_alone(tmp_path: Path) -> None:
    """SQLite removes the log by its name, which then is the new file's."""
    directory = tmp_path / "journal"
    with_actions(directory, 10)
    idle = Journal(directory)
    assert len(keys(idle)) == 10 + DONE
    garbage(directory / "journal.db", 0, 4096)
    with Journal(directory) as finder:
        append(finder, "in the new log")
        idle.close()
        copy = copy_files(directory, tmp_path / "copy")
    with Journal(copy) as crashed:
        assert "in the new log" in keys(crashed)


@pytest.mark.parametrize("is_whole", [True, False], ids=["the directory", "the files"])
def test_a_removed_file_is_created_again(tmp_path: Path, is_whole: bool) -> None:
    directory = tmp_path / "journal"
    with Journal(directory) as journal:
        append(journal, "gone")
        if is_whole:
            shutil.rmtree(directory)
        else:
            for path in directory.iterdir():
                path.unlink()
        append(journal, "k")
        with Journal(directory) as other:
            assert keys(other) == ["k"]
            append(other, "l")
        assert keys(journal) == ["k", "l"]


def test_threads_that_find_the_damage_at_once_set_it_aside_once(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    with_actions(directory, 30)
    garbage(directory / "journal.db", 0, 4096)
    barrier = threading.Barrier(4)
    journals = [Journal(directory) for _ in range(4)]

    def work(number: int) -> None:
        barrier.wait(10)
        append(journals[number], f"new{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Path(journal.set_aside) for journal in journals if journal.set_aside] == asides(directory)
    assert len(keys(journals[0])) == 34 + DONE
    for journal in journals:
        journal.close()


def test_a_replacement_that_is_killed_anywhere_is_completed(tmp_path: Path) -> None:
    """At each call that changes a name or a file, one after the other, until there is none left."""
    with_actions(tmp_path / "whole", 30)
    with Journal(tmp_path / "whole") as journal:
        append(journal, "in the log")
        copy_files(tmp_path / "whole", tmp_path / "crashed")
    garbage(tmp_path / "crashed" / "journal.db", 0, 4096)
    step, killed = 0, True
    while killed:
        step += 1
        directory = copy_files(tmp_path / "crashed", tmp_path / str(step))
        killed = killed_at(step, directory)
        with Journal(directory) as journal:
            assert len(waiting(journal)) == 31, step
            assert journal.waits("alert 3"), step
        assert len(asides(directory)) == 1, step
        left = {path.name for path in directory.iterdir() if ".damaged-" not in path.name}
        assert left <= {"journal.db", "journal.db.lock"}, step
    assert step > 8


def killed_at(step: int, directory: Path) -> bool:
    """Whether a process that opens the journal gets to its `step`-th change of the disk, and is killed there."""
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                os._exit(77)
            return call(*arguments, **options)

        return counting

    child = os.fork()
    if not child:
        for module, name in ((os, "rename"), (os, "unlink"), (salvage, "is_sound"), (salvage, "open_connection")):
            setattr(module, name, counted(getattr(module, name)))
        with Journal(directory) as journal:
            keys(journal)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 77


APPENDER = """
import sys
from alerta_opsgenie.journal import Journal, New

for index in range(int(sys.argv[3])):
    if index % 5 == 0:
        journal = Journal(sys.argv[1], busy_seconds=60.0)
    key = f"{sys.argv[2]}-{index}"
    assert journal.append([New(key, f"alert {index % 7}", index, "Close", "body " * 300)], 1.0)[0].is_new
    print(key, flush=True)
    if index % 5 == 4 and index % 10 < 5:
        journal.close()
"""


def test_nothing_appended_is_lost_while_the_file_is_replaced_again_and_again(tmp_path: Path) -> None:
    """While processes open it, append, close it, or leave it open."""
    directory = tmp_path / "journal"
    with_actions(directory, 1)
    appenders = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(directory), name, "40"], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        for name in "xyz"
    ]
    replaced = 0
    while any(appender.poll() is None for appender in appenders):
        with Journal(directory, busy_seconds=60.0) as journal:
            keys(journal)
            with journal._file._guarded(fcntl.LOCK_EX):
                journal._file._replace_damaged()
            replaced += bool(journal.set_aside)
    appended = [line for appender in appenders for line in appender.communicate()[0].split()]
    assert [appender.returncode for appender in appenders] == [0, 0, 0]
    assert len(appended) == 120
    assert replaced
    with Journal(directory) as journal:
        assert sorted(keys(journal, "waiting")) == sorted([*appended, "k0"])


def test_a_disk_that_breaks_every_file_is_refused_and_not_tried_for_ever(tmp_path: Path) -> None:
    broken = sqlite3.DatabaseError("database disk image is malformed")
    with Journal(tmp_path / "journal") as journal, mock.patch.object(writer, "check_version", side_effect=broken):
        assert refusal(lambda: append(journal, "k")).label == "damaged"


DAMAGE = st.tuples(
    st.sampled_from(["journal.db", "journal.db", "journal.db-wal"]), st.floats(0, 1, exclude_max=True),
    st.sampled_from(["flip", "bytes", "zeros", "cut"]), st.binary(min_size=1, max_size=5000),
)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a journal whose process was killed, with actions in the file and in the log."""
    root = tmp_path_factory.mktemp("crashed")
    with_actions(root / "journal", 40)
    with Journal(root / "journal") as journal:
        for number in range(40, 50):
            append(journal, f"k{number}", body=body_of(number))
        return copy_files(root / "journal", root / "files")


@settings(max_examples=60)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=3))
def test_no_damage_gives_a_false_action_or_an_unusable_journal(
    crashed: Path, damages: List[Tuple[str, float, str, bytes]]
) -> None:
    """Actions may be lost with the place they were in, and a header may look like a newer or a foreign one."""
    with tempfile.TemporaryDirectory() as root:
        directory = copy_files(crashed, Path(root, "journal"))
        for name, place, kind, content in damages:
            damage(directory / name, place, kind, content)
        label = ""
        try:
            with Journal(directory) as journal:
                waiting(journal)
            check(directory)
        except JournalError as error:
            label = error.label
        assert label in ("", "newer", "foreign")


def damage(path: Path, place: float, kind: str, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    if kind == "cut":
        del data[start:]
    elif kind == "flip" and data:
        data[start] ^= 1 << content[0] % 8
    else:
        end = min(start + len(content), len(data))
        data[start:end] = (content if kind == "bytes" else bytes(len(content)))[: end - start]
    path.write_bytes(data)


def test_the_guard_is_held_while_the_file_is_used(tmp_path: Path) -> None:
    """Else a file could be replaced between a commit and its return."""
    with Journal(tmp_path / "journal") as journal, Journal(tmp_path / "journal", busy_seconds=0.0) as other:
        append(journal, "k")
        assert keys(other) == ["k"]

        def replace() -> None:
            with other._file._guarded(fcntl.LOCK_EX):
                pass

        label = journal._writer.write(lambda _connection: refusal(replace).label)
        assert label == "busy"
