"""JEC's named pipe from both ends."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from alerta_opsgenie.vendor.callback_pipe import LARGEST_CONTEXT_BYTES, CallbackPipe


def write(pipe: CallbackPipe, data: bytes) -> None:
    with Path(pipe.path).open("wb", buffering=0) as file:
        file.write(data)


def test_the_pipe_is_a_fifo_that_a_writer_can_open_without_waiting(tmp_path: Path) -> None:
    pipe = CallbackPipe(str(tmp_path), "m-1")
    pipe.make()
    assert stat.S_ISFIFO(Path(pipe.path).stat().st_mode)
    os.close(os.open(pipe.path, os.O_WRONLY | os.O_NONBLOCK))
    pipe.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_the_context_without_nul_characters_around_it(tmp_path: Path) -> None:
    pipe = CallbackPipe(str(tmp_path), "m-1")
    pipe.make()
    write(pipe, b"\0\0a\0b\0")
    pipe.drain()
    assert pipe.context() == "a\0b"
    assert not Path(pipe.path).exists()


def test_reading_ends_with_the_first_writer_and_the_pipe_goes_with_it(tmp_path: Path) -> None:
    pipe = CallbackPipe(str(tmp_path), "m-1")
    pipe.make()
    write(pipe, b"first")
    assert pipe.read()
    assert not pipe.read()
    assert not Path(pipe.path).exists()
    assert pipe.descriptor is None
    assert not pipe.read()


def test_a_pipe_that_nobody_opened_gives_the_default_and_a_pipe_held_open_gives_nothing(tmp_path: Path) -> None:
    pipe = CallbackPipe(str(tmp_path), "m-1")
    pipe.make()
    pipe.drain()
    assert pipe.context() == "Execution Finished!"
    holder = os.open(pipe.path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(holder, b"half")
    pipe.drain()
    assert pipe.context() == ""
    os.close(holder)
    pipe.remove()


def test_no_more_than_jec_s_buffer_is_kept(tmp_path: Path) -> None:
    pipe = CallbackPipe(str(tmp_path), "m-1")
    pipe.make()
    write(pipe, b"x" * (LARGEST_CONTEXT_BYTES + 10))
    pipe.drain()
    assert pipe.context() == "x" * LARGEST_CONTEXT_BYTES


@pytest.mark.parametrize("message_id", ["../../etc/x", "a/b", "", "x" * 200, "a\0b"])
def test_an_id_from_the_queue_cannot_name_a_path(tmp_path: Path, message_id: str) -> None:
    assert CallbackPipe(str(tmp_path), message_id).path == f"{tmp_path}/jecCallbackPipe-unnamed"


def test_a_pipe_left_from_before_is_used_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jecCallbackPipe-m-1")
    pipe = CallbackPipe(str(tmp_path), "m-1")
    pipe.make()
    write(pipe, b"again")
    pipe.drain()
    assert pipe.context() == "again"


def test_what_is_no_pipe_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jecCallbackPipe-m-1"
    path.write_text("someone's file")
    pipe = CallbackPipe(str(tmp_path), "m-1")
    pipe.make()
    pipe.drain()
    pipe.remove()
    assert pipe.context() == ""
    assert path.read_text() == "someone's file"
