"""Where a journal lies: a directory that is ours alone, on a local disk; and what is wrong where it is not."""

import contextlib
import errno
import os
import stat
from typing import Optional

# WAL keeps its index in memory that all users share, so they must be on one host: https://www.sqlite.org/wal.html
NETWORK_FILE_SYSTEMS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "smb3", "smbfs",
))  # fmt: skip

_OTHERS_MAY_WRITE = 0o022


class JournalError(Exception):
    """The journal cannot be used: `reason` says what is wrong and where, `advice` what to do next.

    `label` is one word of a closed set, for metrics and tests: `absent`, `busy`, `damaged`, `denied`, `disk-full`,
    `io`, `network`, `newer`, `no-sqlite`, `not-a-directory`, `owner`, `read-only`.
    """

    def __init__(self, reason: str, advice: str, label: str = "io") -> None:
        super().__init__(reason, advice, label)
        self.reason = reason
        self.advice = advice
        self.label = label

    def __str__(self) -> str:
        return f"{self.reason}: {self.advice}"


def prepare(directory: str) -> int:
    """Make the directory for its owner alone, where it is missing, and give its descriptor. Raises JournalError.

    One that is another user's, that others may write, that is a link, or that is on a network file system is refused.
    """
    try:
        make_directory(directory)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise failure(directory, error) from error
    try:
        _check(directory, os.fstat(descriptor))
    except JournalError:
        os.close(descriptor)
        raise
    return descriptor


def make_directory(directory: str) -> None:
    """Make a directory and what is missing above it, for their owner alone, whatever the umask. Raises OSError."""
    if os.path.isdir(directory):
        return
    make_directory(os.path.dirname(directory))
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o700)
        os.chmod(directory, 0o700)
    if not os.path.isdir(directory):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), directory)


def _check(directory: str, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        owner, me = _user(found.st_uid), _user(os.geteuid())
        raise JournalError(
            f"the directory {directory} belongs to {owner}, and this process runs as {me}",
            f"run it as {owner}, or name another directory", "owner",
        )  # fmt: skip
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise JournalError(
            f"the directory {directory} can be written by other users (mode {stat.S_IMODE(found.st_mode):04o})",
            "name a directory of its own, which is made with the mode 0700", "owner",
        )  # fmt: skip
    file_system = _file_system(found.st_dev)
    if file_system in NETWORK_FILE_SYSTEMS:
        raise JournalError(
            f"the directory {directory} is on a network file system ({file_system}): SQLite cannot lock files there",
            "name a directory on a local disk", "network",
        )  # fmt: skip


def failure(directory: str, error: Optional[Exception] = None) -> JournalError:
    """Make the error for something that could not be read or written, by `error` and by a look at the directory."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return full(directory)
    if number in (errno.ENOTDIR, errno.EEXIST, errno.ELOOP):
        return JournalError(
            f"the path {directory} is, or leads through, something that is not a directory of its own",
            "name a directory, or move away what lies there", "not-a-directory",
        )  # fmt: skip
    return _unwritable(directory, number) or JournalError(
        f"the journal in {directory} failed: {_words(error)}",
        "look at the disk (dmesg) and at the limits of this process (ulimit -a), then try again",
    )


def full(directory: str) -> JournalError:
    """Make the error for a disk, quota or inode table that is full."""
    return JournalError(
        f"no space is left for the journal in {directory}",
        f"make room on that file system (df -h {directory}; df -i), or name another directory", "disk-full",
    )  # fmt: skip


def _unwritable(directory: str, number: Optional[int]) -> Optional[JournalError]:
    found = _nearest(directory)
    with contextlib.suppress(OSError):
        space = os.statvfs(found)
        if number == errno.EROFS or space.f_flag & os.ST_RDONLY:
            return JournalError(
                f"the directory {directory} is on a file system that is mounted read-only",
                "mount it for writing, or name another directory", "read-only",
            )  # fmt: skip
        if number is None and (space.f_bavail == 0 or (space.f_files and space.f_favail == 0)):
            return full(directory)
    if number in (errno.EACCES, errno.EPERM) or not _may_write(found):
        return JournalError(
            f"the directory {directory} cannot be written by {_user(os.geteuid())}",
            f"look at the owner and the mode of {found} and of the files in it (ls -la), or name another directory",
            "denied",
        )
    return None


def _nearest(directory: str) -> str:
    found = directory
    while not os.path.exists(found) and found != os.path.dirname(found):
        found = os.path.dirname(found)
    return found


def _may_write(found: str) -> bool:
    if not os.access(found, os.W_OK | os.X_OK):
        return False
    files = [entry.path for entry in os.scandir(found) if entry.name.startswith("journal.db")]
    return all(os.access(name, os.R_OK | os.W_OK) for name in files)


def _file_system(device: int) -> str:
    """Give the type of the file system with that device number, as Linux tells it; empty where it does not."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            if line.split(" ", 3)[2] == wanted:
                return line.partition(" - ")[2].split(" ", 1)[0]
    return ""


def _user(number: int) -> str:
    import pwd  # noqa: PLC0415 - for error texts alone

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _words(error: Optional[Exception]) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
