"""The spool on disks that are full, read-only, another user's or remote; and files of other versions and programs."""

import contextlib
import json
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Tuple
from unittest import mock

import pytest

from alerta_opsgenie.journal import Spool, SpoolUnavailable, link, place, tables, try_lock
from tests.support.spool_aids import (
    NOBODY,
    copy_files,
    garbage,
    in_child,
    keep,
    keys,
    kill_me,
    killed_in_child,
    refusal,
    with_entries,
)

pytestmark = pytest.mark.faults

PROJECT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0


def modes(directory: Path) -> List[Tuple[str, int]]:
    return sorted((path.name, stat.S_IMODE(path.stat().st_mode)) for path in directory.iterdir())


# --- who may read it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_directory_and_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    def work() -> List[Tuple[str, int]]:
        os.umask(umask)
        with Spool(tmp_path / "made" / "too" / "spool") as spool:
            keep(spool, "k")
            return modes(tmp_path / "made" / "too" / "spool")

    assert in_child(work) == [
        ("spool.db", 0o600), ("spool.db-shm", 0o600), ("spool.db-wal", 0o600), ("spool.db.lock", 0o600),
    ]
    for made in ("made", "made/too", "made/too/spool"):
        assert stat.S_IMODE((tmp_path / made).stat().st_mode) == 0o700


def test_files_that_were_opened_wider_are_closed_again(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool:
        keep(spool, "k")
        copy = copy_files(tmp_path / "spool", tmp_path / "copy")
    for path in copy.iterdir():
        path.chmod(0o644)
    with Spool(copy) as spool:
        assert keys(spool) == ["k"]
        assert {mode for _, mode in modes(copy)} == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o770])
def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(mode)
    error = refusal(lambda: Spool(tmp_path / "spool"))
    assert (error.label, error.mend) == ("mode", f"chmod 700 {tmp_path / 'spool'}")
    assert list((tmp_path / "spool").iterdir()) == []


def test_another_users_directory_is_refused_with_both_names(tmp_path: Path) -> None:
    directory = Path("/")
    if IS_ROOT:
        directory = tmp_path / "spool"
        directory.mkdir(mode=0o700)
        os.chown(directory, NOBODY, NOBODY)
    error = refusal(lambda: Spool(directory))
    assert error.label == "owner"
    assert ("nobody" if IS_ROOT else "root") in str(error)
    assert "chown -R" in error.mend
    assert refusal(lambda: try_lock(directory, "drainer")).label == "owner"


@pytest.mark.skipif(not IS_ROOT, reason="only root can leave a file of its own in another's directory")
@pytest.mark.parametrize("name", ["spool.db", "spool.db.lock"])
def test_another_users_file_is_refused(tmp_path: Path, name: str) -> None:
    directory = nobodys(tmp_path)
    with_entries(directory, 1, user=NOBODY)
    os.chown(directory / name, 0, 0)
    error = in_child(lambda: refusal(lambda: Spool(directory)), user=NOBODY)
    assert (error.label, "nobody" in error.reason, "ls -la" in error.mend) == ("denied", True, True)


def test_a_file_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    assert refusal(lambda: Spool(tmp_path / "file")).label == "not-a-directory"
    assert refusal(lambda: Spool(tmp_path / "file" / "spool")).label == "not-a-directory"
    assert (tmp_path / "file").read_text() == "not a directory"


def test_a_directory_in_the_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "spool" / "spool.db").mkdir()
    assert refusal(lambda: Spool(tmp_path / "spool")).mend


@pytest.mark.parametrize("there", [True, False])
def test_looking_at_a_spool_that_is_not_there_makes_none(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "spool").mkdir(mode=0o700)
    assert refusal(lambda: Spool(tmp_path / "spool", create=False)).label == "absent"
    assert (tmp_path / "spool").exists() == there
    assert not (tmp_path / "spool" / "spool.db").exists()


def test_a_spool_that_is_there_can_be_looked_at(tmp_path: Path) -> None:
    with_entries(tmp_path / "spool", 3)
    with Spool(tmp_path / "spool", create=False) as spool:
        assert len(keys(spool)) == 3


