"""Run a function as another user, in a child process that drops root's rights permanently.

So it reads and writes only what that user can read and write, and leaves no file owned by root.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from typing import Any, Callable

LIMIT_SECONDS = 60.0


class RunAsError(OSError):
    """This process may not become that user, or the function did not end with a result."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)

    def __str__(self) -> str:
        return str(self.strerror)


def become(uid: int, gid: int) -> None:
    """Become this user permanently: no other groups, and no saved user id to return to. Only root can."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def run_as(uid: int, gid: int, work: Callable[[], Any], *, limit_seconds: float = LIMIT_SECONDS) -> Any:
    """Run `work` in a child process as this user and return its result, which must be JSON.

    Raises the `OSError` of `work`, and `RunAsError`. Import what `work` needs first: the user may not be able to read
    the directory of this program.
    """
    if os.geteuid() not in (0, uid):
        raise RunAsError(f"only root can look at this as user {uid}")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_child(writer, uid, gid, work)
    os.close(writer)
    # The user can suspend the child; the timer keeps root from waiting for it.
    killer = threading.Timer(limit_seconds, os.kill, (child, signal.SIGKILL))
    killer.start()
    try:
        with os.fdopen(reader, "rb") as file:
            text = file.read()
    finally:
        killer.cancel()
        killer.join()  # a process with two threads can neither fork safely nor change its namespaces
        os.kill(child, signal.SIGKILL)  # its result is already read to the end
        os.waitpid(child, 0)
    try:
        answer = json.loads(text)
    except ValueError:
        raise RunAsError("it took too long, or ended without a result") from None
    if "failed" in answer:
        raise OSError(*answer["failed"])
    if "error" in answer:
        raise RunAsError(answer["error"])
    return answer["result"]


def _be_child(writer: int, uid: int, gid: int, work: Callable[[], Any]) -> None:
    answer: dict[str, Any]
    try:
        if os.geteuid() == 0 and uid != 0:
            become(uid, gid)
        answer = {"result": work()}
    except OSError as error:
        answer = {"failed": [error.errno, error.strerror or str(error), error.filename and str(error.filename)]}
    except Exception as error:  # noqa: BLE001 - it is handed to the parent, which raises it
        answer = {"error": f"{type(error).__name__}: {error}"}
    try:
        with os.fdopen(writer, "wb") as file:
            file.write(json.dumps(answer).encode("utf-8"))
    finally:
        # Do not run the parent's exit handlers or flush its buffers a second time.
        os._exit(0)
