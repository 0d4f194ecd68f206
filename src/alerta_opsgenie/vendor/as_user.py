"""Work that root has done as another user, in a child process that gives up root's rights for good.

So root reads and writes nothing that the user could not read and write, and leaves no file of root's behind.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any, Callable

LIMIT_SECONDS = 60.0
_CHUNK_BYTES = 65536


class CannotBecomeError(Exception):
    """This process may not become that user, or what was done as that user did not come to an end."""


def may_become(uid: int) -> bool:
    """Tell whether this process is that user, or may become that user."""
    return os.geteuid() in (0, uid)


def become(uid: int, gid: int) -> None:
    """Become this user for good: no other groups, and no saved user id that leads back. Only for root."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def run_as(uid: int, gid: int, work: Callable[[], Any], *, limit_seconds: float = LIMIT_SECONDS) -> Any:
    """Run `work` in a child process as this user and give its result, which must be JSON. Raises `CannotBecomeError`.

    What `work` needs should be imported before: the user may not be able to read where this program lies.
    """
    if not may_become(uid):
        raise CannotBecomeError(f"only root can look at this as user {uid}")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_child(writer, uid, gid, work)
    os.close(writer)
    try:
        text = _read(reader, time.monotonic() + limit_seconds)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # it has written all that it had, or is over its time
        os.waitpid(child, 0)
    answer = json.loads(text) if text else {"error": "it ended without a result"}
    if "error" in answer:
        raise CannotBecomeError(str(answer["error"]))
    return answer["result"]


def _be_child(writer: int, uid: int, gid: int, work: Callable[[], Any]) -> None:
    try:
        if os.geteuid() == 0 and uid != 0:
            become(uid, gid)
        answer = {"result": work()}
    except Exception as error:  # noqa: BLE001 - it is handed to the parent, which raises it
        answer = {"error": f"{type(error).__name__}: {error}"}
    try:
        data = json.dumps(answer).encode("utf-8")
        while data:
            data = data[os.write(writer, data) :]
    finally:
        # Nothing of the parent's may be done a second time here: no exit handlers, no flushing of its buffers.
        os._exit(0)


def _read(reader: int, deadline: float) -> bytes:
    data = b""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([reader], [], [], left)
        chunk = os.read(reader, _CHUNK_BYTES) if ready else b""
        if ready and not chunk:
            return data
        data += chunk
    raise CannotBecomeError("it took too long")
