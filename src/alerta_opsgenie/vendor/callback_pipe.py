"""The named pipe by which a script under JEC says what Jira Service Management is to be told.

JEC makes the pipe, passes its path as `--jecNamedPipe`, and reads it while the script runs
(runbook/callback_context_handler_unix.go). Where the pipe cannot be made (the directory is only there in the vendor's
image) it says so in its debug log alone and passes the path all the same.
"""

from __future__ import annotations

import os
import re
import select
import stat
from pathlib import Path

PIPE_DIRECTORY = "/var/tmp/jec"  # noqa: S108 - the vendor's place, and the script is told the whole path
"""Where JEC makes its pipes; it does not make the directory."""

LARGEST_CONTEXT_BYTES = 16 * 1024
"""The size of JEC's buffer; what a script writes beyond it is read and dropped."""

DEFAULT_CONTEXT = "Execution Finished!"
"""What JEC itself writes into a pipe that the script did not open."""

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CHUNK_BYTES = 64 * 1024


class CallbackPipe:
    """One message's pipe: made by `make`, read by `read` whenever `descriptor` is ready, removed by `remove`."""

    def __init__(self, directory: str, message_id: str) -> None:
        # The id comes from the queue; it must not be able to name a path.
        name = message_id if _SAFE_ID.fullmatch(message_id) else "unnamed"
        self.path = f"{directory}/jecCallbackPipe-{name}"
        self.descriptor: int | None = None
        self._made = False
        self._written = bytearray()
        self._ended = False

    def make(self) -> None:
        """Make the pipe and open it for reading. Where that fails there is no pipe, as in JEC."""
        try:
            os.mkfifo(self.path, 0o666)
        except FileExistsError:
            # A message that comes again finds the pipe of the first time.
            if not stat.S_ISFIFO(os.lstat(self.path).st_mode):
                return
        except OSError:
            return
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        self._made = True

    def read(self) -> bool:
        """Take what is in the pipe. False once the script has closed it: JEC reads no further then."""
        if self.descriptor is None:
            return False
        try:
            chunk = os.read(self.descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        if not chunk:
            self._ended = True
            self.remove()
            return False
        self._written += chunk[: LARGEST_CONTEXT_BYTES - len(self._written)]
        return True

    def drain(self) -> None:
        """Take what the script left there just before its end, without waiting."""
        while self.descriptor is not None:
            poll = select.poll()
            # The end of the pipe is only reported once someone has opened it for writing; a read cannot tell the two.
            poll.register(self.descriptor, select.POLLIN)
            if not poll.poll(0) or not self.read():
                return

    def remove(self) -> None:
        """Close the pipe and remove it."""
        if self.descriptor is None:
            return
        os.close(self.descriptor)
        self.descriptor = None
        Path(self.path).unlink(missing_ok=True)

    def context(self) -> str:
        """Say what JEC would put into `callbackContext` after a script that succeeded."""
        if not self._made:
            return ""
        if self._ended:
            return bytes(self._written).strip(b"\x00").decode("utf-8", "replace")
        # Held open by someone: JEC copies what it read only at the end of the pipe.
        return "" if self._written else DEFAULT_CONTEXT
