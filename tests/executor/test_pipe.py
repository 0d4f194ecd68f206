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


def test_only_a_pipe_is_written_and_no_link_is_followed(tmp_path: Path, fifo: Path) -> None:
    file, link, link_to_pipe = (tmp_path / name for name in ("file", "link", "link-to-pipe"))
    file.write_text("precious")
    link.symlink_to(file)
    link_to_pipe.symlink_to(fifo)
    for path, why in (
        (file, "JEC's pipe is no pipe of this user"),
        (Path("/dev/null"), "JEC's pipe is no pipe of this user"),
        (link, "JEC's pipe: Too many levels of symbolic links"),
        (link_to_pipe, "JEC's pipe: Too many levels of symbolic links"),
        (tmp_path / "none", "JEC's pipe: No such file or directory"),
        (tmp_path, "JEC's pipe: Is a directory"),
    ):
        assert write_pipe(os.fsencode(path), TEXT) == why
    assert file.read_text() == "precious"
    assert not (tmp_path / "none").exists()


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
