"""Helpers for tests of the journal: functions in a separate process, and copies of its files."""

import os
import pickle
import shutil
import signal
import threading
import traceback
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest

from alerta_opsgenie.journal import Action, Journal, JournalError, New

NOBODY = 65534
PAUSE = 1000.0
"""The longest pause that the tests use."""


def in_child(work: Callable[[], Any], *, user: Optional[int] = None) -> Any:
    """What `work` returns in a forked child, run there as `user`; an exception in it fails the test."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os._exit(_report(work, user, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert answer, f"the child ended with status {status} and said nothing"
    fine, result = pickle.loads(answer)
    assert fine, result
    return result


def _report(work: Callable[[], Any], user: Optional[int], writer: int) -> int:
    try:
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        answer = (True, work())
    except BaseException:  # noqa: BLE001 - sent to the parent
        answer = (False, traceback.format_exc())
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(pickle.dumps(answer))
    return 0


def killed_in_child(work: Callable[[], Any]) -> None:
    """Do `work` in a forked child that is killed as by `kill -9`, at the latest when the work is done."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            kill_me()
    os.waitpid(child, 0)


def kill_me(*_: Any, **__: Any) -> None:
    """End this process at once, as the kernel does: no clean-up of any kind."""
    os.kill(os.getpid(), signal.SIGKILL)


def copy_files(source: Path, target: Path) -> Path:
    """The files of a journal as they are on the disk now, without any process' memory of them."""
    target.mkdir(mode=0o700)
    for name in ("journal.db", "journal.db-wal"):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    return target


def new(key: str, alert: str = "a", order_ns: int = 0, body: str = "", **more: Any) -> New:
    return New(key, alert, order_ns, "Close", body or f"body of {key}", **more)


def append(journal: Journal, key: str, alert: str = "a", order_ns: int = 0, now: float = 100.0, **more: Any) -> Action:
    """Append an action that is new."""
    (action,) = journal.append([new(key, alert, order_ns, **more)], now)
    assert action.is_new
    return action


def claim(journal: Journal, now: float = 100.0) -> Action:
    """Take the one action that is due first."""
    (action,) = journal.claim(now, 1, PAUSE)
    return action


def at_once(journal: Journal, *works: Callable[[], object]) -> None:
    """Do works in threads; all have queued before the first is written."""
    threads = [threading.Thread(target=work) for work in works]
    with journal._writer.mutex:
        for thread in threads:
            thread.start()
        while len(journal._writer.queue) < len(threads):
            pass
    for thread in threads:
        thread.join()


def keys(journal: Journal, state: Optional[str] = None) -> List[str]:
    return [action.key for action in journal.actions(state)]


def refusal(work: Callable[[], object]) -> JournalError:
    """What `work` is refused with."""
    with pytest.raises(JournalError) as caught:
        work()
    return caught.value


def body_of(number: int) -> str:
    """The body of the action `k<number>` of `with_actions`: from one line to more than a page of the file."""
    return f"k{number} " * (10 + number * 337 % 1500)


DONE = 4


def with_actions(directory: Path, count: int) -> None:
    """Create a closed journal with that many waiting actions on ten alerts, and `DONE` done ones."""
    with Journal(directory) as journal:
        journal.append([new(f"d{number}", f"done {number}") for number in range(DONE)], 50.0)
        for action in journal.claim(50.0, DONE, PAUSE):
            journal.done(action, 60.0, "applied", wrote={"state": 7})
        journal.append(
            [new(f"k{number}", f"alert {number % 10}", body=body_of(number)) for number in range(count)], 100.0
        )


def garbage(path: Path, start: int, length: int) -> None:
    """Overwrite a part of the file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write((b"\xfe\x5a garbage \x00\xff" * (length // 8 + 1))[:length])
