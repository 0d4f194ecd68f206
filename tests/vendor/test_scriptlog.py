"""Output files grow, rotate and fail as those of the Go connectors do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from alerta_opsgenie.vendor.scriptlog import OLDEST_FILE_SECONDS, ScriptLogError, ScriptLogs


def test_a_file_is_made_with_its_directories_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out.log"
    ScriptLogs().write(str(path), b"one\n")
    ScriptLogs().write(str(path), b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_would_grow_too_large_is_set_aside_under_its_time(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    logs = ScriptLogs(largest_file_bytes=10)
    logs.write(str(path), b"123456")
    logs.write(str(path), b"7890")
    assert path.read_bytes() == b"1234567890"
    logs.write(str(path), b"x")
    assert path.read_bytes() == b"x"
    (old,) = [entry for entry in tmp_path.iterdir() if entry != path]
    assert old.read_bytes() == b"1234567890"
    assert old.name.startswith("out-20")
    assert old.suffix == ".log"


def test_rotated_files_of_more_than_a_day_are_removed_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    yesterday = time.time() - OLDEST_FILE_SECONDS - 60
    names = {
        "out-2026-01-02T03-04-05.678.log": False,
        "out-2026-01-02T03-04-06.678.log": True,
        "out-2026-01-02.log": True,
        "other-2026-01-02T03-04-05.678.log": True,
    }
    for name in names:
        (tmp_path / name).touch()
        if name != "out-2026-01-02T03-04-06.678.log":
            os.utime(tmp_path / name, (yesterday, yesterday))
    logs = ScriptLogs(largest_file_bytes=1)
    logs.write(str(path), b"1")
    logs.write(str(path), b"2")
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_a_chunk_larger_than_the_limit_still_goes_into_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.touch()
    ScriptLogs(largest_file_bytes=1).write(str(path), b"long")
    assert path.read_bytes() == b"long"


def test_files_that_cannot_be_written_say_so_in_the_loggers_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for path, text in [
        (f"{tmp_path}/file/out.log", "error getting log file info"),
        (f"{tmp_path}/dir", f"can't open new logfile: open {tmp_path}/dir: is a directory"),
        (f"{tmp_path}/fifo", f"can't open new logfile: open {tmp_path}/fifo: no such device or address"),
        ("/proc/nowhere/out.log", "can't make directories for new logfile: mkdir /proc/nowhere"),
        ("/dev/full", "write /dev/full: no space left on device"),
    ]:
        with pytest.raises(ScriptLogError) as caught:
            ScriptLogs().write(path, b"x")
        assert text in str(caught.value)
