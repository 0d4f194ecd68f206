"""The spool among threads and processes: sharing, forks, roles, kills, and other Pythons."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Iterator, List

import pytest

import alerta_opsgenie
from alerta_opsgenie.journal import Entry, Spool, SpoolUnavailable, try_lock
from tests.support.spool_aids import in_child, kill_me, killed_in_child

SOURCE = str(Path(alerta_opsgenie.__file__).parents[1])


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as opened:
        yield opened


def keep(spool: Spool, key: str, lane: str = "a", order_ns: int = 0) -> None:
    assert spool.keep(key, lane, order_ns, f"body of {key}", now=100.0)


def claim(spool: Spool) -> Entry:
    entry = spool.claim(100.0, 10.0, "test")
    assert entry is not None
    return entry


def keys(spool: Spool) -> List[str]:
    return [entry.key for entry in spool.entries()]


# --- many at once ----------------------------------------------------------------------------------------------------


def test_threads_may_share_one_object(spool: Spool) -> None:
    def work(name: int) -> None:
        for index in range(20):
            keep(spool, f"{name}-{index}", lane=str(name), order_ns=index)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.lanes() == {str(name): 20 for name in range(4)}


def test_two_objects_on_one_directory_see_the_same(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as one, Spool(tmp_path / "spool") as two:
        keep(one, "k")
        held = claim(two)
        assert one.claim(100.0, 10.0, "test") is None
        assert two.deliver(held, 100.0)
        assert one.is_delivered("k")


HAMMER = """
import json, sys
from alerta_opsgenie.journal import Spool

directory, name, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
lanes = [f"{name}-{index}" for index in range(4)]
with Spool(directory, busy_seconds=30.0) as spool, open(f"{directory}/../log", "a", buffering=1) as log:
    for index in range(number):
        assert spool.keep(f"{name}-{index}", lanes[index % 4], index, "body", now=1.0)
        entry = spool.claim(1.0, 1e6, name)
        if entry is not None:
            log.write(json.dumps([entry.lane, entry.order_ns, entry.key]) + "\\n")
            assert spool.deliver(entry, 1.0)
    while spool.counts(1.0).waiting:
        entry = spool.claim(1.0, 1e6, name)
        if entry is not None:
            log.write(json.dumps([entry.lane, entry.order_ns, entry.key]) + "\\n")
            assert spool.deliver(entry, 1.0)
"""


def test_processes_at_once_deliver_each_key_once_and_each_lane_in_order(tmp_path: Path) -> None:
    number = 150
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path / "spool"), name, str(number)],
            env={**os.environ, "PYTHONPATH": SOURCE}, stderr=subprocess.PIPE,
        )
        for name in ("x", "y", "z")
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    delivered = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    keys = [key for _, _, key in delivered]
    assert sorted(keys) == sorted(f"{name}-{index}" for name in "xyz" for index in range(number))
    for lane in {lane for lane, _, _ in delivered}:
        orders = [order for name, order, _ in delivered if name == lane]
        assert orders == sorted(orders)


def test_a_spool_that_another_process_holds_is_waited_for_only_so_long(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool, Spool(tmp_path / "spool", busy_seconds=0.05) as hurried:
        link = spool._handle._linked()
        with link.transaction(), pytest.raises(SpoolUnavailable, match=r"over 0.05 s") as caught:
            hurried.keep("k", "a", 0, "", now=100.0)
        assert caught.value.label == "busy"
        keep(hurried, "k")


def test_nobody_waits_to_look(tmp_path: Path) -> None:
    """A drainer that finds nothing due asks for no lock."""
    with Spool(tmp_path / "spool") as spool, Spool(tmp_path / "spool", busy_seconds=0.0) as looking:
        keep(spool, "k")
        with spool._handle._linked().transaction():
            assert looking.claim(99.0, 10.0, "test") is None
            assert looking.counts(100.0).waiting == 1


# --- forks -----------------------------------------------------------------------------------------------------------


def test_parent_and_forked_child_may_go_on_with_the_same_object(spool: Spool) -> None:
    keep(spool, "before")
    assert in_child(lambda: (spool.keep("child", "a", 0, "", now=100.0), keys(spool))) == (True, ["before", "child"])
    keep(spool, "after")
    assert keys(spool) == ["before", "child", "after"]


def test_a_child_that_is_killed_takes_nothing_with_it(spool: Spool) -> None:
    keep(spool, "before")
    killed_in_child(lambda: keep(spool, "child"))
    keep(spool, "after")
    assert keys(spool) == ["before", "child", "after"]


def test_a_child_that_outlives_its_parent_keeps_its_entries(tmp_path: Path) -> None:
    """SQLite's locks are the parent's; a file left open over a fork would be unguarded once the parent is gone."""

    def parent() -> None:
        spool = Spool(tmp_path / "spool")
        keep(spool, "parent")
        if not os.fork():
            os.read(reader, 1)  # until the parent is gone and another process has opened and closed the file
            keep(spool, "child")
            os.write(done, b".")
            kill_me()
        kill_me()

    reader, writer = os.pipe()
    finished, done = os.pipe()
    killed_in_child(parent)
    with Spool(tmp_path / "spool") as other:
        keep(other, "other")
    os.write(writer, b".")
    assert os.read(finished, 1) == b"."
    with Spool(tmp_path / "spool") as last:
        assert keys(last) == ["parent", "other", "child"]
    for descriptor in (reader, writer, finished, done):
        os.close(descriptor)


def test_a_fork_waits_for_another_threads_transaction(spool: Spool) -> None:
    """A child must never find the file in the middle of one."""
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with spool._handle.mutex, spool._handle._linked().transaction():
            begun.set()
            go_on.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(10)
    threading.Timer(0.05, go_on.set).start()
    assert in_child(lambda: spool.keep("child", "a", 0, "", now=100.0)) is True
    assert go_on.is_set()
    writer.join()


FOREIGN_FORK = """
import ctypes, os, sys
from alerta_opsgenie.journal import Spool, SpoolUnavailable

