"""Files that root reads and writes in directories that other users can write to.

Two rules protect root:

1. Root acts as root only if all directories of the path are root's and no other user can rename anything in them: then
   the file that was checked is the file that is used. Below the first directory of another user, a child process with
   that user's rights does the work (`as_user`).
2. No symbolic link is followed, neither in the directories of the path nor at its end.

Modes come from the caller, never from an existing file. Every failure is an `OSError`; `strerror` has the reason.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple

from alerta_opsgenie.vendor.as_user import run_as

LARGEST_FILE_BYTES = 4 * 1024 * 1024
"""No configuration, key or script is larger."""

NOBODY = 65534

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link"}
_OTHERS_WRITE = 0o022


class FileStatus(NamedTuple):
    """What exists at a path. `kind` is `file`, `directory`, `symbolic link` or `special file`."""

    kind: str
    uid: int
    gid: int
    mode: int


class ResolvedPath(NamedTuple):
    """The path of a file on this host (with the image's directory in front), and who can rename in its directories.

    `owner` (uid) owns the first directory of the path that is not root's; 0 if all are root's. `shared`: other users
    can rename something in one of the directories.
    """

    path: str
    owner: int
    shared: bool


def group_of(uid: int) -> int:
    """Return the user's primary group. It is not read from a file: a user's file may belong to root's group."""
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return NOBODY


@dataclass(frozen=True)
class SafeFiles:
    """The files of this host, or of an image below the directory `root`. Paths are those of the running system.

    `groups` returns the primary group of a user; an image has users that this host does not have.
    """

    root: str = "/"
    groups: Callable[[int], int] = group_of

    # -- looking

    def look(self, path: str) -> FileStatus | None:
        """Return what exists at a path; None: nothing."""
        try:
            return _status_of(os.lstat(self._resolve(path).path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def find_writer(self, path: str) -> int:
        """Return the uid of a user who can change this file; 0: only root can."""
        place = self._resolve(path)
        status = os.lstat(place.path)
        others = place.shared or (_others_write(status) and not stat.S_ISLNK(status.st_mode))
        return place.owner or status.st_uid or (NOBODY if others else 0)

    def read(self, path: str, uid: int | None = None) -> bytes:
        """Read a plain file. With `uid`, read it as that user: use this if that user chose the path."""
        # The child returns JSON; latin-1 can encode any byte.
        text: str = self._run(path, lambda here: _read(here).decode("latin-1"), uid)
        return text.encode("latin-1")

    def names(self, path: str) -> list[str]:
        """List a directory."""
        found: list[str] = self._run(f"{path}/-", lambda here: [entry.name for entry in Path(here).parent.iterdir()])
        return sorted(found)

    # -- changing

    def write(self, path: str, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Write a file atomically and durably, and give it to `owner` (uid, gid). Not in another user's directory."""

        def work(here: str) -> None:
            new = _temporary(here)
            _unlink(new)
            try:
                with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    _set_owner_and_mode(file.fileno(), mode, owner)
                    os.fsync(file.fileno())
                _rename(new, here)
            except OSError:
                _unlink(new)
                raise

        self._change(path, work, owner)

    def make_directory(self, path: str, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Make a directory, or correct an existing one: its mode, and its `owner` (uid, gid)."""

        def work(here: str) -> None:
            with suppress(FileExistsError):
                Path(here).mkdir(0o700)
            directory = os.open(here, os.O_DIRECTORY | _SAFE)
            try:
                there = os.fstat(directory).st_uid
                if there not in {os.geteuid(), (owner or (0, 0))[0]}:
                    raise OSError(errno.EPERM, f"belongs to user {there}", here)
                _set_owner_and_mode(directory, mode, owner)
            finally:
                os.close(directory)

        self._change(path, work, owner)

    def rename(self, path: str, new: str) -> None:
        """Rename a file within its directory. The new name must be free."""
        if Path(new).parent != Path(path).parent or self.look(new) is not None:
            raise OSError(errno.EEXIST, "there is another file by now", new)
        self._change(path, lambda here: _rename(here, str(Path(here).with_name(Path(new).name))))

    def remove(self, path: str) -> None:
        """Remove a file, and the temporary file of a killed `write`."""

        def work(here: str) -> None:
            _unlink(here)
            _unlink(_temporary(here))

        self._change(path, work)

    def remove_directory(self, path: str) -> bool:
        """Remove a directory; False: it is not empty."""
        try:
            if self.look(path) is not None:
                self._run(path, os.rmdir)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return False
            raise
        return True

    def remove_tree(self, path: str) -> None:
        """Remove a directory with its contents. Links in it are removed, not followed."""
        self._change(path, shutil.rmtree)

    # -- rights

    def _change(self, path: str, work: Callable[[str], None], owner: tuple[int, int] | None = None) -> None:
        """Change something with `work`. Raise `OSError` where others can rename, or for another user's directory."""
        place = self._resolve(path)
        if os.geteuid() == 0 and place.owner == 0 and place.shared:
            raise OSError(errno.EPERM, "others can write to a directory above it", path)
        if owner is not None and place.owner not in {0, owner[0]}:
            raise OSError(errno.EPERM, f"a directory above it belongs to user {place.owner}", path)
        self._run(path, work)

    def _run(self, path: str, work: Callable[[str], Any], uid: int | None = None) -> Any:
        """Run `work` as root if all directories of the path are root's and no other user can rename in them.

        Otherwise run it as the owner of the first other directory, or as NOBODY. With `uid`, always as that user.
        """
        try:
            place = self._resolve(path)
            actor = (place.owner or (NOBODY if place.shared else 0)) if uid is None else uid
            if os.geteuid() != 0 or actor == 0:
                return work(place.path)
            return run_as(actor, self.groups(actor), lambda: work(self._resolve(path).path))
        except OSError as error:
            named = str(error.filename or "")
            why = error.strerror or str(error)
            raise OSError(error.errno, why, named if path.startswith(f"{named}/") else path) from None

    def _resolve(self, path: str) -> ResolvedPath:
        """Check each directory of a path. Raises `OSError` for a link, or for what is no directory."""
        parts = [part for part in path.split("/") if part]
        if not path.startswith("/") or not parts or {".", ".."} & set(parts):
            raise OSError(errno.EINVAL, "is not an absolute path without . and ..", path)
        base, owner, shared = self.root.rstrip("/"), 0, False
        for count in range(len(parts)):
            above = "/" + "/".join(parts[:count])
            status = os.lstat(base + above)
            if not stat.S_ISDIR(status.st_mode):
                kind = _status_of(status).kind
                code = errno.ENOTDIR if kind == "file" else errno.ELOOP
                raise OSError(code, f"is a {kind}, and no directory: name the real path", above)
            owner = owner or status.st_uid
            shared = shared or (_others_write(status) and not status.st_mode & stat.S_ISVTX)
        return ResolvedPath(f"{base}/{'/'.join(parts)}", owner, shared)


def _status_of(status: os.stat_result) -> FileStatus:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
    return FileStatus(kind, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def _others_write(status: os.stat_result) -> bool:
    """Return whether others than the owner can write. Members of root's group count as root."""
    return bool(status.st_mode & (_OTHERS_WRITE if status.st_gid else 0o002))


def read_plain(path: str, largest_bytes: int, flags: int = 0) -> bytes:
    """Read a plain file, of a larger one a byte more than `largest_bytes`. Raises `OSError`; `ValueError` for a NUL."""
    # Without O_NONBLOCK, opening a FIFO of this name would block forever.
    with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise IsADirectoryError(errno.EISDIR, "is not a plain file", path)
        return file.read(largest_bytes + 1)


def _read(here: str) -> bytes:
    data = read_plain(here, LARGEST_FILE_BYTES, _SAFE)
    if len(data) > LARGEST_FILE_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {LARGEST_FILE_BYTES} bytes", here)
    return data


def _set_owner_and_mode(descriptor: int, mode: int, owner: tuple[int, int] | None) -> None:
    if owner is not None and os.geteuid() == 0:
        os.fchown(descriptor, *owner)
    os.fchmod(descriptor, mode)


def _temporary(here: str) -> str:
    return str(Path(here).with_name(f".{Path(here).name}.alerta-opsgenie-new"))


def _unlink(here: str) -> None:
    Path(here).unlink(missing_ok=True)


def _rename(here: str, new: str) -> None:
    """Rename a file within its directory, durably."""
    Path(here).rename(new)
    directory = os.open(Path(new).parent, os.O_DIRECTORY | _SAFE)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
