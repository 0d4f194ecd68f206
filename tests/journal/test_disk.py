"""Disks that are full, read-only, another user's or remote; power cuts; files of other versions and programs."""

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple
from unittest import mock

import pytest

from alerta_opsgenie.journal import Journal, JournalError, New, directory, file, tables, try_lock
from tests.journal.aids import (
    DONE,
    NOBODY,
    append,
    at_once,
    copy_files,
    garbage,
    in_child,
    keys,
    kill_me,
    killed_in_child,
    new,
    refusal,
    with_actions,
)

pytestmark = pytest.mark.faults

PROJECT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0


def used(path: Path) -> None:
    """Use a journal once."""
    with Journal(path) as journal:
        append(journal, "k")


def modes(path: Path) -> List[Tuple[str, int]]:
    return sorted((found.name, stat.S_IMODE(found.stat().st_mode)) for found in path.iterdir())


# -- Who may use it


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_directory_and_files_are_private_with_any_umask(tmp_path: Path, umask: int) -> None:
    def work() -> List[Tuple[str, int]]:
        os.umask(umask)
        with Journal(tmp_path / "made" / "journal") as journal:
            append(journal, "k")
            return modes(tmp_path / "made" / "journal")

    assert in_child(work) == [
        ("journal.db", 0o600), ("journal.db-shm", 0o600), ("journal.db-wal", 0o600), ("journal.db.lock", 0o600),
    ]  # fmt: skip
    for made in ("made", "made/journal"):
        assert stat.S_IMODE((tmp_path / made).stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_directory_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "journal"
    path.mkdir()
    path.chmod(mode)
    for work in (lambda: used(path), lambda: try_lock(path, "agent")):
        error = refusal(work)
        assert (error.label, error.advice) == ("owner", f"chmod 700 {path}")
    assert list(path.iterdir()) == []


def test_another_users_directory_is_refused_without_advice_to_change_it(tmp_path: Path) -> None:
    path = Path("/")
    if IS_ROOT:
        path = tmp_path / "journal"
        path.mkdir(mode=0o700)
        os.chown(path, NOBODY, NOBODY)
    for work in (lambda: used(path), lambda: try_lock(path, "agent")):
        error = refusal(work)
        assert error.label == "owner"
        assert ("nobody" if IS_ROOT else "root") in error.reason
        assert "chmod" not in error.advice
        assert "chown" not in error.advice


def test_a_symbolic_link_is_refused_only_at_the_end_of_the_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for work in (lambda: used(tmp_path / "link"), lambda: try_lock(tmp_path / "link", "agent")):
        assert refusal(work).label == "io"
    assert list((tmp_path / "real").iterdir()) == []
    used(tmp_path / "link" / "journal")


@pytest.mark.parametrize("name", ["journal.db", "journal.db.lock", "journal.db-wal"])
def test_a_symbolic_link_in_a_files_place_is_refused(tmp_path: Path, name: str) -> None:
    used(tmp_path / "journal")
    (tmp_path / "other").write_text("mine")
    (tmp_path / "journal" / name).unlink(missing_ok=True)
    (tmp_path / "journal" / name).symlink_to(tmp_path / "other")
    assert refusal(lambda: used(tmp_path / "journal")).label in ("io", "owner")
    assert (tmp_path / "other").read_text() == "mine"


@pytest.mark.skipif(not IS_ROOT, reason="only root can give a file away")
def test_another_users_file_is_refused(tmp_path: Path) -> None:
    used(tmp_path / "journal")
    os.chown(tmp_path / "journal" / "journal.db", NOBODY, NOBODY)
    assert refusal(lambda: used(tmp_path / "journal")).label == "owner"


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    for path in (tmp_path / "file", tmp_path / "file" / "journal"):
        assert "Not a directory" in refusal(lambda path=path: used(path)).reason  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a%20b?c=d#e f", "ü", "\udcff"])
def test_any_directory_name_will_do(tmp_path: Path, name: str) -> None:
    used(tmp_path / name)
    assert list(tmp_path.iterdir()) == [tmp_path / name]
    with Journal(tmp_path / name) as journal:
        assert keys(journal) == ["k"]


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mounts"
    mounts.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / /x rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(directory, "MOUNTS", str(mounts))
    error = refusal(lambda: used(tmp_path / "journal"))
    assert (error.label, "nfs4" in error.reason) == ("network", True)


# -- Small and broken disks


def own_mounts() -> List[str]:
    """The prefix that runs a command with private mounts, which end with it."""
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        tried = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if shutil.which("unshare") and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("no small disk to be had: neither as root nor in a user namespace")


def on_small_disk(work: Callable[[Path], Any], place: Path, options: str) -> Any:
    """Return the result of a function of this module, run in a process with a small tmpfs at `place`."""
    place.mkdir()
    script = (
        "import json, sys; from pathlib import Path; place, name, paths = json.loads(sys.argv[1]);"
        "sys.path[:0] = paths; from tests.journal import test_disk;"
        "print(json.dumps(getattr(test_disk, name)(Path(place))))"
    )
    mount = f'mount -t tmpfs -o size={options} none "$1" && shift && exec "$@"'
    arguments = json.dumps([str(place), work.__name__, [str(PROJECT), *filter(None, sys.path)]])
    done = subprocess.run(
        [*own_mounts(), "sh", "-c", mount, "sh", str(place), sys.executable, "-c", script, arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fill(path: Path) -> Path:
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as opened, contextlib.suppress(OSError):
        while True:
            opened.write(b"x" * 4096)
    return ballast


def deliver_while_full(path: Path) -> Any:
    """A claim is all or nothing."""
    with Journal(path / "journal") as journal:
        for number in range(5):
            append(journal, f"k{number}", f"a{number}", body="x" * 2000)
        ballast = fill(path)
        label = refusal(lambda: [journal.claim(200.0, 1, 1e3) for _ in range(1000)]).label
        counts = journal.counts(200.0)
        ballast.unlink()
        journal.recover(200.0)
        return [label, counts.waiting + counts.in_flight, len(journal.claim(200.0, 9, 1e3))] == ["io", 5, 5]


def append_until_full(path: Path) -> Any:
    """All accepted actions are there, and the advice fits."""
    accepted: List[str] = []
    with Journal(path / "journal") as journal:
        error = refusal(lambda: accepted.extend(append(journal, f"k{n}", body="x" * 2000).key for n in range(9999)))
        listed = keys(journal)
    with Journal(path / "journal") as again:
        is_reported = "full" in error.reason and "make room" in error.advice
        return is_reported and len(accepted) > 10 and accepted == listed == keys(again)


def full_for_a_while(path: Path) -> Any:
    """It works again when there is space, and no change is partial."""
    with Journal(path / "journal") as journal:
        append(journal, "before")
        ballast = fill(path)
        big = [new(f"k{number}", body="x" * 20_000) for number in range(50)]
        label = refusal(lambda: journal.append(big, 100.0)).label
        ballast.unlink()
        append(journal, "after", body="x" * 20_000)
        return [label, keys(journal)] == ["io", ["before", "after"]]


def big_and_small(path: Path) -> Any:
    """If two threads share a transaction and the action of one does not fit, that of the other is stored."""
    results: List[str] = []

    def work(key: str, size: int) -> None:
        try:
            append(journal, key, body="x" * size)
            results.append(key)
        except JournalError as error:
            results.append(error.label)

    with Journal(path / "journal") as journal:
        append(journal, "before")
        at_once(journal, partial(work, "big", 2_000_000), partial(work, "small", 10))
        return [sorted(results), keys(journal)] == [["io", "small"], ["before", "small"]]


def damaged_on_a_full_disk(path: Path) -> Any:
    """The rows of a damaged file are copied when there is space."""
    with_actions(path / "journal", 40)
    garbage(path / "journal" / "journal.db", 0, 4096)
    ballast = fill(path)
    errors = [refusal(lambda: used(path / "journal")).label for _ in range(2)]
    ballast.unlink()
    with Journal(path / "journal") as journal:
        return [errors, len(keys(journal)), journal.carried_over] == [["io"] * 2, 40 + DONE, 40 + DONE]


def read_only_for_a_while(path: Path) -> Any:
    """A read-only disk is reported, and used when it is writable again."""
    used(path / "journal")
    subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
    errors = [refusal(work).label for work in (lambda: used(path / "journal"), lambda: try_lock(path / "x", "agent"))]
    subprocess.run(["mount", "-o", "remount,bind,rw", str(path)], check=True)
    with Journal(path / "journal") as journal:
        append(journal, "after")
        return [errors, keys(journal)] == [["io"] * 2, ["k", "after"]]


def full_before_it_is_made(path: Path) -> Any:
    """A disk that is full from the start is reported, and used when it has space."""
    ballast = fill(path)
    errors = [refusal(lambda: used(path / "journal")) for _ in range(2)]
    ballast.unlink()
    used(path / "journal")
    return [(error.label, "space" in f"{error}" or "full" in f"{error}") for error in errors] == [("io", True)] * 2


@pytest.mark.parametrize(("work", "size"), [
    (deliver_while_full, "2m"), (append_until_full, "600k"), (full_for_a_while, "600k"), (big_and_small, "1m"),
    (damaged_on_a_full_disk, "4m"), (read_only_for_a_while, "2m"), (full_before_it_is_made, "600k"),
])  # fmt: skip
def test_a_small_disk_loses_nothing_and_is_reported(tmp_path: Path, work: Callable[[Path], Any], size: str) -> None:
    """The docstring of each function has its claim."""
    assert on_small_disk(work, tmp_path / "disk", size) is True


# -- Power cuts

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN; 2: nothing more reaches the disk, not even the file system's own journal
_NO_FLUSH = (2).to_bytes(4, "little")


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """A file system on a loop device; each call cuts the power, if it is on, and mounts a copy of the disk.

    A copy, because the mount namespace of another test may keep the old file system alive on its loop device.
    """
    image, place = tmp_path / "image", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as opened:
        opened.truncate(32 << 20)
    made = shutil.which("mkfs.ext4") and subprocess.run(["mkfs.ext4", "-q", image], check=False).returncode == 0
    mount = ["mount", "-o", "loop", str(image), str(place)]
    if not made or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no loop device with ext4 to be had here")

    def again() -> Path:
        copy = tmp_path / f"image-{time.time_ns()}"
        subprocess.run(["umount", "-l", place], check=True)
        shutil.copy(image, copy)
        copy.replace(image)
        subprocess.run(mount, check=True)
        return place

    try:
        yield again
    finally:
        subprocess.run(["umount", "-l", place], check=False)


CUT = """
import sys
from alerta_opsgenie.journal import Journal, New

journal = Journal(sys.argv[1])
number = 0
while True:
    keys = [f"k{number + part}" for part in range(3)]
    journal.append([New(key, f"a{number % 7}", number, "Close", "body " * 200) for key in keys], 1.0)
    print(*keys, flush=True)
    number += 3
"""


@pytest.mark.parametrize("batches", [1, 40])
def test_appended_actions_survive_a_power_cut(ext4: Callable[[], Path], batches: int) -> None:
    place = ext4()
    with subprocess.Popen(
        [sys.executable, "-c", CUT, str(place / "journal")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as appender:
        assert appender.stdout is not None
        accepted = [key for _ in range(batches) for key in appender.stdout.readline().split()]
        # Stop the process first: this ioctl lets a running fsync return as if it had succeeded.
        appender.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, appender.pid, os.WSTOPPED)
        descriptor = os.open(place, os.O_RDONLY)
        fcntl.ioctl(descriptor, _SHUTDOWN, _NO_FLUSH)
        os.close(descriptor)
        appender.kill()
        accepted += appender.stdout.read().split()
    with Journal(ext4() / "journal") as journal:
        there = keys(journal)
        assert journal.set_aside == ""
    assert there[: len(accepted)] == accepted
    assert len(there) % 3 == 0
    assert len(accepted) >= 3 * batches


# -- Versions


def test_a_newer_file_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    used(tmp_path / "journal")
    with Journal(tmp_path / "journal") as journal:
        journal._writer.read(lambda connection: connection.execute("PRAGMA user_version = 99"))
    before = (tmp_path / "journal" / "journal.db").read_bytes()
    error = refusal(lambda: used(tmp_path / "journal"))
    assert (error.label, "99" in error.reason, "upgrade" in error.advice) == ("newer", True, True)
    assert (tmp_path / "journal" / "journal.db").read_bytes() == before


def test_a_file_that_is_upgraded_while_it_is_open_is_not_written_any_more(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal, Journal(tmp_path / "journal") as upgrader:
        append(journal, "before")
        upgrader._writer.read(lambda connection: connection.execute("PRAGMA user_version = 99"))
        assert refusal(lambda: append(journal, "after")).label == "newer"


def test_tables_changed_by_a_newer_version_are_no_damage(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal, Journal(tmp_path / "journal") as upgrader:
        append(journal, "k")
        for change in ("ALTER TABLE actions RENAME COLUMN alert TO subject", "PRAGMA user_version = 99"):
            upgrader._writer.read(lambda connection, change=change: connection.execute(change))  # type: ignore[misc]
        assert refusal(lambda: keys(journal)).label == "newer"
        assert journal.set_aside == ""


def test_an_older_file_is_migrated_with_all_that_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_actions(tmp_path / "journal", 5)
    newer = (*tables.MIGRATIONS, ("ALTER TABLE actions ADD COLUMN extra TEXT", "CREATE TABLE more (x)"))
    monkeypatch.setattr(file, "MIGRATIONS", newer)
    for _ in range(2):
        with Journal(tmp_path / "journal") as journal:
            assert len(keys(journal)) == 5 + DONE
            assert journal._writer.read(lambda connection: connection.execute("SELECT * FROM more").fetchall()) == []


def test_another_programs_file_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(mode=0o700)
    path = tmp_path / "journal" / "journal.db"
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    before = path.read_bytes()
    error = refusal(lambda: used(tmp_path / "journal"))
    assert (error.label, "of its own" in error.advice) == ("foreign", True)
    assert path.read_bytes() == before


def test_files_that_were_opened_wider_are_closed_again(tmp_path: Path) -> None:
    used(tmp_path / "journal")
    (tmp_path / "journal" / "journal.db").chmod(0o644)
    with Journal(tmp_path / "journal") as journal:
        assert keys(journal) == ["k"]
        assert {mode for _, mode in modes(tmp_path / "journal")} == {0o600}


def test_nothing_is_created_before_the_first_use(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").close()
    assert list(tmp_path.iterdir()) == []


def test_a_limit_on_the_files_size_is_reported(tmp_path: Path) -> None:
    """A quota that needs no root: the kernel refuses the write."""

    def work() -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        with Journal(tmp_path / "journal") as journal:
            error = refusal(lambda: [append(journal, f"k{number}", body="x" * 2000) for number in range(1000)])
            return error.label, error.advice, keys(journal)

    label, advice, kept = in_child(work)
    assert (label, "ulimit" in advice) == ("io", True)
    with Journal(tmp_path / "journal") as journal:
        assert keys(journal) == kept
        assert len(kept) > 3


@pytest.mark.parametrize("text", ["database is locked", "database or disk is full", "disk I/O error"])
def test_a_file_that_could_not_be_made_ready_is_made_ready_at_the_next_use(tmp_path: Path, text: str) -> None:
    with_actions(tmp_path / "journal", 3)
    with Journal(tmp_path / "journal", busy_seconds=0.0) as journal:
        with mock.patch.object(file, "prepare", side_effect=sqlite3.OperationalError(text)):
            refusal(lambda: keys(journal))
        assert journal._writer.read(lambda found: found.execute("PRAGMA synchronous").fetchone()) == (2,)
        assert (len(keys(journal)), journal.set_aside) == (3 + DONE, "")
        assert journal._writer.read(lambda found: found.execute("PRAGMA busy_timeout").fetchone()) == (3,)


def test_a_directory_that_cannot_be_used_costs_no_descriptors(tmp_path: Path) -> None:
    (tmp_path / "journal" / "journal.db.lock").mkdir(parents=True)
    (tmp_path / "journal").chmod(0o700)
    with Journal(tmp_path / "journal") as journal:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            refusal(lambda: keys(journal))
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_migration_that_is_killed_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_actions(tmp_path / "journal", 5)

    def killed_between() -> None:
        def script() -> Iterator[str]:
            yield "CREATE TABLE more (x)"
            kill_me()

        with mock.patch.object(file, "MIGRATIONS", (*tables.MIGRATIONS, script())):
            used(tmp_path / "journal")

    killed_in_child(killed_between)
    monkeypatch.setattr(file, "MIGRATIONS", (*tables.MIGRATIONS, ("CREATE TABLE more (x)",)))
    with Journal(tmp_path / "journal") as journal:
        assert len(keys(journal)) == 5 + DONE


def test_a_copy_of_the_files_is_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.append([New("k", "a", 0, "Close", "body")], 100.0)
        copy = copy_files(tmp_path / "journal", tmp_path / "copy")
    with Journal(copy) as copied:
        assert keys(copied) == ["k"]
