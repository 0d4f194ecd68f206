"""Where a spool lies: a directory that is ours alone, on a disk that can carry it; and what is wrong when it is not."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from typing import Iterator, Optional, Union

PathLike = Union[str, "os.PathLike[str]"]

MOUNTS = "/proc/self/mountinfo"

# WAL keeps its index in memory that all users share, so they must be on one host: https://www.sqlite.org/wal.html
NETWORK_FILE_SYSTEMS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "smb3", "smbfs",
))

PRIVATE = 0o600

_PAUSE_SECONDS = 0.005


class SpoolUnavailable(Exception):  # noqa: N818 - it names a state of the spool, as the callers report it
    """The spool cannot be used: `reason` says what is wrong and where, `mend` what to do next.

    `label` is one word of a closed set, for metrics and tests: `absent`, `busy`, `corrupt`, `denied`, `disk-full`,
    `foreign`, `forked`, `io`, `mode`, `network`, `newer`, `not-a-directory`, `owner`, `read-only`.
    """

    def __init__(self, reason: str, mend: str, label: str = "io") -> None:
        super().__init__(reason, mend, label)
        self.reason = reason
        self.mend = mend
        self.label = label

    def __str__(self) -> str:
        return f"{self.reason}; {self.mend}"


class Place:
    """The directory of a spool, made if need be, and the names of the files in it.

    `directory` may be relative; it is fixed when the object is made. Nothing is touched until `prepare`.
    """

    def __init__(self, directory: PathLike) -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self.database = os.path.join(self.directory, "spool.db")
        self.replacement = self.database + ".new"

    def prepare(self, *, create: bool = True) -> None:
        """Make the directory (0700, and its parents) unless it is there, and see that it is fit for a spool.

        Raises SpoolUnavailable where it is missing and `create` is false, is not a directory, is another user's, can
        be read by others, or lies on a network file system.
        """
        try:
            if create:
                _make_directory(self.directory)
            status = os.stat(self.directory)
        except FileNotFoundError:
            raise self._absent() from None
        except OSError as error:
            raise self.failure(error) from error
        self._check(status)

    def require_file(self) -> None:
        """Raise SpoolUnavailable (`absent`) unless a spool's file is here, or one that is being replaced."""
        if not os.path.exists(self.database) and not os.path.exists(self.replacement):
            raise self._absent()

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISDIR(status.st_mode):
            raise self._not_a_directory()
        if status.st_uid != os.geteuid():
            owner, me = _user(status.st_uid), _user(os.geteuid())
            raise SpoolUnavailable(
                f"the spool directory {self.directory} belongs to {owner}, and this process runs as {me}",
                f"run it as {owner}, or: chown -R {me} {self.directory}", "owner",
            )
        if status.st_mode & 0o077:
            raise SpoolUnavailable(
                f"the spool directory {self.directory} is open to other users (mode {status.st_mode & 0o777:04o})",
                f"chmod 700 {self.directory}", "mode",
            )
        file_system = _file_system(status.st_dev)
        if file_system in NETWORK_FILE_SYSTEMS:
            raise SpoolUnavailable(
                f"the spool directory {self.directory} is on a network file system ({file_system}), where SQLite"
                " cannot guard its files",
                "give the spool a directory on a local disk", "network",
            )

    @contextlib.contextmanager
    def guarded(self, patience_seconds: float, *, exclusive: bool) -> Iterator[None]:
        """Hold the directory's guard: shared while the file is opened or closed, exclusive while it is replaced.

        SQLite finds the -wal and -shm files by name, so none may be opened or removed while the names change hands.
        Raises SpoolUnavailable (`busy`) when the guard is not to be had within `patience_seconds`.
        """
        descriptor = open_private(self.database + ".lock", self)
        try:
            self._await_guard(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, patience_seconds)
            yield
        finally:
            # Unlocked by name: a process forked meanwhile has the descriptor too, and closing ours would not do.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _await_guard(self, descriptor: int, operation: int, patience_seconds: float) -> None:
        for _ in range(int(patience_seconds / _PAUSE_SECONDS) + 1):
            if self._try_guard(descriptor, operation):
                return
            time.sleep(_PAUSE_SECONDS)
        raise self.busy(patience_seconds)

    def _try_guard(self, descriptor: int, operation: int) -> bool:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self.failure(error) from error
        return True

    def sync(self) -> None:
        """Make the names of the files durable, as fsync makes their contents."""
        sync_directory(self.directory)

    def busy(self, patience_seconds: float) -> SpoolUnavailable:
        """The error for a spool that others hold for too long."""
        return SpoolUnavailable(
            f"the spool {self.database} was held by another process for over {patience_seconds:g} s",
            "see what holds it (fuser -v on that file); the next try may succeed", "busy",
        )

    def damaged(self) -> SpoolUnavailable:
        """The error for a file that does not stay whole."""
        return SpoolUnavailable(
            f"the spool {self.database} is damaged again as soon as it is made",
            "look at the disk (dmesg), or give the spool another directory", "corrupt",
        )

    def full(self) -> SpoolUnavailable:
        """The error for a disk, quota or inode table that is full."""
        return SpoolUnavailable(
            f"no space is left for the spool {self.directory}",
            f"free some on that file system (df -h {self.directory}; df -i), or give the spool another directory",
            "disk-full",
        )

    def failure(self, error: Optional[Exception] = None) -> SpoolUnavailable:
        """The error for something that could not be read or written, by `error` and by a look at the directory."""
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT):
            return self.full()
        if number in (errno.ENOTDIR, errno.EEXIST):
            return self._not_a_directory()
        return self._unwritable(number) or SpoolUnavailable(
            f"the spool {self.directory} failed: {_words(error)}",
            "look at the disk (dmesg) and at the limits of this process (ulimit -a), then try again", "io",
        )

    def _unwritable(self, number: Optional[int]) -> Optional[SpoolUnavailable]:
        found = self._nearest()
        with contextlib.suppress(OSError):
            space = os.statvfs(found)
            if number == errno.EROFS or space.f_flag & os.ST_RDONLY:
                return SpoolUnavailable(
                    f"the spool {self.directory} is on a file system that is mounted read-only",
                    "mount it for writing, or give the spool another directory", "read-only",
                )
            if number is None and (space.f_bavail == 0 or (space.f_files and space.f_favail == 0)):
                return self.full()
        if number in (errno.EACCES, errno.EPERM) or not self._may_write(found):
            return SpoolUnavailable(
                f"the spool {self.directory} cannot be written by {_user(os.geteuid())}",
                f"check the owner and the mode of {found} and of the files in it (ls -la), or give the spool"
                " another directory", "denied",
            )
        return None

    def _nearest(self) -> str:
        found = self.directory
        while not os.path.exists(found) and found != os.path.dirname(found):
            found = os.path.dirname(found)
        return found

    def _may_write(self, found: str) -> bool:
        files = [self.database + suffix for suffix in ("", "-wal", "-shm")]
        return os.access(found, os.W_OK | os.X_OK) and all(
            os.access(name, os.R_OK | os.W_OK) for name in files if os.path.exists(name)
        )

    def _absent(self) -> SpoolUnavailable:
        return SpoolUnavailable(
            f"there is no spool in {self.directory}", "check the directory's name; nothing has been kept there",
            "absent",
        )

    def _not_a_directory(self) -> SpoolUnavailable:
        return SpoolUnavailable(
            f"the spool's path {self.directory} is, or leads through, something that is not a directory",
            "give the spool a directory's name, or move away what lies there", "not-a-directory",
        )


def open_private(path: str, place: Place) -> int:
    """Open `path` for writing, made if need be with mode 0600 whatever the umask. Raises SpoolUnavailable."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
        if os.fstat(descriptor).st_mode & 0o777 != PRIVATE:
            os.fchmod(descriptor, PRIVATE)
    except OSError as error:
        raise place.failure(error) from error
    return descriptor


def sync_directory(directory: str) -> None:
    """Write the names in `directory` to the disk, where we may read it (without that there is no way to)."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(directory: str) -> None:
    if os.path.isdir(directory):
        return
    parent = os.path.dirname(directory)
    _make_directory(parent)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return
    os.chmod(directory, 0o700)  # a umask may have taken bits away
    sync_directory(parent)


def _file_system(device: int) -> str:
    """The type of the file system with that device number, as Linux tells it; '' where it does not."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                if line.split(" ", 3)[2] == wanted:
                    return line.partition(" - ")[2].split(" ", 1)[0]
    except FileNotFoundError:
        return ""
    return ""


def _user(number: int) -> str:
    import pwd  # noqa: PLC0415 - for error texts alone

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _words(error: Optional[Exception]) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
