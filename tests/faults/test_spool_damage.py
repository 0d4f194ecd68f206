"""The spool's file damaged in every way, and replaced under those who have it open."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerta_opsgenie.journal import Spool, SpoolUnavailable, database, link, salvage
from tests.support.spool_aids import (
    body_of,
    copy_files,
    garbage,
    keep,
    keys,
    refusal,
    size_of,
    with_entries,
)

pytestmark = pytest.mark.faults


# --- damage ----------------------------------------------------------------------------------------------------------


def check(directory: Path) -> int:
    """Serve a spool of `with_entries` to its end, see that each entry is as it was, and return how many there were."""
    served = []
    with Spool(directory) as spool:
        assert spool.keep("new", "lane new", 0, "", now=500.0)
        for _ in range(200):
            claimed = spool.claim(1000.0, 10.0, "test")
            if claimed is None:
                break
            if claimed.key != "new":
                assert claimed.body == body_of(claimed.key, size_of(int(claimed.key[1:])))
                assert claimed.lane == f"lane {claimed.key[-1]}"
            # Damage may come to light as late as here, and take with it what is in hand.
            assert spool.deliver(claimed, 1000.0) or spool.set_aside
            served.append(claimed.key)
        assert spool.next_due() is None
    assert len(set(served)) == len(served)
    assert "new" in served
    return len(served) - 1


@pytest.mark.parametrize("length", [4096, 64, 16, 100], ids=["page", "header", "magic", "100"])
def test_a_garbage_header_costs_no_entry(tmp_path: Path, length: int) -> None:
    directory = tmp_path / "spool"
    with_entries(directory, 60)
    garbage(directory / "spool.db", 0, length)
    before = (directory / "spool.db").read_bytes()
    with Spool(directory) as spool:
        assert spool.set_aside == str(directory / "spool.db.corrupt-1")
        assert spool.salvaged == 60
        assert all(spool.is_delivered(f"d{index}") for index in range(60))
    assert (directory / "spool.db.corrupt-1").read_bytes() == before
    assert check(directory) == 60


def test_garbage_on_any_page_costs_only_what_is_on_that_page(tmp_path: Path) -> None:
    with_entries(tmp_path / "spool", 24)
    pages = (tmp_path / "spool" / "spool.db").stat().st_size // 4096
    lost = []
    for page in range(pages):
        directory = copy_files(tmp_path / "spool", tmp_path / f"copy{page}")
        garbage(directory / "spool.db", page * 4096, 4096)
        before = (directory / "spool.db").read_bytes()
        with Spool(directory) as spool:
            read_all(spool)
            assert spool.set_aside is None or Path(spool.set_aside).read_bytes() == before
        lost.append(24 - check(directory))
        shutil.rmtree(directory)
    # One page is the root of all entries; every other has a few of them at most, and many have none.
    assert sorted(lost)[-2] < 10
    assert lost.count(0) > 5


@pytest.mark.parametrize("gap_ids", [3, 20_000], ids=["from both ends", "and between"])
def test_only_what_is_on_a_damaged_page_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gap_ids: int
) -> None:
    """With two bad pages, what lies between them is found one by one; else the good ends are."""
    monkeypatch.setattr(salvage, "_GAP_IDS", gap_ids)
    path = tmp_path / "spool" / "spool.db"
    with Spool(tmp_path / "spool") as spool:
        for number in range(1000, 1300):
            keep(spool, f"k{number}")
    content = path.read_bytes()
    names = [f"k{number}" for number in range(1000, 1300)]
    page_of = {name: content.index(body_of(name).encode()) // 4096 for name in names}
    first, second = page_of["k1100"], page_of["k1200"]
    assert len(set(page_of.values())) > 5
    for page in (first, second):
        garbage(path, page * 4096, 4096)
    good = [key for key, page in page_of.items() if page not in (first, second)]
    between = [key for key in good if "k1100" < key < "k1200"]
    with Spool(tmp_path / "spool") as spool:
        assert read_all(spool) == [key for key in good if gap_ids > 3 or key not in between]
        assert between


def read_all(spool: Spool) -> List[str]:
    """Everything, by every way there is to it, so that any damage shows."""
    spool.lanes()
    spool.counts(100.0)
    spool.prune(0.0, 100.0)
    spool.expire(100.0, 50.0)
    return keys(spool)


@pytest.mark.parametrize("keep_bytes", [0, 1, 100, 4096, 5000, 40960, 100_000])
def test_a_truncated_file_is_set_aside_and_read_as_far_as_it_goes(tmp_path: Path, keep_bytes: int) -> None:
    directory = tmp_path / "spool"
    with_entries(directory, 60)
    os.truncate(directory / "spool.db", keep_bytes)
    before = (directory / "spool.db").read_bytes()
    with Spool(directory) as spool:
        found = len(read_all(spool))
        assert spool.salvaged == found
        # To SQLite a file of one byte is as good as none.
        assert spool.set_aside == (str(directory / "spool.db.corrupt-1") if keep_bytes > 1 else None)
    if keep_bytes > 1:
        assert (directory / "spool.db.corrupt-1").read_bytes() == before
    assert check(directory) == found
    assert 0 < found < 60 if keep_bytes >= 100_000 else found == 0


def test_a_file_cut_to_nothing_beside_its_log_loses_nothing_that_is_in_the_log(tmp_path: Path) -> None:
    """SQLite by itself would throw the log away."""
    with Spool(tmp_path / "spool") as spool:
        for index in range(20):
            keep(spool, f"k{index}")
        directory = copy_files(tmp_path / "spool", tmp_path / "copy")
    os.truncate(directory / "spool.db", 0)
    log = (directory / "spool.db-wal").read_bytes()
    with Spool(directory) as spool:
        assert keys(spool) == [f"k{index}" for index in range(20)]
        assert spool.set_aside is not None
        assert Path(spool.set_aside + "-wal").read_bytes() == log


def test_a_damaged_file_keeps_its_log(tmp_path: Path) -> None:
    """What was not yet moved from the log into the file is carried over, and the log is set aside as it was."""
    with_entries(tmp_path / "spool", 20)
    with Spool(tmp_path / "spool") as spool:
        keep(spool, "in the log")
        directory = copy_files(tmp_path / "spool", tmp_path / "copy")
    garbage(directory / "spool.db", 0, 4096)
    log = (directory / "spool.db-wal").read_bytes()
    with Spool(directory) as spool:
        assert len(read_all(spool)) == 21
    assert (directory / "spool.db.corrupt-1-wal").read_bytes() == log


@pytest.mark.parametrize(
    "content", [b"just text\n", b"\x00" * 8192, random.Random(1).randbytes(10_000)], ids=["text", "zeros", "noise"]
)
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "spool" / "spool.db").write_bytes(content)
    with Spool(tmp_path / "spool") as spool:
        assert spool.set_aside is not None
        assert Path(spool.set_aside).read_bytes() == content
        assert spool.salvaged == 0
        keep(spool, "k")


def test_damage_is_noticed_while_the_spool_is_open(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    with_entries(directory, 60)
    with Spool(directory) as spool:
        garbage(directory / "spool.db", 4096, (directory / "spool.db").stat().st_size - 4096)
        assert read_all(spool) == []
        assert spool.set_aside == str(directory / "spool.db.corrupt-1")
        keep(spool, "k")


def test_each_damaged_file_gets_a_name_of_its_own(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    for number in (1, 2, 3):
        with_entries(directory, 1)
        garbage(directory / "spool.db", 0, 20_000)
        with Spool(directory) as spool:
            assert spool.set_aside == str(directory / f"spool.db.corrupt-{number}")
    (directory / "spool.db.corrupt-1").unlink()
    garbage(directory / "spool.db", 0, 20_000)
    with Spool(directory) as spool:
        assert spool.set_aside == str(directory / "spool.db.corrupt-4")


def test_what_is_carried_over_keeps_ids_states_and_leases(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    with Spool(directory) as spool:
        for index in range(5):
            spool.keep(f"k{index}", f"lane {index}", index, "body", now=100.0, kind="Close", attempted_at=50.0)
        spool.drop([2])
        buried = spool.claim(100.0, 50.0, "one", "lane 0")
        held = spool.claim(100.0, 50.0, "two", "lane 3")
        assert buried is not None
        assert held is not None
        spool.bury(buried, "refused", "422", 101.0)
        before = list(spool.entries())
        next_due = spool.next_due()
    garbage(directory / "spool.db", 0, 4096)
    with Spool(directory) as spool:
        assert list(spool.entries()) == before
        assert spool.next_due() == next_due
        assert spool.claim(100.0, 50.0, "three", "lane 3") is None
        assert spool.deliver(held, 102.0)


def test_processes_that_have_the_file_open_go_on_with_the_new_one(tmp_path: Path) -> None:
    """What they acknowledge is in the file that everybody reads, and their closing does not take its log away."""
    directory = tmp_path / "spool"
    with_entries(directory, 10)
    others = [Spool(directory) for _ in range(3)]
    for other in others:
        assert len(keys(other)) == 10
    garbage(directory / "spool.db", 0, 4096)
    with Spool(directory) as finder:
        assert finder.salvaged == 10
        for number, other in enumerate(others):
            keep(other, f"other{number}")
            assert other.set_aside is None
        for other in others:
            other.close()
        copy = copy_files(directory, tmp_path / "copy")
        assert len(keys(finder)) == 13
    with Spool(copy) as crashed:
        assert len(keys(crashed)) == 13


def test_closing_a_file_that_was_replaced_leaves_the_new_log_alone(tmp_path: Path) -> None:
    """SQLite removes the log by its name, which then is the new file's."""
    directory = tmp_path / "spool"
    with_entries(directory, 10)
    idle = Spool(directory)
    garbage(directory / "spool.db", 0, 4096)
    with Spool(directory) as finder:
        keep(finder, "in the new log")
        idle.close()
        assert (directory / "spool.db-wal").stat().st_size > 0
        copy = copy_files(directory, tmp_path / "copy")
    with Spool(copy) as crashed:
        assert "in the new log" in keys(crashed)