spool = Spool(sys.argv[1])
if ctypes.PyDLL(None).fork():
    os.wait()
    spool.close()
else:
    for work in (lambda: spool.keep("k", "a", 0, "", now=1.0), lambda: Spool(sys.argv[1])):
        try:
            work()
        except SpoolUnavailable as error:
            print(error.label, error.mend, flush=True)
    os._exit(0)
"""


def test_a_fork_that_python_does_not_see_is_refused_with_the_mend(tmp_path: Path) -> None:
    """As the fork in C by which uWSGI makes its workers."""
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN_FORK, str(tmp_path / "spool")], env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True, text=True, timeout=60, check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("forked") and "lazy-apps" in line for line in lines)


# --- roles -----------------------------------------------------------------------------------------------------------


def test_a_role_has_one_owner(tmp_path: Path) -> None:
    with try_lock(tmp_path / "spool", "drainer") or pytest.fail("nobody has it yet") as lock:
        assert lock.held
        assert try_lock(tmp_path / "spool", "drainer") is None
        assert in_child(lambda: try_lock(tmp_path / "spool", "drainer")) is None
        other = try_lock(tmp_path / "spool", "sender")
        assert other is not None
        other.release()


def test_a_released_role_is_free_and_a_second_release_is_nothing(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "spool", "drainer")
    assert first is not None
    first.release()
    first.release()
    assert not first.held
    second = try_lock(tmp_path / "spool", "drainer")
    assert second is not None
    first.release()
    assert second.held
    assert try_lock(tmp_path / "spool", "drainer") is None
    second.release()


def test_a_killed_owner_leaves_the_role_free(tmp_path: Path) -> None:
    killed_in_child(lambda: try_lock(tmp_path / "spool", "drainer"))
    lock = try_lock(tmp_path / "spool", "drainer")
    assert lock is not None
    lock.release()


def test_a_forked_child_does_not_have_its_parents_role(tmp_path: Path) -> None:
    lock = try_lock(tmp_path / "spool", "drainer")
    assert lock is not None
    assert in_child(lambda: lock.held) is False
    in_child(lock.release)
    assert in_child(lambda: try_lock(tmp_path / "spool", "drainer")) is None
    lock.release()


def test_a_role_does_not_live_on_in_a_killed_owners_children(tmp_path: Path) -> None:
    def owner() -> None:
        started, start = os.pipe()
        assert try_lock(tmp_path / "spool", "drainer")
        if not os.fork():
            os.close(writer)
            os.write(start, b".")
            os.read(reader, 1)  # lives until the test is over
            kill_me()
        os.read(started, 1)

    reader, writer = os.pipe()
    killed_in_child(owner)
    lock = try_lock(tmp_path / "spool", "drainer")
    os.close(writer)
    os.close(reader)
    assert lock is not None
    lock.release()


def test_a_program_that_is_started_does_not_have_its_parents_role(tmp_path: Path) -> None:
    lock = try_lock(tmp_path / "spool", "drainer")
    assert lock is not None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as program:
        lock.release()
        again = try_lock(tmp_path / "spool", "drainer")
        program.communicate(b"\n")
    assert again is not None
    again.release()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "A", "a.b", "spool.db", "x" * 60])
def test_a_roles_name_is_not_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a role"):
        try_lock(tmp_path / "spool", name)
    assert not (tmp_path / "spool").exists()


def test_a_roles_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    def take() -> int:
        os.umask(0)
        lock = try_lock(tmp_path / "spool", "drainer")
        assert lock is not None
        return Path(lock.path).stat().st_mode & 0o777

    assert in_child(take) == 0o600


# --- kills -----------------------------------------------------------------------------------------------------------

WRITER = """
import itertools, sys
from alerta_opsgenie.journal import Spool

