"""A private directory of this user. It is checked and used through one descriptor, so no other can take its place."""

import contextlib
import os
import stat
from typing import Union

from alerta_opsgenie.journal.errors import JournalError, failure, user_name

PathLike = Union[str, "os.PathLike[str]"]

MOUNTS = "/proc/self/mountinfo"

# WAL needs shared memory, so all processes must be on one host: https://www.sqlite.org/wal.html
_NETWORK_FILE_SYSTEMS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "smb3", "smbfs",
))

_PRIVATE = 0o600


def open_directory(path: str) -> int:
    """Open a private directory on a local disk; create it and its parents (0700) if missing. Raises JournalError."""
    try:
        _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise failure(path, error) from error
    try:
        _check(path, os.fstat(descriptor))
    except JournalError:
        os.close(descriptor)
        raise
    return descriptor


def _make(path: str) -> None:
    if os.path.lexists(path):
        return
    parent = os.path.dirname(path)
    _make(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # whatever the umask
        sync_directory(parent)


def _check(path: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        owner, me = user_name(status.st_uid), user_name(os.geteuid())
        advice = f"run it as {owner}, or use a directory that belongs to {me}"
        raise JournalError(f"{path} belongs to {owner}, and this process runs as {me}", advice, "owner")
    if status.st_mode & 0o022:
        raise JournalError(f"{path} can be written by others", f"chmod 700 {path}", "owner")
    file_system = _file_system(status.st_dev)
    if file_system in _NETWORK_FILE_SYSTEMS:
        reason = f"{path} is on a network file system ({file_system}), where SQLite cannot lock its files"
        raise JournalError(reason, "use a directory on a local disk", "network")


def open_private(directory: str, descriptor: int, name: str, *, new: bool = False) -> int:
    """Open a file in the directory for writing; create it with mode 0600, whatever the umask. Raises JournalError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_EXCL if new else 0)
    try:
        file = os.open(name, flags, _PRIVATE, dir_fd=descriptor)
    except OSError as error:
        raise failure(directory, error) from error
    if stat.S_IMODE(os.fstat(file).st_mode) != _PRIVATE:
        with contextlib.suppress(PermissionError):
            os.fchmod(file, _PRIVATE)
    return file


def check_file(directory: str, descriptor: int, name: str) -> None:
    """Check that a file, if it exists, is a plain file of this user, and set mode 0600. Raises JournalError."""
    try:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise JournalError(f"{name} in {directory} is no plain file of this user's", "move it away (ls -la)", "owner")
    if stat.S_IMODE(status.st_mode) != _PRIVATE:
        os.chmod(name, _PRIVATE, dir_fd=descriptor)


def sync_directory(path: str) -> None:
    """Write the names in a directory to disk. This is not possible without the right to read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_system(device: int) -> str:
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as mounts:
            found = (line.partition(" - ")[2] for line in mounts if line.split(" ", 3)[2] == wanted)
            return next(found, "").split(" ", 1)[0]
    except FileNotFoundError:
        return ""
