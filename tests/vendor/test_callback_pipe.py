"""JEC's named pipe from both ends."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from alerta_opsgenie.vendor.callback_pipe import LARGEST_CONTEXT_BYTES, CallbackPipe


def context_of(directory: Path, *written: bytes) -> str:
    """Let a script write each text by an open pipe of its own; gives what JEC would pass on."""
    with CallbackPipe(str(directory)) as pipe:
        for data in written:
            with Path(pipe.path).open("wb", buffering=0) as file:
                file.write(data)
    return pipe.context


def test_the_pipe_is_its_users_alone_and_is_gone_afterwards(tmp_path: Path) -> None:
    with CallbackPipe(str(tmp_path)) as pipe:
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


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_there_under_its_name_is_left_alone(tmp_path: Path, kind: str) -> None:
    pipe = CallbackPipe(str(tmp_path))
    os.mkfifo(tmp_path / "other")
    Path(pipe.path).touch() if kind == "file" else Path(pipe.path).symlink_to(tmp_path / "other")
    before = Path(pipe.path).lstat()
    with pipe:
        pass
    assert (pipe.context, Path(pipe.path).lstat().st_ino) == ("", before.st_ino)
