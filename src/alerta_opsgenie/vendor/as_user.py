"""Work that root has done as another user, in a child process that gives up root's rights for good.

So root reads and writes nothing that the user could not read and write, and leaves no file of root's behind.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from typing import Any, Callable

LIMIT_SECONDS = 60.0


class CannotBecomeError(OSError):
    """This process may not become that user, or what was done as that user did not come to an end."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)

    def __str__(self) -> str:
        return str(self.strerror)


def become(uid: int, gid: int) -> None:
    """Become this user for good: no other groups, and no saved user id that leads back. Only for root."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def run_as(uid: int, gid: int, work: Callable[[], Any], *, limit_seconds: float = LIMIT_SECONDS) -> Any:
    """Run `work` in a child process as this user and give its result, which must be JSON.

    Raises `work`'s own `OSError`, and `CannotBecomeError`. What `work` needs should be imported before: the user may
    not be able to read where this program lies.
    """
    if os.geteuid() not in (0, uid):
        raise CannotBecomeError(f"only root can look at this as user {uid}")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_child(writer, uid, gid, work)
    os.close(writer)
    # The user can stop the child, but not keep root waiting.
    killer = threading.Timer(limit_seconds, os.kill, (child, signal.SIGKILL))
    killer.start()
    try:
        with os.fdopen(reader, "rb") as file:
            text = file.read()
    finally:
        killer.cancel()
        killer.join()  # a process with two threads can neither fork safely nor change its namespaces
        os.kill(child, signal.SIGKILL)  # it has written all that it had
        os.waitpid(child, 0)
    try:
        answer = json.loads(text)
    except ValueError:
        raise CannotBecomeError("it took too long, or ended without a result") from None
    if "failed" in answer:
        raise OSError(*answer["failed"])
    if "error" in answer:
        raise CannotBecomeError(answer["error"])
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
        # Nothing of the parent's may be done a second time here: no exit handlers, no flushing of its buffers.
        os._exit(0)
