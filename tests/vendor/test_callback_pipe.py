"""JEC's named pipe from both ends."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from alerta_opsgenie.vendor.callback_pipe import LARGEST_CONTEXT_BYTES, CallbackPipe


def context_of(directory: Path, *written: bytes) -> str:
    """Let a script write each text by an open pipe of its own; gives what JEC would pass on."""
    with CallbackPipe(str(directory), "m-1") as pipe:
        for data in written:
            with Path(pipe.path).open("wb", buffering=0) as file:
                file.write(data)
    return pipe.context


def test_the_pipe_is_its_users_alone_and_is_gone_afterwards(tmp_path: Path) -> None:
    with CallbackPipe(str(tmp_path), "m-1") as pipe:
        mode = Path(pipe.path).stat().st_mode
        assert (stat.S_ISFIFO(mode), mode & 0o777) == (True, 0o600)
        os.close(os.open(pipe.path, os.O_WRONLY | os.O_NONBLOCK))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("written", "context"),
    [
        ((), "Execution Finished!"),
        ((b"",), "Execution Finished!"),
        ((b"done",), "done"),
        ((b"first, ", b"second"), "first, second"),
        ((b"\0\0a\0",), "a"),
        ((b"\xff",), "\N{REPLACEMENT CHARACTER}"),
        ((b"x" * (LARGEST_CONTEXT_BYTES * 20),), "x" * LARGEST_CONTEXT_BYTES),
    ],
)
def test_what_is_written_is_the_context(tmp_path: Path, written: tuple[bytes, ...], context: str) -> None:
    assert context_of(tmp_path, *written) == context


@pytest.mark.parametrize("message_id", ["../../etc/x", "a/b", "", "x" * 200, "a\0b"])
def test_an_id_from_the_queue_cannot_name_a_path(tmp_path: Path, message_id: str) -> None:
    assert CallbackPipe(str(tmp_path), message_id).path == f"{tmp_path}/jecCallbackPipe-unnamed"


def test_a_pipe_left_from_before_is_used_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jecCallbackPipe-m-1")
    assert context_of(tmp_path, b"again") == "again"


@pytest.mark.parametrize("kind", ["file", "link", "somebody else's"])
def test_what_is_no_pipe_of_ours_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "jecCallbackPipe-m-1"
    if kind == "file":
        path.write_text("someone's file")
    elif kind == "link":
        os.mkfifo(tmp_path / "other")
        path.symlink_to(tmp_path / "other")
    elif os.geteuid() == 0:
        os.mkfifo(path)
        os.chown(path, 12345, 12345)
    else:
        pytest.skip("only root gives files away")
    before = path.lstat()
    with CallbackPipe(str(tmp_path), "m-1") as pipe:
        pass
    assert (pipe.context, path.lstat().st_ino) == ("", before.st_ino)
