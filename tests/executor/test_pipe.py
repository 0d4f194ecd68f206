"""JEC's pipe: written where it is one and somebody reads it, and never waited for."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from alerta_opsgenie.executor.pipe import LARGEST_RESULT_BYTES, write_result

RESULT = {"outcome": "applied", "reason": "done", "action": "Acknowledge", "detail": ""}


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "jecCallbackPipe-1"
    os.mkfifo(path)
    return path


def test_a_reader_gets_the_outcome_as_json(fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert write_result(str(fifo), RESULT) == ""
    assert json.loads(os.read(reader, 65536)) == RESULT
    assert os.read(reader, 65536) == b"", "the pipe is closed again, by which JEC knows that it is all"
    os.close(reader)


def test_a_pipe_that_nobody_reads_is_left_alone_at_once(fifo: Path) -> None:
    began = time.monotonic()
    assert write_result(str(fifo), RESULT) == "nobody reads JEC's pipe"
    assert time.monotonic() - began < 5


def test_a_full_pipe_is_not_waited_for(fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    filler = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(filler, b"x" * 4096)
    assert write_result(str(fifo), RESULT).startswith("JEC's pipe: Resource temporarily unavailable")
    os.close(filler)
    os.close(reader)


def test_a_regular_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    assert write_result(str(path), RESULT) == "what JEC names as its pipe is none"
    assert path.read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path, fifo: Path) -> None:
    target = tmp_path / "file"
    target.write_text("precious")
    for number, aim in enumerate((target, fifo)):
        link = tmp_path / f"link-{number}"
        link.symlink_to(aim)
        assert write_result(str(link), RESULT).startswith("JEC's pipe: ")
    assert target.read_text() == "precious"


def test_a_missing_path_makes_no_file(tmp_path: Path) -> None:
    assert write_result(str(tmp_path / "none"), RESULT) == "JEC's pipe: No such file or directory"
    assert write_result(str(tmp_path / "no" / "where"), RESULT) == "JEC's pipe: No such file or directory"
    assert write_result(str(tmp_path), RESULT) == "JEC's pipe: Is a directory"
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_not_written() -> None:
    assert Path("/dev/null").is_char_device()
    assert write_result("/dev/null", RESULT) == "what JEC names as its pipe is none"


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f525", '"', "\\"])
@pytest.mark.parametrize("field", ["detail", "action"])
def test_it_is_never_more_than_one_whole_write_and_always_json(fifo: Path, field: str, letter: str) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert write_result(str(fifo), {**RESULT, field: letter * 5000}) == ""
    data = os.read(reader, 65536)
    os.close(reader)
    assert len(data) <= LARGEST_RESULT_BYTES == 4096
    read = json.loads(data)
    assert read["outcome"] == "applied"
    assert read[field] == letter * len(read[field]) != ""
