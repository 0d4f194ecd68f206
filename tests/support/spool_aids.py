"""What the tests of the spool share: work done in a process of its own, and copies of a spool's files."""

import os
import pickle
import shutil
import signal
import traceback
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest

from alerta_opsgenie.journal import Spool, SpoolUnavailable

NOBODY = 65534


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
    except BaseException:  # noqa: BLE001 - told to the parent, whole
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
    """The files of a spool as they are on the disk now, without any process' memory of them."""
    target.mkdir(mode=0o700)
    for name in ("spool.db", "spool.db-wal"):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    return target


def keep(spool: Spool, key: str, size: int = 100) -> None:
    """Keep an entry in the lane of the key's last character."""
    assert spool.keep(key, f"lane {key[-1]}", 0, body_of(key, size), now=100.0)


def body_of(key: str, size: int = 100) -> str:
    return f"{key} " * (size // len(key))


def keys(spool: Spool) -> List[str]:
    return [entry.key for entry in spool.entries()]


def refusal(work: Callable[[], object]) -> SpoolUnavailable:
    """What `work` is refused with."""
    with pytest.raises(SpoolUnavailable) as caught:
        work()
    return caught.value


def size_of(number: int) -> int:
    """The body's size of an entry of `with_entries`: from one line to more than a page of the file."""
    return 50 + number * 997 % 6000


def with_entries(directory: Path, number: int, *, user: Optional[int] = None) -> None:
    """Leave a closed spool with that many entries in ten lanes, and as many delivered keys."""

    def work() -> None:
        with Spool(directory) as spool:
            for index in range(number):
                keep(spool, f"k{index}", size_of(index))
                spool.remember(f"d{index}", 100.0)

    if user is None:
        work()
    else:
        in_child(work, user=user)


def garbage(path: Path, start: int, length: int) -> None:
    """Overwrite a part of the file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write((b"\xfe\x5a garbage \x00\xff" * (length // 8 + 1))[:length])