spool = Spool(sys.argv[1])
for index in itertools.count():
    key = f"{sys.argv[2]}-{index}"
    assert spool.keep(key, f"lane {index % 5}", index, "body" * 400, now=1.0)
    print(key, flush=True)
"""


def test_whatever_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    acknowledged: List[str] = []
    for life in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "spool"), str(life)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": SOURCE},
        ) as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(3 + 17 * life)]
            writer.kill()
            acknowledged += writer.stdout.read().split()
    with Spool(tmp_path / "spool") as spool:
        kept = keys(spool)
        assert spool.set_aside is None
        assert set(acknowledged) <= set(kept)
        assert len(kept) - len(acknowledged) <= 8  # at most one per life was on the disk but not yet told
        assert sum(spool.lanes().values()) == len(kept)


def test_a_keeping_is_on_the_disk_and_not_only_with_the_kernel(tmp_path: Path) -> None:
    """A power cut cannot be tried here; this is the setting with which SQLite promises to outlive one."""
    with Spool(tmp_path / "spool"):
        pass
    with Spool(tmp_path / "spool") as spool:
        connection = spool._handle._linked().connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


# --- other Pythons ----------------------------------------------------------------------------------------------------

SMOKE = """
import sys
from alerta_opsgenie.journal import Spool, SpoolUnavailable, try_lock

directory = sys.argv[1]
with Spool(directory) as spool:
    assert [spool.keep(f"k{i}", f"lane{i % 2}", -i, "b" * 3000, now=1.0) for i in range(8)] == [True] * 8
    assert not spool.keep("k0", "lane0", 0, "", now=1.0)
    entry = spool.claim(1.0, 10.0, "smoke")
    assert entry.key == "k6" and spool.deliver(entry, 1.0) and not spool.deliver(entry, 1.0)
    assert spool.bury(spool.claim(1.0, 10.0, "smoke", "lane1"), "refused", "", 1.0)
    assert spool.counts(2.0).waiting == 6 and spool.counts(2.0).dead == 1
lock = try_lock(directory, "smoke")
assert lock.held and try_lock(directory, "smoke") is None
with open(directory + "/spool.db", "r+b") as file:
    file.write(b"garbage!" * 512)
with Spool(directory) as spool:
    assert spool.set_aside == directory + "/spool.db.corrupt-1" and spool.salvaged == 7
    assert spool.is_delivered("k6")
try:
    Spool(directory + "/spool.db")
except SpoolUnavailable as error:
    assert error.label == "not-a-directory", error
print("fine")
"""


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_other_pythons_can_use_it_without_a_warning(tmp_path: Path, version: str) -> None:
    script = f"import sys; sys.path.insert(0, {SOURCE!r})\n{SMOKE}"
    done = subprocess.run(
        [other_python(version), "-I", "-W", "error", "-c", script, str(tmp_path / "spool")],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


def other_python(version: str) -> str:
    """A Python of that version that starts: on the PATH, or installed beside the one that runs the tests."""
    name = f"python{version}"
    beside = Path(sys.base_prefix).parent.glob(f"*{version}*/bin/{name}")
    for python in filter(None, [shutil.which(name), *map(str, beside)]):
        if subprocess.run([python, "-c", "import sqlite3"], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"there is no Python {version} here")
