"""Errors of the journal: what is wrong, and what to do about it."""

import os
import sqlite3

# Python has SQLite's error codes only since 3.11; the texts are the same in every version.
_BUSY = ("database is locked", "locking protocol")
_DAMAGE = (
    "is not a database", "malformed", "no such table", "no such column", "Could not decode to UTF-8",
)  # fmt: skip


class JournalError(Exception):
    """The journal cannot be used. `reason` is what is wrong and where, `advice` what to do next.

    `label`: `busy`, `damaged`, `foreign`, `forked`, `input`, `io`, `network`, `newer` or `owner`.
    """

    def __init__(self, reason: str, advice: str, label: str) -> None:
        super().__init__(reason, advice, label)
        self.reason, self.advice, self.label = reason, advice, label

    def __str__(self) -> str:
        return f"{self.reason}: {self.advice}"


def is_damage(error: Exception) -> bool:
    """Whether the error means that the file is damaged."""
    return isinstance(error, sqlite3.Error) and any(text in str(error) for text in _DAMAGE)


def is_busy(error: Exception) -> bool:
    """Whether another process held the file for longer than SQLite's timeout."""
    return isinstance(error, sqlite3.Error) and any(text in str(error) for text in _BUSY)


def busy(path: str, seconds: float) -> JournalError:
    """Return the error for a file that another process holds for too long."""
    advice = "find it by `fuser -v` on that file; the next try may succeed"
    return JournalError(f"another process has held {path} for over {seconds:g} s", advice, "busy")


def failure(directory: str, error: Exception) -> JournalError:
    """Return the error for something that could not be read or written."""
    what = getattr(error, "strerror", None) or error
    advice = (
        f"look at owner and mode (ls -la {directory}), make room on its disk (df -h; df -i), see that it is not mounted"
        " read-only, and what dmesg and ulimit -a say; or use another directory"
    )
    return JournalError(f"{directory} cannot be used by {user_name(os.geteuid())}: {what}", advice, "io")


def user_name(number: int) -> str:
    """Return the name of a user, for texts."""
    import pwd  # noqa: PLC0415 - for error texts alone

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
