"""JEC's pipe: written only if it is a pipe, and without blocking."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from alerta_opsgenie.agent.executor_output import LARGEST_PIPE_BYTES, result_fields
from alerta_opsgenie.agent.handover import write_pipe
from alerta_opsgenie.agent.options import Options
from alerta_opsgenie.agent.ticket import Result
from alerta_opsgenie.core.outcome import Kind, Outcome, Reason

RESULT = {"outcome": "applied", "reason": "done", "action": "Acknowledge", "detail": ""}
TEXT = json.dumps(RESULT).encode()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "jecCallbackPipe-1"
    os.mkfifo(path)
    return path


def test_a_reader_gets_the_outcome_as_json(fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert write_pipe(os.fsencode(fifo), TEXT) == ""
    assert json.loads(os.read(reader, 65536)) == RESULT
    assert os.read(reader, 65536) == b"", "the pipe is closed again, so that JEC reads the end of the file"
    os.close(reader)


def test_a_full_pipe_does_not_block(fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    filler = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(filler, b"x" * 4096)
    assert write_pipe(os.fsencode(fifo), TEXT).startswith("JEC's pipe: Resource temporarily unavailable")
    os.close(filler)
    os.close(reader)


def test_a_regular_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    assert write_pipe(os.fsencode(path), TEXT) == "JEC's pipe is no pipe of this user"
    assert path.read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path, fifo: Path) -> None:
    target = tmp_path / "file"
    target.write_text("precious")
    for number, aim in enumerate((target, fifo)):
        link = tmp_path / f"link-{number}"
        link.symlink_to(aim)
        assert write_pipe(os.fsencode(link), TEXT).startswith("JEC's pipe: ")
    assert target.read_text() == "precious"


def test_a_missing_path_makes_no_file_and_a_device_is_not_written(tmp_path: Path) -> None:
    assert write_pipe(os.fsencode(tmp_path / "none"), TEXT) == "JEC's pipe: No such file or directory"
    assert write_pipe(os.fsencode(tmp_path), TEXT) == "JEC's pipe: Is a directory"
    assert list(tmp_path.iterdir()) == []
    assert write_pipe(b"/dev/null", TEXT) == "JEC's pipe is no pipe of this user"


@pytest.mark.parametrize("letter", ["x", "\U0001f525", "\\"])
def test_it_fits_into_one_atomic_write_and_is_json(letter: str) -> None:
    outcome = Outcome(Kind.REJECTED, Reason.REFUSED, letter * 5000)
    text = result_fields(Options("http://x", "k" * 20, pipe="/pipe"), Result(None, outcome), 0.1)[-1].decode()
    assert len(text.encode()) <= LARGEST_PIPE_BYTES == 4096
    read = json.loads(text)
    assert read["outcome"] == "rejected"
    assert read["detail"] == letter * len(read["detail"]) != ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's pipe")
def test_another_users_pipe_is_not_written(fifo: Path) -> None:
    os.chown(fifo, 65534, 65534)
    fifo.chmod(0o666)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    child = os.fork()
    if not child:
        os.setuid(65533)
        os._exit(0 if "no pipe of this user" in write_pipe(os.fsencode(fifo), TEXT) or not os.access(fifo, 2) else 1)
    assert os.waitpid(child, 0)[1] == 0
    with contextlib.suppress(BlockingIOError):
        assert os.read(reader, 100) == b""
    os.close(reader)
