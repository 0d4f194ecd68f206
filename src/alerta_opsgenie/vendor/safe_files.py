"""Files that root reads and writes where other users can write too.

Two rules keep root from being led astray:

1. No symbolic link is followed. Each directory on the way is opened from the one above it (openat(2), O_NOFOLLOW).
2. Below the first directory that is not root's, root does nothing as root. A child process that has become the
   directory's owner does it (`as_user`).

Modes come from the caller, never from what is found. Every failure is an `OSError` whose `strerror` says what is wrong.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Callable, Iterator, NamedTuple

from alerta_opsgenie.vendor.as_user import run_as

LARGEST_FILE_BYTES = 4 * 1024 * 1024
"""No configuration, key or script is larger."""

NOBODY = 65534

_SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link"}
_OTHERS_WRITE = 0o022


class Found(NamedTuple):
    """What stands at a path: `kind` is `file`, `directory`, `symbolic link` or `special file`."""

    kind: str
    uid: int
    gid: int
    mode: int


class Place(NamedTuple):
    """Where a file stands: the descriptor of its directory, and its name there.

    `owner` (uid) owns the first directory on the way that is not root's; 0: all are root's. With `shared`, others can
    rename what is in one of root's directories.
    """

    directory: int
    name: str
    owner: int
    shared: bool


def group_of(uid: int) -> int:
    """Give the user's own group. Never that of a file: a user's file may belong to root's group."""
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return NOBODY