@pytest.mark.parametrize("name", ["a%20b", "a?b=c", "a#b", "ü", "a b", "\udcff"])
def test_any_directory_name_will_do(tmp_path: Path, name: str) -> None:
    with Spool(tmp_path / name) as spool:
        keep(spool, "k")
    assert list(tmp_path.iterdir()) == [tmp_path / name]
    with sqlite3.connect(tmp_path / name / "spool.db") as connection:
        assert connection.execute("SELECT key FROM entries").fetchall() == [("k",)]
    connection.close()


def test_a_relative_name_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon changes to `/`."""
    monkeypatch.chdir(tmp_path)
    with Spool("spool") as spool:
        monkeypatch.chdir("/")
        keep(spool, "k")
        assert in_child(lambda: keys(spool)) == ["k"]
        assert spool.directory == str(tmp_path / "spool")


# --- where it lies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_system", ["nfs4", "nfs", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_system: str
) -> None:
    """As Linux tells it in /proc/self/mountinfo, by the number of the device."""
    monkeypatch.setattr(place, "MOUNTS", str(mounts(tmp_path, file_system)))
    error = refusal(lambda: Spool(tmp_path / "spool"))
    assert (error.label, file_system in error.reason, "local" in error.mend) == ("network", True, True)
    assert not (tmp_path / "spool" / "spool.db").exists()


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "tmpfs", "overlay", None])
def test_a_local_or_unknown_file_system_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_system: Optional[str]
) -> None:
    listed = tmp_path / "nothing" if file_system is None else mounts(tmp_path, file_system)
    monkeypatch.setattr(place, "MOUNTS", str(listed))
    with Spool(tmp_path / "spool") as spool:
        keep(spool, "k")


def mounts(directory: Path, file_system: str) -> Path:
    device = directory.stat().st_dev
    listed = directory / "mountinfo"
    listed.write_text(
        f"1 0 999:9 / /proc rw shared:1 - proc proc rw\n"
        f"2 1 {os.major(device)}:{os.minor(device)} / {directory} rw,relatime shared:2 - {file_system} h:/x rw\n"
    )
    return listed


# --- full and read-only disks ----------------------------------------------------------------------------------------


def on_small_disk(scenario: Callable[[Path], Any], mount: Path, size: str) -> Any:
    """What `scenario` returns in a process of its own that has a real, small disk at `mount`."""
    work = f"import json, pathlib, sys; from {__name__} import {scenario.__name__} as scenario"
    work += "; print(json.dumps(scenario(pathlib.Path(sys.argv[1]))))"
    script = 'mount -t tmpfs -o "size=$1,mode=755" none "$2"; exec "$3" -c "$4" "$2"'
    mount.mkdir()
    done = subprocess.run(
        [*own_mounts(), "sh", "-ec", script, "sh", size, str(mount), sys.executable, work],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), *filter(None, sys.path)])},
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def own_mounts() -> List[str]:
    """The command before a command that gives it mounts of its own, which end with it."""
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        tried = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if shutil.which("unshare") and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("no small disk to be had: neither as root nor in a user namespace")


def keep_many(spool: Spool, number: int, size: int) -> None:
    for index in range(number):
        keep(spool, f"k{index}", size)


def fill(directory: Path) -> Path:
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast


def drain_while_full(directory: Path) -> Any:
    with Spool(directory / "spool") as spool:
        keep_many(spool, 5, 2000)
        ballast = fill(directory)
        label = refusal(lambda: spool.claim(200.0, 10.0, "test")).label
        waiting = spool.counts(200.0).waiting
        ballast.unlink()
        entry = spool.claim(200.0, 10.0, "test")
        return label, waiting, entry is not None and entry.key, entry is not None and spool.deliver(entry, 200.0)


def test_what_waits_on_a_full_disk_is_not_given_out_half(tmp_path: Path) -> None:
    """A claim that could not be written would let two deliver the same."""
    assert on_small_disk(drain_while_full, tmp_path / "disk", "2m") == ["disk-full", 5, "k0", True]


def keep_until_full(directory: Path) -> Any:
    acknowledged = []
    with Spool(directory / "spool") as spool:
        try:
            for index in range(10_000):
                keep(spool, f"k{index}", 2000)
                acknowledged.append(f"k{index}")
        except SpoolUnavailable as error:
            label, mend = error.label, error.mend
        (directory / "none").write_bytes(b"")
        listed = keys(spool)
    with Spool(directory / "spool") as again:
        return label, mend, acknowledged, listed, keys(again)


def test_a_full_disk_is_told_and_all_that_was_acknowledged_is_there(tmp_path: Path) -> None:
    label, mend, acknowledged, listed, again = on_small_disk(keep_until_full, tmp_path / "disk", "600k")
    assert label == "disk-full"
    assert "df -h" in mend
    assert len(acknowledged) > 10
    assert acknowledged == listed == again


def full_for_a_while(directory: Path) -> Any:
    with Spool(directory / "spool") as spool:
        keep(spool, "before")
        ballast = fill(directory)
        label = refusal(lambda: keep_many(spool, 50, 20_000)).label
        ballast.unlink()
        keep(spool, "after", 20_000)
        return label, keys(spool)


def test_a_spool_goes_on_when_there_is_space_again(tmp_path: Path) -> None:
    label, kept = on_small_disk(full_for_a_while, tmp_path / "disk", "600k")
    assert label == "disk-full"
    assert (kept[0], kept[-1]) == ("before", "after")


def full_before_it_is_made(directory: Path) -> Any:
    ballast = fill(directory)
    errors = [refusal(lambda: Spool(directory / "spool")).label, refusal(lambda: Spool(directory / "spool")).label]
    ballast.unlink()
    with Spool(directory / "spool") as spool:
        keep(spool, "k")
        return errors, keys(spool)


def test_a_disk_that_is_full_from_the_start_is_told(tmp_path: Path) -> None:
    errors, kept = on_small_disk(full_before_it_is_made, tmp_path / "disk", "600k")
    assert errors == ["disk-full", "disk-full"]
    assert kept == ["k"]


def damaged_on_a_full_disk(directory: Path) -> Any:
    with_entries(directory / "spool", 40)
    garbage(directory / "spool" / "spool.db", 0, 4096)
    ballast = fill(directory)
    errors = [refusal(lambda: Spool(directory / "spool")).label for _ in range(2)]
    ballast.unlink()
    with Spool(directory / "spool") as spool:
        return errors, len(keys(spool)), spool.set_aside, spool.salvaged


def test_a_damaged_file_on_a_full_disk_is_carried_over_when_there_is_space(tmp_path: Path) -> None:
    errors, kept, aside, salvaged = on_small_disk(damaged_on_a_full_disk, tmp_path / "disk", "2m")
    assert errors == ["disk-full", "disk-full"]
    assert (kept, salvaged) == (40, 40)
    assert aside.endswith("spool.db.corrupt-1")


def without_room_for_names(directory: Path) -> Any:
    taken = [directory / name for name in "ab"]
    for path in taken:
        path.touch()
    label = refusal(lambda: Spool(directory / "spool")).label
    for path in taken:
        path.unlink()
    subprocess.run(["mount", "-o", "remount,nr_inodes=100", str(directory)], check=True)
    with Spool(directory / "spool") as spool:
        keep(spool, "k")
        return label, keys(spool)


@pytest.mark.skipif(not IS_ROOT, reason="only root may change a disk's number of files")
@pytest.mark.parametrize("left", [0, 1, 2, 3, 4])
def test_a_disk_that_can_have_no_more_files_is_told(tmp_path: Path, left: int) -> None:
    """A spool takes five: its directory, the guard, the file, its log and its index."""
    size = f"2m,nr_inodes={3 + left}"
    assert on_small_disk(without_room_for_names, tmp_path / "disk", size) == ["disk-full", ["k"]]


def read_only_for_a_while(directory: Path) -> Any:
    with Spool(directory / "spool") as spool:
        keep(spool, "before")
    subprocess.run(["mount", "-o", "remount,bind,ro", str(directory)], check=True)
    errors = [
        refusal(lambda: Spool(directory / "spool")).label,
        refusal(lambda: try_lock(directory / "other", "drainer")).label,
    ]
    subprocess.run(["mount", "-o", "remount,bind,rw", str(directory)], check=True)
    with Spool(directory / "spool") as spool:
        keep(spool, "after")
        return errors, keys(spool)


def test_a_read_only_disk_is_told(tmp_path: Path) -> None:
    errors, kept = on_small_disk(read_only_for_a_while, tmp_path / "disk", "2m")
    assert errors == ["read-only", "read-only"]
    assert kept == ["before", "after"]


def test_a_limit_on_the_files_size_is_told(tmp_path: Path) -> None:
    """A quota that needs no root: the kernel refuses the write."""

    def work() -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        with Spool(tmp_path / "spool") as spool:
            error = refusal(lambda: keep_many(spool, 1000, 2000))
            return error.label, error.mend, keys(spool)

    label, mend, kept = in_child(work)
    assert (label, "ulimit" in mend) == ("io", True)
    with Spool(tmp_path / "spool") as spool:
        assert keys(spool) == kept
        assert len(kept) > 3


def nobodys(tmp_path: Path) -> Path:
    """A place where a user other than root may make a spool."""
    root = Path(os.path.realpath(f"/var/tmp/{tmp_path.parent.name}-{tmp_path.name}"))
    root.mkdir(mode=0o755)
    directory = root / "spool"
    directory.mkdir(mode=0o700)
    if IS_ROOT:
        os.chown(directory, NOBODY, NOBODY)
    return directory


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Any:
    yield
    shutil.rmtree(f"/var/tmp/{tmp_path.parent.name}-{tmp_path.name}", ignore_errors=True)


def test_a_directory_without_write_permission_is_told(tmp_path: Path) -> None:
    directory = nobodys(tmp_path)
    with_entries(directory, 1, user=NOBODY if IS_ROOT else None)
    directory.chmod(0o500)
    error = in_child(lambda: refusal(lambda: Spool(directory)), user=NOBODY if IS_ROOT else None)
    assert (error.label, "cannot be written by" in error.reason) == ("denied", True)
    directory.chmod(0o700)


def test_a_parent_without_write_permission_is_told(tmp_path: Path) -> None:
    directory = nobodys(tmp_path)
    directory.chmod(0o500)
    error = in_child(lambda: refusal(lambda: Spool(directory / "a" / "b")), user=NOBODY if IS_ROOT else None)
    assert error.label == "denied"
    assert str(directory) in error.mend
    directory.chmod(0o700)


# --- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
def test_a_newer_file_is_refused_and_stays_as_it_is(tmp_path: Path, crashed: bool) -> None:
    with_entries(tmp_path / "spool", 2)
    directory = tmp_path / "spool"
    with Spool(directory) as spool:
        spool._handle._linked().connection.execute("PRAGMA user_version = 99")
        if crashed:
            directory = copy_files(directory, tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in directory.iterdir() if path.name in ("spool.db", "spool.db-wal")}
    assert len(before) == 1 + crashed
    error = refusal(lambda: Spool(directory))
    assert (error.label, "99" in error.reason, "upgrade" in error.mend) == ("newer", True, True)
    assert {name: (directory / name).read_bytes() for name in before} == before


def test_a_file_that_is_upgraded_while_it_is_open_is_not_written_any_more(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool, Spool(tmp_path / "spool") as upgrader:
        keep(spool, "before")
        upgrader._handle._linked().connection.execute("PRAGMA user_version = 99")
        assert refusal(lambda: keep(spool, "after")).label == "newer"
        assert keys(spool) == ["before"]


def test_an_older_file_is_migrated_with_all_that_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_entries(tmp_path / "spool", 5)
    newer = (*tables.MIGRATIONS, ("ALTER TABLE entries ADD COLUMN extra TEXT", "CREATE TABLE more (x)"))
    monkeypatch.setattr(link, "MIGRATIONS", newer)
    for _ in range(2):
        with Spool(tmp_path / "spool") as spool:
            connection = spool._handle._linked().connection
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)
            assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)
            assert len(keys(spool)) == 5


def test_a_migration_that_is_killed_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_entries(tmp_path / "spool", 5)
    monkeypatch.setattr(link, "MIGRATIONS", (*tables.MIGRATIONS, ("CREATE TABLE more (x)", "CREATE TABLE yet (x)")))

    def killed_between() -> None:
        def script() -> Iterator[str]:
            yield "CREATE TABLE more (x)"
            kill_me()

        with mock.patch.object(link, "MIGRATIONS", (*tables.MIGRATIONS, script())):
            Spool(tmp_path / "spool")

    killed_in_child(killed_between)
    with Spool(tmp_path / "spool") as spool:
        assert len(keys(spool)) == 5
        assert spool._handle._linked().connection.execute("SELECT count(*) FROM yet").fetchone() == (0,)


def test_another_programs_file_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(mode=0o700)
    path = tmp_path / "spool" / "spool.db"
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    before = path.read_bytes()
    error = refusal(lambda: Spool(tmp_path / "spool"))
    assert (error.label, "of its own" in error.mend) == ("foreign", True)
    assert path.read_bytes() == before
