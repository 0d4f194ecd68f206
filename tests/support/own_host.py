"""A private host for a test: its /etc, /home and /var are not visible to other processes.

Root enters a mount namespace of its own and leaves it at the end (unshare(2), setns(2)). Users that are made, units and
logs lie in a temporary directory; no other process of the machine sees or changes them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_KEPT = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "login.defs", "hosts", "resolv.conf", "ssl")
_libc = ctypes.CDLL(None, use_errno=True)

USER_ID, OTHER_ID = 4711, 4712


def may_have_own_host() -> bool:
    """Whether this process may make a mount namespace."""
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, flags: int) -> None:
    _checked(_libc.mount(source.encode(), target.encode(), None, flags, None), f"mount {target}")


def _fill(directory: Path) -> None:
    for path in ("home", "var/lib", "var/log", "var/tmp", "etc/systemd/system"):
        (directory / path).mkdir(parents=True)
    (directory / "var/tmp").chmod(0o1777)
    (directory / "etc/own-host").touch()
    for name in _KEPT:
        source = Path("/etc") / name
        if source.is_dir():
            shutil.copytree(source, directory / "etc" / name, symlinks=True)
        elif source.exists():
            shutil.copy(source, directory / "etc" / name)
    lines = [f"mallory:x:{USER_ID}:{USER_ID}::/home/mallory:/bin/sh", f"eve:x:{OTHER_ID}:{OTHER_ID}::/:/bin/sh"]
    users = ["root:x:0:0:root:/root:/bin/sh", *lines, "nobody:x:65534:65534::/:/bin/sh"]
    groups = [":".join(line.split(":")[0:3]) + ":" for line in users]
    (directory / "etc/passwd").write_text("\n".join(users) + "\n")
    (directory / "etc/group").write_text("\n".join(groups) + "\n")
    for name in ("shadow", "gshadow"):
        (directory / "etc" / name).touch(0o600)


def _leave(before: int) -> None:
    """Go back. Until a thread that Python has joined is over for the kernel too, setns answers EINVAL."""
    until = time.monotonic() + 10.0
    while _libc.setns(before, _CLONE_NEWNS) != 0:
        if ctypes.get_errno() != errno.EINVAL or time.monotonic() > until:
            _checked(-1, "setns")
        time.sleep(0.01)


@contextmanager
def own_host() -> Iterator[Path]:
    """Enter it, and give the directory that its /etc, /home and /var lie in."""
    directory = Path(tempfile.mkdtemp(prefix="ao-host-", dir="/tmp"))
    directory.chmod(0o755)
    _fill(directory)
    before, place = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), Path.cwd()
    try:
        _checked(_libc.unshare(_CLONE_NEWNS), "unshare")
        _mount("none", "/", _MS_REC | _MS_PRIVATE)
        for name in ("etc", "home", "var"):
            _mount(str(directory / name), f"/{name}", _MS_BIND)
        yield directory
    finally:
        _leave(before)
        os.close(before)
        os.chdir(place)
        shutil.rmtree(directory, ignore_errors=True)
