"""The named pipe by which a script under JEC says what Jira Service Management is to be told.

JEC makes the pipe, passes its path as `--jecNamedPipe`, and reads it while the script runs
(runbook/callback_context_handler_unix.go). Where the pipe cannot be made (the directory is only there in the vendor's
image) it passes the path all the same.
"""

from __future__ import annotations

import os
import stat
import threading
import uuid
from contextlib import suppress
from pathlib import Path

PIPE_DIRECTORY = "/var/tmp/jec"  # noqa: S108 - the vendor's place, and the script is told the whole path
"""Where JEC makes its pipes; it does not make the directory."""

LARGEST_CONTEXT_BYTES = 16 * 1024
"""The size of JEC's buffer; what a script writes beyond it is read and dropped."""

DEFAULT_CONTEXT = "Execution Finished!"
"""What JEC itself writes into a pipe that the script left alone."""

_END = b"\0"


class CallbackPipe:
    """One message's pipe, for this user alone. It is read until the end of the `with` block, and removed then."""

    def __init__(self, directory: str) -> None:
        # JEC names it by the message; an id from the queue must not be able to name a path.
        self.path = f"{directory}/jecCallbackPipe-{uuid.uuid4()}"
        self.context = ""
        self._descriptor = -1
        self._written = bytearray()
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, name="jec-pipe", daemon=True)

    def __enter__(self) -> CallbackPipe:  # noqa: PYI034 - Self needs Python 3.11
        with suppress(OSError):
            os.mkfifo(self.path, 0o600)
            # Opened for writing too, so that it is ready before the script is and has no end before ours.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            if stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
                self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader.ident is not None:
            self._ended.set()
            os.write(self._descriptor, _END)
            self._reader.join()
            self.context = bytes(self._written).replace(_END, b"").decode("utf-8", "replace") or DEFAULT_CONTEXT
            Path(self.path).unlink(missing_ok=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _read(self) -> None:
        """Read until the end that `__exit__` writes: a script may open and close the pipe many times."""
        while True:
            chunk = os.read(self._descriptor, 64 * 1024)
            self._written += chunk[: LARGEST_CONTEXT_BYTES - len(self._written)]
            if self._ended.is_set() and chunk.endswith(_END):
                return
