"""Wakes the sender, in whichever process of the host, as soon as a request was put into the outbox.

A named pipe in the outbox's directory. Nothing depends on it: the sender looks again after a second anyway.
"""

import contextlib
import os
import select
import stat
import threading
from pathlib import Path
from typing import Optional

_NAME = "wake-up"
_CHUNK_BYTES = 4096


class WakeUpPipe:
    """One process's end. Any thread may wake; one thread at a time may wait."""

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / _NAME
        self._reader: Optional[int] = None
        self._local = threading.Event()

    def wake(self) -> None:
        """Wake whoever waits, in whichever process; nobody may."""
        self._local.set()
        with contextlib.suppress(OSError):  # nobody waits, or the pipe is full already
            writer = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if stat.S_ISFIFO(os.fstat(writer).st_mode):
                    os.write(writer, b"!")
            finally:
                os.close(writer)

    def wait(self, seconds: float) -> None:
        """Return when woken, or after that time."""
        if self._reader is None:
            self._reader = self._open()
        if self._reader is None:
            self._local.wait(seconds)
        elif not self._local.is_set() and select.select([self._reader], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, _CHUNK_BYTES)
        self._local.clear()

    def close(self) -> None:
        """Wait no more."""
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None

    def _open(self) -> Optional[int]:
        """Open the pipe, for reading and writing so that it never ends; None where it cannot be made."""
        try:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(self._path, 0o600)
            reader = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        if stat.S_ISFIFO(os.fstat(reader).st_mode):
            return reader
        os.close(reader)
        return None
