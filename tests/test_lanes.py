"""Order and memory between processes: locks, lines and files as another process, alive or killed, finds them."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alerta_opsgenie.lanes import FORGET_AFTER_SECONDS, MOST_BYTES, Desk, Job, Lane, Taken, mend_of
from tests.support.spool_aids import NOBODY, in_child, kill_me, killed_in_child

ALERT = "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"
OTHER = "c7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(str(tmp_path / "state" / "alerta-opsgenie"))
    made.prepare()
    return made


def job(key: str = "k", lane: str = ALERT) -> Job:
    return Job(key, lane, 7, "Acknowledge", '{"a": "b"}', 1751623200.5)


def soon() -> float:
    return time.monotonic() + 0.05


def lane_file(desk: Desk, name: str = ALERT) -> Path:
    return Path(desk.directory) / "lanes" / name[:2] / name


def taken_files(desk: Desk) -> list[Path]:
    return sorted((Path(desk.directory) / "taken").iterdir())


@pytest.fixture
def orphan_of_killed(desk: Desk) -> Callable[[Job], None]:
    """Take a job in a process that is then killed."""
    return lambda work: killed_in_child(lambda: desk.take(work))


class TestDirectory:
    @pytest.fixture
    def open_umask(self) -> Iterator[None]:
        before = os.umask(0)
        yield
        os.umask(before)

    @pytest.mark.usefixtures("open_umask")
    def test_all_of_it_is_the_owners_alone_whatever_the_umask(self, tmp_path: Path) -> None:
        desk = Desk(str(tmp_path / "home" / ".local" / "state" / "alerta-opsgenie"))
        desk.prepare()
        desk.lane(ALERT).record("k", {})
        desk.mark_waiting(waits=True)
        desk.take(job())
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").rglob("*")}
        modes[tmp_path / "home"] = stat.S_IMODE((tmp_path / "home").stat().st_mode)
        assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
        assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}

    def test_many_processes_may_make_it_at_once(self, tmp_path: Path) -> None:
        desk = Desk(str(tmp_path / "a" / "b" / "c"))
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: desk.prepare(), range(32))) == [None] * 32

    @root_only
    def test_one_of_another_user_is_not_used(self, tmp_path: Path) -> None:
        directory = tmp_path / "spool"
        directory.mkdir(mode=0o777)
        os.chown(directory, NOBODY, NOBODY)
        with pytest.raises(PermissionError, match="it belongs to another user") as caught:
            Desk(str(directory)).prepare()
        assert mend_of(caught.value) == "give it to the user that the connector runs as"

    def test_a_file_in_its_place_is_an_error_of_the_system(self, tmp_path: Path) -> None:
        (tmp_path / "spool").write_text("")
        desk = Desk(str(tmp_path / "spool"))
        with pytest.raises(NotADirectoryError):
            desk.prepare()

    def test_each_trouble_has_its_mend(self) -> None:
        assert mend_of(OSError(errno.ENOSPC, "")) == "make room on its file system"
        assert mend_of(OSError(errno.EIO, "")) == "mend it, or name another directory with --spoolDir"
        assert mend_of(OSError("no number")) == "mend it, or name another directory with --spoolDir"


class TestLock:
    def test_a_lane_is_held_by_one_at_a_time(self, desk: Desk) -> None:
        with desk.lane(ALERT).locked(soon()) as first, desk.lane(ALERT).locked(soon()) as second:
            assert (first, second) == (True, False)
        with desk.lane(ALERT).locked(soon()) as third:
            assert third

    def test_another_lane_is_free_meanwhile(self, desk: Desk) -> None:
        with desk.lane(ALERT).locked(soon()), desk.lane(OTHER).locked(0.0) as held:
            assert held

    def test_it_is_given_on_as_soon_as_it_is_free(self, desk: Desk) -> None:
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with desk.lane(ALERT).locked(soon()):
                entered.set()
                leave.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        entered.wait(10)
        threading.Timer(0.02, leave.set).start()
        with desk.lane(ALERT).locked(time.monotonic() + 10) as held:
            assert held
        thread.join()

    def test_a_killed_holder_holds_it_no_longer(self, desk: Desk) -> None:
        killed_in_child(lambda: desk.lane(ALERT)._lock(soon()))
        with desk.lane(ALERT).locked(0.0) as held:
            assert held

    def test_one_that_was_forgotten_between_opening_and_locking_is_made_anew(self, desk: Desk) -> None:
        first, second = desk.lane(ALERT), desk.lane(ALERT)
        with first.locked(soon()):
            lane_file(desk).unlink()
            with second.locked(soon()) as held:
                assert held
                second.record("k", {})
        with desk.lane(ALERT).locked(soon()):
            pass
        assert lane_file(desk).exists()

    def test_deadline_passed_means_one_try(self, desk: Desk) -> None:
        with desk.lane(ALERT).locked(0.0) as held:
            assert held


class TestMemory:
    def reread(self, desk: Desk) -> Lane:
        lane = desk.lane(ALERT)
        lane.read()
        return lane

    def test_a_lane_without_a_file_remembers_nothing(self, desk: Desk) -> None:
        lane = self.reread(desk)
        assert (lane.newest_ns, lane.waits, lane.remembers("k")) == ({}, False, False)
        assert not lane_file(desk).exists()

    def test_what_is_done_is_remembered_with_the_newest_of_each_register(self, desk: Desk) -> None:
        desk.lane(ALERT).record("a", {"state": 5, "owner": 1})
        desk.lane(ALERT).record("b", {"state": 3})
        desk.lane(ALERT).record("note", {})
        lane = self.reread(desk)
        assert lane.newest_ns == {"state": 5, "owner": 1}
        assert [lane.remembers(key) for key in ("a", "b", "note", "c")] == [True, True, True, False]

    def test_what_is_tried_counts_as_written_until_it_has_failed(self, desk: Desk) -> None:
        desk.lane(ALERT).announce("a", {"state": 5})
        assert self.reread(desk).newest_ns == {"state": 5}
        assert not self.reread(desk).remembers("a")
        desk.lane(ALERT).announce("a", {})
        assert self.reread(desk).newest_ns == {}

    def test_what_is_tried_and_then_done_stays_written(self, desk: Desk) -> None:
        desk.lane(ALERT).announce("a", {"state": 5})
        desk.lane(ALERT).record("a", {"state": 5})
        assert self.reread(desk).newest_ns == {"state": 5}
        assert self.reread(desk).remembers("a")

    def test_the_last_word_on_what_waits_counts(self, desk: Desk) -> None:
        for waits in (True, False, True):
            desk.lane(ALERT).mark_waiting(waits=waits)
            assert self.reread(desk).waits is waits

    @pytest.mark.parametrize("cut", range(1, 60, 7))
    def test_a_line_that_a_killed_process_left_unfinished_takes_nothing_along(self, desk: Desk, cut: int) -> None:
        desk.lane(ALERT).record("a", {"state": 5})
        whole = lane_file(desk).read_bytes()
        line = json.dumps({"key": "half", "wrote": {"state": 9}}).encode()[:-1]
        lane_file(desk).write_bytes(whole + b"\n" + line[:cut])
        desk.lane(ALERT).record("b", {"owner": 6})
        lane = self.reread(desk)
        assert lane.newest_ns == {"state": 5, "owner": 6}
        assert [lane.remembers(key) for key in ("a", "b", "half")] == [True, True, False]

    @pytest.mark.parametrize("key", ["r1:Ack", 'a", "b": {:Ack', "}],[{:Ack"])
    def test_such_a_line_never_runs_on_into_the_next_wherever_it_ends(self, desk: Desk, key: str) -> None:
        desk.lane(ALERT).record(key, {"state": 9}, "words", 1.5)
        line = lane_file(desk).read_bytes().strip()
        for cut in range(1, len(line)):
            lane_file(desk).write_bytes(line[:cut])
            desk.lane(ALERT).record("b", {"owner": 6})
            lane = self.reread(desk)
            assert (lane.newest_ns, lane.remembers("b")) == ({"owner": 6}, True), line[:cut]

    @pytest.mark.parametrize(
        "garbage",
        [
            b"\0" * 512,
            b"\xff\xfe",
            b"[1, 2]",
            b"7",
            b'"text"',
            b'{"wrote": 3}',
            b'{"key": {}}',
            b'{"key": 5, "wrote": 7}',
        ],
    )
    def test_what_a_broken_disk_left_there_is_passed_over(self, desk: Desk, garbage: bytes) -> None:
        desk.lane(ALERT).record("a", {"state": 5})
        with lane_file(desk).open("ab") as file:
            file.write(garbage + b"\n")
        assert self.reread(desk).newest_ns == {"state": 5}

    @pytest.mark.parametrize(
        "line", [{"key": "x", "wrote": 3}, {"key": "x", "wrote": {"state": "9"}}, {"tries": "x", "writes": [1]}]
    )
    def test_a_line_of_another_shape_writes_nothing(self, desk: Desk, line: object) -> None:
        desk.lane(ALERT).record("a", {"state": 5})
        with lane_file(desk).open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        assert self.reread(desk).newest_ns == {"state": 5}

    def test_lines_of_many_processes_stay_whole(self, desk: Desk) -> None:
        def add(number: int) -> None:
            for index in range(20):
                desk.lane(ALERT).record(f"{number}-{index}", {"state": index})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(8)))
        lane = self.reread(desk)
        assert all(lane.remembers(f"{number}-{index}") for number in range(8) for index in range(20))


def act(lane: Lane, count: int, first: int = 0) -> None:
    """Do so many actions on an alert."""
    for number in range(first, first + count):
        lane.announce(f"key{number}", {"state": number})
        lane.record(f"key{number}", {"state": number}, "words", float(number))


class TestLength:
    """Each action reads all of its lane's file, and an alert may live for years."""

    @pytest.fixture
    def long(self, desk: Desk) -> Lane:
        """A lane whose next holder writes its file anew."""
        lane = desk.lane(ALERT)
        lane.record("first", {"owner": 7})
        act(lane, 1500)
        lane.mark_waiting(waits=True)
        assert lane_file(desk).stat().st_size > MOST_BYTES
        return lane

    def test_a_file_stays_short_however_many_actions_there_are(self, desk: Desk) -> None:
        for number in range(40):
            with desk.lane(ALERT).locked(soon()):
                act(desk.lane(ALERT), 100, number * 100)
        assert lane_file(desk).stat().st_size < 2 * MOST_BYTES

    def test_the_newest_actions_are_remembered_whole(self, long: Lane) -> None:
        with long.locked(soon()):
            assert all(long.remembers(f"key{number}") for number in range(1460, 1500))
            assert long.count_said("words", 1460.0) == 40
            assert not long.remembers("key5")

    def test_of_what_is_older_the_newest_of_each_register_counts(self, long: Lane) -> None:
        with long.locked(soon()):
            assert long.newest_ns == {"owner": 7, "state": 1499}

    def test_what_was_tried_and_failed_writes_nothing_after_either(self, desk: Desk) -> None:
        lane = desk.lane(ALERT)
        lane.announce("failed", {"owner": 9})
        lane.announce("failed", {})
        act(lane, 1500)
        with lane.locked(soon()):
            assert lane.newest_ns == {"state": 1499}

    def test_what_waits_waits(self, desk: Desk, long: Lane) -> None:
        with long.locked(soon()):
            assert long.waits
        assert lane_file(desk).stat().st_size < MOST_BYTES

    def test_who_waits_for_the_lock_gets_the_new_file(self, desk: Desk, long: Lane) -> None:
        got = []

        def wait() -> None:
            other = desk.lane(ALERT)
            with other.locked(time.monotonic() + 10):
                other.record("from the other", {})
                got.append(other.remembers("key1499"))

        long._lock(soon())
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)  # it has the old file open, and waits
        long._shorten()
        long._unlock()
        thread.join()
        long.read()
        assert (got, long.remembers("from the other")) == ([True], True)

    def test_who_has_written_it_anew_holds_it_still(self, desk: Desk, long: Lane) -> None:
        with long.locked(soon()), desk.lane(ALERT).locked(soon()) as second:
            assert not second

    def test_what_others_add_meanwhile_is_not_lost(
        self, desk: Desk, long: Lane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = os.rename

        def late(before: str, after: str) -> None:
            desk.lane(ALERT).record("meanwhile", {})
            rename(before, after)

        monkeypatch.setattr(os, "rename", late)
        with long.locked(soon()):
            assert long.remembers("meanwhile")

    def test_what_is_added_to_the_file_before_goes_into_the_new_one(
        self, desk: Desk, long: Lane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = desk.lane(ALERT)
        opened = other._open()
        with long.locked(soon()):
            pass
        files = iter([opened])
        original = Lane._open
        monkeypatch.setattr(Lane, "_open", lambda lane: next(files, None) or original(lane))
        other.record("late", {})
        other.read()
        assert other.remembers("late")

    def test_each_mark_counts_whoever_writes_the_file_anew(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("alerta_opsgenie.lanes.MOST_BYTES", 2000)
        monkeypatch.setattr("alerta_opsgenie.lanes.KEPT_LINES", 4)
        ended = threading.Event()

        def grow() -> None:
            while not ended.is_set():
                with desk.lane(ALERT).locked(soon()):
                    act(desk.lane(ALERT), 5)

        threads = [threading.Thread(target=grow) for _ in range(2)]
        for thread in threads:
            thread.start()
        wrong = 0
        for number in range(100):
            desk.lane(ALERT).mark_waiting(waits=number % 2 == 0)
            lane = desk.lane(ALERT)
            with lane.locked(time.monotonic() + 10) as held:
                assert held
                wrong += lane.waits is not (number % 2 == 0)
        ended.set()
        for thread in threads:
            thread.join()
        assert wrong == 0

    def test_a_full_disk_leaves_it_long_and_in_use(
        self, desk: Desk, long: Lane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no room")

        monkeypatch.setattr(os, "rename", full)
        with long.locked(soon()) as held:
            assert (held, long.remembers("key5")) == (True, True)
        assert [path.name for path in lane_file(desk).parent.iterdir()] == [ALERT]

    def test_one_who_is_killed_over_it_leaves_it_as_it_was(self, desk: Desk, long: Lane) -> None:
        def killed() -> None:
            os.rename = kill_me
            long._lock(soon())
            long._shorten()

        killed_in_child(killed)
        with long.locked(soon()) as held:
            assert (held, long.waits, long.remembers("key1499")) == (True, True, True)
        assert [path.name for path in lane_file(desk).parent.iterdir()] == [ALERT]

    def test_one_of_few_long_lines_is_left_alone(self, desk: Desk) -> None:
        lane = desk.lane(ALERT)
        for number in range(20):
            lane.record(f"{number}" * 8000, {})
        before = lane_file(desk).stat()
        with lane.locked(soon()):
            pass
        assert lane_file(desk).stat().st_ino == before.st_ino


class TestTaken:
    def test_it_holds_all_that_is_needed_to_deliver_the_action(
        self, desk: Desk, orphan_of_killed: Callable[[Job], None]
    ) -> None:
        orphan_of_killed(job())
        assert [orphan.job for orphan in desk.orphans()] == [job()]

    def test_while_its_process_lives_it_is_nobody_elses(self, desk: Desk) -> None:
        taken = desk.take(job())
        assert in_child(desk.has_orphans) is False
        assert in_child(lambda: len(taken_files(desk))) == 1
        taken.done()
        assert taken_files(desk) == []

    def test_what_its_process_leaves_is_found(self, desk: Desk) -> None:
        desk.take(job()).leave()
        assert desk.has_orphans()

    def test_those_who_look_do_not_hide_it_from_each_other(
        self, desk: Desk, orphan_of_killed: Callable[[Job], None]
    ) -> None:
        orphan_of_killed(job())
        for first in desk.orphans():
            assert desk.has_orphans(ALERT)
            for second in desk.orphans():
                assert first.is_there
                second.adopted()
            assert not first.is_there
            first.close()
        assert not desk.has_orphans()

    def test_an_adopted_one_is_gone(self, desk: Desk, orphan_of_killed: Callable[[Job], None]) -> None:
        orphan_of_killed(job())
        for orphan in desk.orphans():
            orphan.adopted()
        assert taken_files(desk) == []
        assert not desk.has_orphans()

    def test_one_lanes_orphans_can_be_asked_for(self, desk: Desk, orphan_of_killed: Callable[[Job], None]) -> None:
        orphan_of_killed(job(lane=ALERT))
        assert desk.has_orphans(ALERT)
        assert not desk.has_orphans(OTHER)

    def test_one_that_was_never_finished_is_removed_and_is_no_orphan(self, desk: Desk) -> None:
        (Path(desk.directory) / "taken" / f"{ALERT}.1.1").write_text('{"key": "k", "la')
        assert not desk.has_orphans()
        assert taken_files(desk) == []

    def test_one_that_is_just_being_made_is_left_alone(self, desk: Desk) -> None:
        hidden = Path(desk.directory) / "taken" / f".{ALERT}.1.1"
        hidden.write_text("")
        assert not desk.has_orphans()
        assert hidden.exists()
        os.utime(hidden, (1, 1))
        assert not desk.has_orphans()
        assert not hidden.exists()

    def test_where_it_cannot_be_written_nothing_is_left(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            Taken(str(Path(desk.directory) / "taken"), job())
        assert taken_files(desk) == []


class TestHouse:
    def test_the_mark_says_that_something_may_wait(self, desk: Desk) -> None:
        assert not desk.something_waits
        desk.mark_waiting(waits=False)
        desk.mark_waiting(waits=True)
        desk.mark_waiting(waits=True)
        assert desk.something_waits
        desk.mark_waiting(waits=False)
        assert not desk.something_waits

    def test_lanes_that_nothing_has_used_for_long_are_forgotten(self, desk: Desk) -> None:
        for name in (ALERT, OTHER):
            desk.lane(name).record("k", {})
        old = time.time() - FORGET_AFTER_SECONDS - 1
        os.utime(lane_file(desk, OTHER), (old, old))
        desk.forget(time.time())
        assert lane_file(desk, ALERT).exists()
        assert not lane_file(desk, OTHER).exists()

    def test_one_in_use_is_not_forgotten(self, desk: Desk) -> None:
        desk.lane(ALERT).record("k", {})
        os.utime(lane_file(desk), (1, 1))
        with desk.lane(ALERT).locked(soon()):
            desk.forget(time.time())
            assert lane_file(desk).exists()

    def test_a_stray_file_among_the_lanes_stops_nothing(self, desk: Desk) -> None:
        (Path(desk.directory) / "lanes" / "lost+found").write_text("")
        desk.lane(ALERT).record("k", {})
        os.utime(lane_file(desk), (1, 1))
        desk.forget(time.time())
        assert not lane_file(desk).exists()