@dataclass(frozen=True)
class SafeFiles:
    """The files of this host, or of an image below the directory `root`. Paths are as the running system names them.

    `groups` gives the group of a user who is not in this host's list of users.
    """

    root: str = "/"
    groups: Callable[[int], int] = group_of

    # -- looking

    def look(self, path: str) -> Found | None:
        """See what stands at a path; None: nothing."""
        try:
            with self._walk(path) as place:
                return _found(os.lstat(place.name, dir_fd=place.directory))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def writer(self, path: str) -> int:
        """Give a user (uid) who can change this file; 0: nobody but root can."""
        with self._walk(path) as place:
            status = os.lstat(place.name, dir_fd=place.directory)
        others = place.shared or (_others_write(status) and not stat.S_ISLNK(status.st_mode))
        return place.owner or status.st_uid or (NOBODY if others else 0)

    def read(self, path: str, uid: int | None = None) -> bytes:
        """Read a plain file; with `uid` as that user, because it is that user who has named the file."""
        text: str = self._act(path, lambda place: _read_open(_open(place, _READ), path), uid=uid)
        return text.encode("latin-1")

    def names(self, path: str) -> list[str]:
        """List a directory."""

        def work(place: Place) -> list[str]:
            with _opened(_open(place, _LIST)) as directory:
                return sorted(os.listdir(directory))  # noqa: PTH208 - a descriptor

        found: list[str] = self._act(path, work)
        return found

    # -- changing

    def write(self, path: str, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Write a file whole or not at all, durably. It is the `owner`'s (uid, gid), and in no other's directory."""

        def work(place: Place) -> None:
            new = place._replace(name=_temporary(place.name))
            _unlink(new)
            try:
                with os.fdopen(_open(new, _CREATE), "wb") as file:
                    file.write(data)
                    file.flush()
                    _hand_over(file.fileno(), mode, owner)
                    os.fsync(file.fileno())
                _rename(new, place.name)
            except OSError:
                _unlink(new)
                raise

        self._change(path, work, owner)

    def make_directory(self, path: str, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Make a directory, or set mode and owner of the one that is there. It will be the `owner`'s (uid, gid)."""

        def work(place: Place) -> None:
            with suppress(FileExistsError):
                os.mkdir(place.name, 0o700, dir_fd=place.directory)
            with _opened(_open(place, _LIST)) as directory:
                if os.fstat(directory).st_uid not in {os.geteuid(), (owner or (0, 0))[0]}:
                    raise OSError(errno.EPERM, "is another user's directory", path)
                _hand_over(directory, mode, owner)
                os.fsync(directory)

        self._change(path, work, owner)

    def give(self, path: str, mode: int, owner: tuple[int, int]) -> None:
        """Give a file or directory of root's to a user; only where nobody else could have put it there."""
        with self._walk(path) as place, _opened(_open(place, _READ)) as file:
            status = os.fstat(file)
            plain = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
            if place.owner or place.shared or status.st_uid or not plain:
                raise OSError(errno.EPERM, "others could have put it there", path)
            _hand_over(file, mode, owner)

    def rename(self, path: str, new: str) -> None:
        """Give a file another name in its directory. The name must be free."""
        directory, _, name = new.rpartition("/")
        if directory != path.rpartition("/")[0] or self.look(new) is not None:
            raise OSError(errno.EEXIST, "there is another file by now", new)
        self._change(path, lambda place: _rename(place, name))

    def remove(self, path: str) -> None:
        """Remove a file, and what a killed `write` has left of it."""

        def work(place: Place) -> None:
            _unlink(place)
            _unlink(place._replace(name=_temporary(place.name)))

        self._change(path, work)

    def remove_directory(self, path: str) -> bool:
        """Remove a directory; False: something is in it."""
        try:
            if self.look(path) is not None:
                self._act(path, lambda place: os.rmdir(place.name, dir_fd=place.directory))
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            return False
        return True

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it; links in it are removed and not followed."""
        self._change(path, lambda place: shutil.rmtree(f"/proc/self/fd/{place.directory}/{place.name}"))

    # -- on the way

    def _change(self, path: str, work: Callable[[Place], Any], owner: tuple[int, int] | None = None) -> None:
        """Do `work`, but as root only where nobody else can rename, and nothing of one user's in another's place."""

        def checked(place: Place) -> Any:
            if os.geteuid() == 0 and place.owner == 0 and place.shared:
                raise OSError(errno.EPERM, "others can write to a directory above it", path)
            if owner is not None and place.owner not in {0, owner[0]}:
                raise OSError(errno.EPERM, f"a directory above it belongs to user {place.owner}", path)
            return work(place)

        self._act(path, checked)

    def _act(self, path: str, work: Callable[[Place], Any], *, uid: int | None = None) -> Any:
        """Do `work` as root where all directories on the way are root's, else as the owner of the first other one.

        With `uid` it is always done as that user.
        """

        def walk_and_work() -> Any:
            with _walk(root, path) as place:
                return work(place)

        with _opened(os.open(self.root, _SEARCH)) as root:
            try:
                with _walk(root, path) as place:
                    actor = place.owner if uid is None else uid
                    if os.geteuid() != 0 or actor == 0:
                        return work(place)
                return run_as(actor, self.groups(actor), walk_and_work)
            except OSError as error:
                whole = str(error.filename or "").startswith("/") and not str(error.filename).startswith("/proc/")
                raise OSError(error.errno, error.strerror, error.filename if whole else path) from None

    @contextmanager
    def _walk(self, path: str) -> Iterator[Place]:
        with _opened(os.open(self.root, _SEARCH)) as root, _walk(root, path) as place:
            yield place


@contextmanager
def _walk(root: int, path: str) -> Iterator[Place]:
    """Open the directories down to the last one, each from the one above it."""
    *above, name = _parts(path)
    directory, owner, shared, passed = os.dup(root), 0, False, ""
    try:
        for part in (*above, ""):
            status = os.fstat(directory)
            owner, shared = owner or status.st_uid, shared or _others_rename(status)
            if part:
                passed += f"/{part}"
                below = _enter(directory, part, passed)
                os.close(directory)
                directory = below
        yield Place(directory, name, owner, shared)
    finally:
        os.close(directory)


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or not parts or {".", ".."} & set(parts):
        raise OSError(errno.EINVAL, "is not a whole path without . and ..", path)
    return parts


def _enter(directory: int, name: str, path: str) -> int:
    try:
        return os.open(name, _SEARCH, dir_fd=directory)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            kind = _found(os.lstat(name, dir_fd=directory)).kind
            if kind != "file":
                raise OSError(errno.ELOOP, f"is a {kind}, and none is followed: name the real place", path) from None
        raise OSError(error.errno, error.strerror, path) from None


def _found(status: os.stat_result) -> Found:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
    return Found(kind, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def _others_write(status: os.stat_result) -> bool:
    """Tell whether more than the owner can write it; root's group is root."""
    return bool(status.st_mode & (_OTHERS_WRITE if status.st_gid else 0o002))


def _others_rename(status: os.stat_result) -> bool:
    return _others_write(status) and not status.st_mode & stat.S_ISVTX


def _hand_over(descriptor: int, mode: int, owner: tuple[int, int] | None) -> None:
    if owner is not None and os.geteuid() == 0:
        os.fchown(descriptor, *owner)
    os.fchmod(descriptor, mode)


def _temporary(name: str) -> str:
    return f".{name}.alerta-opsgenie-new"


def _read_open(descriptor: int, path: str) -> str:
    """Read an open file; latin-1 carries any byte through JSON."""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a plain file", path)
        data = file.read(LARGEST_FILE_BYTES + 1)
    if len(data) > LARGEST_FILE_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {LARGEST_FILE_BYTES} bytes", path)
    return data.decode("latin-1")


def _open(place: Place, flags: int) -> int:
    return os.open(place.name, flags, 0o600, dir_fd=place.directory)


def _unlink(place: Place) -> None:
    with suppress(FileNotFoundError):
        os.unlink(place.name, dir_fd=place.directory)


def _rename(place: Place, name: str) -> None:
    """Give it another name in its directory, durably."""
    os.rename(place.name, name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    with _opened(os.open(".", _LIST, dir_fd=place.directory)) as directory:
        os.fsync(directory)


@contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
