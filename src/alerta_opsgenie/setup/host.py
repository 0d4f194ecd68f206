"""The host on which `install` works: its files, users, groups and commands."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alerta_opsgenie.vendor.safe_files import NOBODY, SafeFiles, group_of

if TYPE_CHECKING:
    from alerta_opsgenie.setup.layout import Ownership

COMMAND_SECONDS = 60.0


class SetupError(Exception):
    """The host cannot be set up: `what` is wrong, `advice` is the next step. `usage`: an option is wrong."""

    def __init__(self, what: str, advice: str, *, usage: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
        self.usage = usage


@dataclass(frozen=True)
class Host:
    """This host, or an image below the directory `root`; then nothing outside of the image is changed.

    `owner` (uid, gid) is the connector's user in an image.
    """

    root: str = ""
    owner: tuple[int, int] | None = None

    @property
    def staged(self) -> bool:
        """Whether this is an image and not the running system."""
        return bool(self.root)

    @property
    def has_systemd(self) -> bool:
        """Whether this host was started by systemd (sd_booted(3))."""
        return not self.staged and Path("/run/systemd/system").is_dir()

    @property
    def files(self) -> SafeFiles:
        """The files of this host."""
        return SafeFiles(self.root or "/", self._group_of)

    def _group_of(self, uid: int) -> int:
        if self.owner is not None and uid == self.owner[0]:
            return self.owner[1]
        return NOBODY if self.staged else group_of(uid)

    def user_number(self, name: str) -> int | None:
        """Return a user's number; None: there is no such user. An image's own users are not looked up."""
        with suppress(KeyError):
            return 0 if name == "root" else None if self.staged else pwd.getpwnam(name).pw_uid
        return None

    def group_number(self, name: str) -> int | None:
        """Return a group's number; None: there is no such group."""
        with suppress(KeyError):
            return 0 if name == "root" else None if self.staged else grp.getgrnam(name).gr_gid
        return None

    def numbers(self, ownership: Ownership) -> tuple[int, int] | None:
        """Return user and group by number; None if they are not known, or this process cannot change owners."""
        if os.geteuid() != 0:
            return None
        given = self.owner or (None, None)
        uid, gid = self.user_number(ownership.user), self.group_number(ownership.group)
        uid, gid = given[0] if uid is None else uid, given[1] if gid is None else gid
        return None if uid is None or gid is None else (uid, gid)


def run_command(command: list[str], *, fine: int = 0) -> None:
    """Run an administrator's command to its end; `fine` is an exit code that is not a failure.

    Raises `SetupError` with the command's output.
    """
    text = " ".join(command)
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
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{text} failed: {error}", f"do it by hand: {text}") from None
    if ended.returncode not in {0, fine}:
        output = " ".join((ended.stderr or ended.stdout).split())[:300]
        raise SetupError(f"{text} failed: {output}", "correct the cause, then run this again")
