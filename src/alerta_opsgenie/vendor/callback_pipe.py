"""The named pipe by which a script under JEC says what Jira Service Management is to be told.

JEC makes the pipe, passes its path as `--jecNamedPipe`, and reads it while the script runs
(runbook/callback_context_handler_unix.go). Where the pipe cannot be made (the directory is only there in the vendor's
image) it passes the path all the same.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path

PIPE_DIRECTORY = "/var/tmp/jec"  # noqa: S108 - the vendor's place, and the script is told the whole path
"""Where JEC makes its pipes; it does not make the directory."""

LARGEST_CONTEXT_BYTES = 16 * 1024
"""The size of JEC's buffer; what a script writes beyond it is read and dropped."""

DEFAULT_CONTEXT = "Execution Finished!"
"""What JEC itself writes into a pipe that the script left alone."""

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_END = b"\0"


class CallbackPipe:
    """One message's pipe. A context manager: it is read until the end of the block, and removed then."""

    def __init__(self, directory: str, message_id: str) -> None:
        # The id comes from the queue; it must not be able to name a path.
        name = message_id if _SAFE_ID.fullmatch(message_id) else "unnamed"
        self.path = f"{directory}/jecCallbackPipe-{name}"
        self.context = ""
        self._descriptor = -1
        self._written = bytearray()
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, name="jec-pipe", daemon=True)

    def __enter__(self) -> CallbackPipe:  # noqa: PYI034 - Self needs Python 3.11
        try:
            self._descriptor = _make(self.path)
        except OSError:
            return self
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor < 0:
            return
        self._ended.set()
        os.write(self._descriptor, _END)
        self._reader.join()
        os.close(self._descriptor)
        Path(self.path).unlink(missing_ok=True)
        self.context = bytes(self._written).replace(_END, b"").decode("utf-8", "replace") or DEFAULT_CONTEXT

    def _read(self) -> None:
        """Read until the end that `__exit__` writes: a script may open and close the pipe many times."""
        while True:
            chunk = os.read(self._descriptor, 64 * 1024)
            self._written += chunk[: LARGEST_CONTEXT_BYTES - len(self._written)]
            if self._ended.is_set() and chunk.endswith(_END):
                return


def _make(path: str) -> int:
    """Make the pipe for this user alone and open it. A message that comes again finds the pipe of the first time."""
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISFIFO(found.st_mode) or found.st_uid != os.geteuid():
            raise
    # Opened for writing too, so that it is ready before the script is and has no end before ours.
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileExistsError(17, "not a pipe")
    os.set_blocking(descriptor, True)
    return descriptor
