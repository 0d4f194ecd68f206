"""The host that is set up: its files, below a staging root where there is one, and its users and groups."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alerta_opsgenie.setup.layout import Ownership

COMMAND_SECONDS = 60.0
_NEW = "alerta-opsgenie-new"
_TAKEN = 9  # useradd(8), groupadd(8): the name is in use already
_GONE = 6  # userdel(8), groupdel(8): there is none of that name


class SetupError(Exception):
    """The host cannot be set up so: `what` is wrong, `mend` the next thing to do. With `usage` it was asked wrongly."""

    def __init__(self, what: str, mend: str, *, usage: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.usage = usage


@dataclass(frozen=True)
class Attributes:
    """Owner, group (both by number) and mode of a file."""

    uid: int
    gid: int
    mode: int


@dataclass(frozen=True)
class Found:
    """What stands at a path: `kind` is `file`, `directory`, `link` or `other`."""

    kind: str
    attributes: Attributes


@dataclass(frozen=True)
class Host:
    """A host's files and users. With a `root` directory it is an image that is being made, and nothing outside is seen.

    `owner` (uid, gid) stands for the connector's user in an image that does not know that user yet.
    """

    root: str = ""
    owner: tuple[int, int] | None = None

    @property
    def staged(self) -> bool:
        """Whether this is an image and not the running system."""
        return bool(self.root)

    @property
    def may_chown(self) -> bool:
        """Whether files can be given to others."""
        return os.geteuid() == 0

    def at(self, path: str) -> Path:
        """Give the path as this process has to name it."""
        return Path(self.root) / path.lstrip("/") if self.root else Path(path)

    # -- looking

    def look(self, path: str) -> Found | None:
        """See what is at a path, without following a link at its end; None: nothing."""
        try:
            status = self.at(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "other")
        return Found(kind, Attributes(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)))

    def read(self, path: str) -> bytes:
        """Read a file that was seen to be one."""
        descriptor = os.open(self.at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    # -- changing

    def make_directory(self, path: str, mode: int = 0o700) -> None:
        """Make a directory, by default open to nobody else yet."""
        with suppress(FileExistsError):
            self.at(path).mkdir(mode=mode)
        self._sync(path)

    def write(self, path: str, data: bytes, attributes: Attributes) -> None:
        """Write a file whole or not at all, durably."""
        temporary = self._temporary(path)
        temporary.unlink(missing_ok=True)
        # Exclusive, because the directory may belong to a user who could put a link of that name there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if self.may_chown:
                os.fchown(descriptor, attributes.uid, attributes.gid)
            os.fchmod(descriptor, attributes.mode)
            os.fsync(descriptor)
        temporary.replace(self.at(path))
        self._sync(path)

    def set_attributes(self, path: str, attributes: Attributes) -> None:
        """Give a file or directory another owner and mode."""
        target = self.at(path)
        if self.may_chown:
            os.chown(target, attributes.uid, attributes.gid, follow_symlinks=False)
        target.chmod(attributes.mode)

    def move(self, old: str, new: str) -> None:
        """Give a file or directory another name on the same disk."""
        self.at(old).rename(self.at(new))
        self._sync(old)
        self._sync(new)

    def remove_file(self, path: str) -> None:
        """Remove a file, and what a killed writing of it left."""
        self.at(path).unlink(missing_ok=True)
        self.remove_remains(path)

    def remove_remains(self, path: str) -> None:
        """Remove what a killed writing of this file left."""
        with suppress(FileNotFoundError, NotADirectoryError):
            self._temporary(path).unlink()

    def remove_directory(self, path: str) -> bool:
        """Remove a directory if it is empty; False: it is not."""
        try:
            self.at(path).rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def remove_tree(self, path: str) -> None:
        """Remove a file, or a directory with all that is in it."""
        target = self.at(path)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def _temporary(self, path: str) -> Path:
        target = self.at(path)
        return target.with_name(f".{target.name}.{_NEW}")

    def _sync(self, path: str) -> None:
        descriptor = os.open(self.at(path).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # -- users and groups

    def user_number(self, name: str) -> int | None:
        """Give a user's number; None: there is no such user here."""
        if name == "root":
            return 0
        if self.root:
            return self._number_in("etc/passwd", name)
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            return None

    def group_number(self, name: str) -> int | None:
        """Give a group's number; None: there is no such group here."""
        if name == "root":
            return 0
        if self.root:
            return self._number_in("etc/group", name)
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def numbers(self, ownership: Ownership) -> tuple[int, int] | None:
        """Give user and group by number; None where they are not known, or files cannot be given away."""
        if not self.may_chown:
            return None
        given = self.owner or (None, None)
        uid = self.user_number(ownership.user)
        gid = self.group_number(ownership.group)
        uid, gid = given[0] if uid is None else uid, given[1] if gid is None else gid
        return None if uid is None or gid is None else (uid, gid)

    def awaits(self, ownership: Ownership) -> bool:
        """Whether files will be this user's who is not there yet: a step of the same plan makes the user."""
        return self.may_chown and not self.staged and self.numbers(ownership) is None

    def _number_in(self, file: str, name: str) -> int | None:
        try:
            lines = (Path(self.root) / file).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        entries = (line.split(":") for line in lines)
        return next((int(entry[2]) for entry in entries if entry[0] == name and entry[2:3] != [""]), None)

    def add_group(self, name: str) -> None:
        """Make a system group. Raises `SetupError`."""
        run_command(["groupadd", "--system", name], fine={_TAKEN})

    def add_user(self, name: str, group: str, home: str) -> None:
        """Make a system user who cannot log in; the home directory is not made. Raises `SetupError`."""
        shell = next((path for path in ("/usr/sbin/nologin", "/sbin/nologin") if Path(path).exists()), "/bin/false")
        command = ["useradd", "--system", "--gid", group, "--home-dir", home, "--no-create-home", "--shell", shell]
        run_command([*command, name], fine={_TAKEN})

    def remove_user(self, name: str) -> None:
        """Remove a user, but not the home directory. Raises `SetupError`."""
        run_command(["userdel", name], fine={_GONE})

    def remove_group(self, name: str) -> None:
        """Remove a group; most systems remove a user's own with the user. Raises `SetupError`."""
        run_command(["groupdel", name], fine={_GONE})

    # -- the service manager

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs this very host (sd_booted(3))."""
        return not self.staged and Path("/run/systemd/system").is_dir()


def run_command(command: list[str], *, fine: set[int] | None = None) -> str:
    """Run an administrator's command to its end and give its output. Raises `SetupError` with its own words."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise SetupError(
            f"there is no command {command[0]} here", f"install it, or do by hand: {' '.join(command)}"
        ) from None
    except subprocess.TimeoutExpired:
        raise SetupError(f"{' '.join(command)} did not end in {COMMAND_SECONDS:g} s", "try it by hand") from None
    if ended.returncode and ended.returncode not in (fine or set()):
        said = " ".join((ended.stderr or ended.stdout).split())[:300]
        raise SetupError(f"{' '.join(command)} failed: {said}", "mend what it says, then run this again")
    return ended.stdout


def digest(data: bytes) -> str:
    """Give the fingerprint by which a file is known again."""
    return hashlib.sha256(data).hexdigest()