def test_a_file_that_is_removed_under_a_process_is_made_again(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    with Spool(directory) as spool:
        keep(spool, "gone")
        shutil.rmtree(directory)
        keep(spool, "k")
        with Spool(directory) as other:
            assert keys(other) == ["k"]


def test_a_keeping_that_meets_a_replacement_is_in_the_new_file(tmp_path: Path) -> None:
    """The file is replaced between the commit and the return."""
    directory = tmp_path / "spool"
    with_entries(directory, 3)
    with Spool(directory) as spool, Spool(directory) as other:
        opened = spool._handle._linked()
        check = opened.check_current

        def replaced_meanwhile() -> None:
            check()
            opened.check_current = check  # type: ignore[method-assign]
            database.set_aside(other._handle._linked())

        opened.check_current = replaced_meanwhile  # type: ignore[method-assign]
        keep(spool, "k")
        with Spool(directory) as reader:
            assert keys(reader) == ["k0", "k1", "k2", "k"]


def test_processes_that_find_the_damage_at_once_set_it_aside_once(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    for _ in range(5):
        shutil.rmtree(directory, ignore_errors=True)
        with_entries(directory, 30)
        garbage(directory / "spool.db", 0, 4096)
        barrier = threading.Barrier(4)
        asides: List[Optional[str]] = []

        def work(number: int, barrier: threading.Barrier = barrier, asides: List[Optional[str]] = asides) -> None:
            barrier.wait(10)
            with Spool(directory) as spool:
                keep(spool, f"new{number}")
                asides.append(spool.set_aside)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [aside for aside in asides if aside] == [str(directory / "spool.db.corrupt-1")]
        with Spool(directory) as spool:
            assert len(keys(spool)) == 34


def test_a_setting_aside_that_is_killed_anywhere_is_completed(tmp_path: Path) -> None:
    """At each call that changes a name or a file, one after the other, until there is none left."""
    with_entries(tmp_path / "whole", 30)
    with Spool(tmp_path / "whole") as spool:
        keep(spool, "in the log")
        copy_files(tmp_path / "whole", tmp_path / "crashed")
    garbage(tmp_path / "crashed" / "spool.db", 0, 4096)
    step, killed = 0, True
    while killed:
        step += 1
        directory = copy_files(tmp_path / "crashed", tmp_path / str(step))
        killed = killed_at(step, directory)
        with Spool(directory) as spool:
            assert len(keys(spool)) == 31, step
            assert spool.waits("lane 3") == 3, step
        assert [path.name for path in directory.iterdir() if "new" in path.name] == [], step
        assert len(list(directory.glob("spool.db.corrupt-*[0-9]"))) == 1, step
    assert step > 10


KEEPER = """
import sys
from alerta_opsgenie.journal import Spool

for index in range(int(sys.argv[3])):
    if index % 5 == 0:
        spool = Spool(sys.argv[1], busy_seconds=60.0)
    key = f"{sys.argv[2]}-{index}"
    assert spool.keep(key, f"lane {index % 7}", index, "body " * 300, now=1.0)
    print(key, flush=True)
    if index % 5 == 4 and index % 10 < 5:
        spool.close()
"""


def test_nothing_acknowledged_is_lost_while_the_file_is_replaced_again_and_again(tmp_path: Path) -> None:
    """Under processes that open it, keep, close it, or leave it open."""
    directory = tmp_path / "spool"
    with_entries(directory, 1)
    keepers = [
        subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(directory), name, "60"], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        for name in "xyz"
    ]
    replaced = 0
    while any(keeper.poll() is None for keeper in keepers):
        with Spool(directory, busy_seconds=60.0) as spool:
            replaced += database.set_aside(spool._handle._linked()) is not None
    acknowledged = [line for keeper in keepers for line in keeper.communicate()[0].split()]
    assert [keeper.returncode for keeper in keepers] == [0, 0, 0]
    assert len(acknowledged) == 180
    assert replaced > 3
    with Spool(directory) as spool:
        assert sorted(keys(spool)) == sorted([*acknowledged, "k0"])
        assert sum(spool.lanes().values()) == 181


def test_a_replacement_that_is_itself_damaged_is_made_anew(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    with_entries(directory, 30)
    garbage(directory / "spool.db", 0, 4096)
    (directory / "spool.db").rename(directory / "spool.db.corrupt-1")
    (directory / "spool.db.new").write_bytes(b"garbage" * 1000)
    with Spool(directory) as spool:
        assert (spool.set_aside, spool.salvaged) == (str(directory / "spool.db.corrupt-1"), 30)
        assert len(keys(spool)) == 30


def killed_at(step: int, directory: Path) -> bool:
    """Whether a process that opens the spool gets to its `step`-th change of a name or a file, and is killed there."""
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
        for module, name in (
            (os, "rename"), (os, "unlink"), (os, "truncate"), (database, "open_private"), (salvage, "open_private"),
            (salvage, "settle"), (salvage, "open_connection"),
        ):
            setattr(module, name, counted(getattr(module, name)))
        Spool(directory).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 77


def test_a_disk_that_breaks_every_file_is_told(tmp_path: Path) -> None:
    """Not tried for ever."""
    with Spool(tmp_path / "spool") as spool, mock.patch.object(
        link.Link, "check_current", side_effect=sqlite3.DatabaseError("database disk image is malformed")
    ):
        assert refusal(lambda: keep(spool, "k")).label == "corrupt"


# --- whatever else a disk may do -------------------------------------------------------------------------------------

DAMAGE = st.tuples(
    st.sampled_from(["spool.db", "spool.db", "spool.db-wal"]), st.floats(0, 1, exclude_max=True),
    st.sampled_from(["flip", "bytes", "zeros", "cut"]), st.binary(min_size=1, max_size=5000),
)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a spool whose process was killed, with entries in the file and in the log."""
    root = tmp_path_factory.mktemp("crashed")
    with_entries(root / "spool", 40)
    with Spool(root / "spool") as spool:
        for number in range(40, 50):
            keep(spool, f"k{number}", size_of(number))
        return copy_files(root / "spool", root / "files")


@settings(max_examples=60, deadline=None)
@given(damages=st.lists(DAMAGE, min_size=1, max_size=3))
def test_no_damage_gives_a_false_entry_or_an_unusable_spool(
    crashed: Path, damages: List[Tuple[str, float, str, bytes]]
) -> None:
    """Entries may be lost with the place they were in, and a header may look like a newer or a foreign one."""
    with tempfile.TemporaryDirectory() as root:
        directory = copy_files(crashed, Path(root, "spool"))
        for name, place, kind, content in damages:
            damage(directory / name, place, kind, content)
        label = ""
        try:
            with Spool(directory) as spool:
                read_all(spool)
            check(directory)
        except SpoolUnavailable as error:
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
