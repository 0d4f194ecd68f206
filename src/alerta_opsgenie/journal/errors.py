"""What is wrong where the journal cannot be used, and what to do about it."""

import contextlib
import errno
import os
import sqlite3
from typing import Optional

_BUSY, _FULL, _CORRUPT, _PROTOCOL, _NOT_A_DATABASE = 5, 13, 11, 15, 26

# Python gives SQLite's codes only from 3.11 on; the texts are the same in every version.
_CODES_BY_TEXT = (
    ("database is locked", _BUSY),
    ("locking protocol", _PROTOCOL),
    ("database or disk is full", _FULL),
    ("is not a database", _NOT_A_DATABASE),
    ("malformed", _CORRUPT),
    ("no such table", _CORRUPT),
    ("no such column", _CORRUPT),
    ("Could not decode to UTF-8", _CORRUPT),
)


class JournalError(Exception):
    """The journal cannot be used: `reason` says what is wrong and where, `advice` what to do next.

    `label` is one word, for metrics and tests: `busy`, `damaged`, `denied`, `disk-full`, `foreign`, `forked`,
    `input`, `io`, `mode`, `network`, `newer`, `not-a-directory`, `owner`, `read-only`, `symlink`.
    """

    def __init__(self, reason: str, advice: str, label: str = "io") -> None:
        super().__init__(reason, advice, label)
        self.reason = reason
        self.advice = advice
        self.label = label

    def __str__(self) -> str:
        return f"{self.reason}: {self.advice}"


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken."""
    return _code(error) in (_CORRUPT, _NOT_A_DATABASE)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process was at work for as long as SQLite was told to wait."""
    return _code(error) in (_BUSY, _PROTOCOL)


def _code(error: sqlite3.Error) -> Optional[int]:
    text = str(error)
    return next((code for part, code in _CODES_BY_TEXT if part in text), None)


def busy(path: str, seconds: float) -> JournalError:
    """Give the error for a file that another process holds for too long."""
    return JournalError(
        f"another process has held {path} for over {seconds:g} s",
        "find it by `fuser -v` on that file; the next try may succeed", "busy",
    )


def _full(directory: str) -> JournalError:
    return JournalError(
        f"no space is left in {directory}", f"make room on its file system (df -h {directory}; df -i)", "disk-full"
    )


def failure(directory: str, error: Exception) -> JournalError:
    """Give the error for something that could not be read or written."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT) or (isinstance(error, sqlite3.Error) and _code(error) == _FULL):
        return _full(directory)
    if number in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return JournalError(f"{directory} is, or leads through, something that is not a directory",
                            "use another directory", "not-a-directory")  # fmt: skip
    return _not_writable(directory, number) or JournalError(
        f"{directory} cannot be used: {getattr(error, 'strerror', None) or error}",
        "look at the disk (dmesg) and at the limits of this process (ulimit -a), then try again", "io",
    )


def _not_writable(directory: str, number: Optional[int]) -> Optional[JournalError]:
    found = _nearest(directory)
    with contextlib.suppress(OSError):
        space = os.statvfs(found)
        if number == errno.EROFS or space.f_flag & os.ST_RDONLY:
            return JournalError(f"{directory} is on a file system that is mounted read-only",
                                "mount it for writing, or use another directory", "read-only")  # fmt: skip
        if number is None and (space.f_bavail == 0 or (space.f_files and space.f_favail == 0)):
            return _full(directory)
    if number in (errno.EACCES, errno.EPERM) or not os.access(found, os.W_OK | os.X_OK):
        return JournalError(f"{directory} cannot be written by {user_name(os.geteuid())}",
                            f"look at owner and mode of {found} and of the files in it (ls -la), or use another"
                            " directory", "denied")  # fmt: skip
    return None


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
