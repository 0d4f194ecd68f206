"""A bell between the processes of one host: whoever keeps something rings, and the one that sends wakes at once.

A named pipe in the spool's directory. Nothing depends on it: the sender looks again after a second anyway.
"""

import contextlib
import os
import select
import stat
import threading
from pathlib import Path
from typing import Optional

_NAME = "bell"
_CHUNK_BYTES = 4096


class Bell:
    """One process's end. Any thread may ring; one thread at a time may wait."""

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / _NAME
        self._reader: Optional[int] = None
        self._local = threading.Event()

    def ring(self) -> None:
        """Wake whoever waits, in whichever process; nobody may."""
        self._local.set()
        with contextlib.suppress(OSError):  # nobody listens, or the pipe is full of rings already
            writer = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(writer, b"!")
            finally:
                os.close(writer)

    def wait(self, seconds: float) -> None:
        """Return at a ring, or after that time."""
        if self._reader is None:
            self._reader = self._open()
        if self._reader is None:
            self._local.wait(seconds)
        elif not self._local.is_set() and select.select([self._reader], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, _CHUNK_BYTES)
        self._local.clear()

    def close(self) -> None:
        """Stop listening."""
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None

    def _open(self) -> Optional[int]:
        """Open the pipe, for reading and writing so that it never ends; None where it cannot be made."""
        try:
            if not self._path.exists():
                with contextlib.suppress(FileExistsError):
                    os.mkfifo(self._path, 0o600)
            if not stat.S_ISFIFO(self._path.stat().st_mode):
                return None
            return os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
