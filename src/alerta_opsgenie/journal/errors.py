"""What is wrong where the journal cannot be used, and what to do about it."""

import errno
import os
import sqlite3
from typing import Optional, Tuple

# Python gives SQLite's codes only from 3.11 on; the texts are the same in every version.
_BUSY = ("database is locked", "locking protocol")
_DAMAGE = (
    "is not a database", "malformed", "no such table", "no such column", "Could not decode to UTF-8",
)  # fmt: skip


class JournalError(Exception):
    """The journal cannot be used: `reason` says what is wrong and where, `advice` what to do next.

    `label` is one word, for logs that tell each trouble once: `busy`, `damaged`, `denied`, `disk-full`, `foreign`,
    `forked`, `input`, `io`, `mode`, `network`, `newer`, `not-a-directory`, `owner`, `read-only`, `symlink`.
    """

    def __init__(self, reason: str, advice: str, label: str) -> None:
        super().__init__(reason, advice, label)
        self.reason, self.advice, self.label = reason, advice, label

    def __str__(self) -> str:
        return f"{self.reason}: {self.advice}"


def is_damage(error: Exception) -> bool:
    """Whether the error says that the file itself is broken."""
    return isinstance(error, sqlite3.Error) and any(text in str(error) for text in _DAMAGE)


def is_busy(error: Exception) -> bool:
    """Whether another process was at work for as long as SQLite was told to wait."""
    return isinstance(error, sqlite3.Error) and any(text in str(error) for text in _BUSY)


def busy(path: str, seconds: float) -> JournalError:
    """Give the error for a file that another process holds for too long."""
    advice = "find it by `fuser -v` on that file; the next try may succeed"
    return JournalError(f"another process has held {path} for over {seconds:g} s", advice, "busy")


def failure(directory: str, error: Exception) -> JournalError:
    """Give the error for something that could not be read or written."""
    number = error.errno if isinstance(error, OSError) else None
    found = _nearest(directory)
    is_read_only, is_full = _disk(found)
    if number in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error) or (number is None and is_full):
        advice = f"make room on its file system (df -h {directory}; df -i)"
        return JournalError(f"no space is left in {directory}", advice, "disk-full")
    if number in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        reason = f"{directory} is, or leads through, something that is not a directory"
        return JournalError(reason, "use another directory", "not-a-directory")
    if is_read_only or number == errno.EROFS:
        reason = f"{directory} is on a file system that is mounted read-only"
        return JournalError(reason, "mount it for writing, or use another directory", "read-only")
    if number in (errno.EACCES, errno.EPERM) or not os.access(found, os.W_OK | os.X_OK):
        advice = f"look at owner and mode of {found} and of the files in it (ls -la), or use another directory"
        return JournalError(f"{directory} cannot be written by {user_name(os.geteuid())}", advice, "denied")
    what = getattr(error, "strerror", None) or error
    advice = "look at the disk (dmesg) and at the limits of this process (ulimit -a), then try again"
    return JournalError(f"{directory} cannot be used: {what}", advice, "io")


def _disk(path: str) -> Tuple[bool, bool]:
    """Tell whether a path is on a disk that is mounted read-only, and on one that is full."""
    try:
        space = os.statvfs(path)
    except OSError:
        return False, False
    is_full = space.f_bavail == 0 or bool(space.f_files and space.f_favail == 0)
    return bool(space.f_flag & os.ST_RDONLY), is_full


def _nearest(path: str) -> str:
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def user_name(number: int) -> str:
    """Give a user's name for people."""
    import pwd  # noqa: PLC0415 - for error texts alone

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def symlink(path: str) -> Optional[JournalError]:
    """Give the error for a path that is a symbolic link; None where it is none."""
    if not os.path.islink(path):
        return None
    return JournalError(f"{path} is a symbolic link", "name what it leads to, or remove it", "symlink")
