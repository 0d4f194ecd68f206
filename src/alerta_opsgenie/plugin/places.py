"""Where on the host's disk the plugin keeps what waits for Opsgenie, and what its workers agree by who sends."""

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Mapping, Tuple

SPOOL = "/var/lib/alerta-opsgenie/plugin"
"""Where what waits for Opsgenie is kept, unless OPSGENIE_SPOOL_DIR names a place."""

_MOST_TO_MAKE = 2  # /var/lib itself has to be there


def spool_directory(configured: str) -> Tuple[str, str]:
    """Give the directory for what waits, and what is wrong with it.

    It is the configured or usual one, or one of this user's own inside it. Where neither can be used it is one that may
    not outlive the host's next start: better than the memory of a worker, which may end after seconds.
    """
    wanted = own_directory(configured or SPOOL)
    if _can_be_used(Path(wanted)):
        return wanted, ""
    what, fallback = f"OPSGENIE_SPOOL_DIR: {wanted} cannot be written by this user", _fallback()
    if not _is_ours_alone(fallback):
        return wanted, f"{what}; {fallback} is not used, because it is not a directory of this user alone"
    return str(fallback), f"{what}: what waits is kept in {fallback}, which may be emptied when the host restarts"


def own_directory(configured: str) -> str:
    """Give the directory to use: the configured one, or one of our own inside it where it is a shared volume.

    Shared is what others may write too, or what root made for us. Another user's directory stays as it is, to be
    refused.
    """
    try:
        status = Path(configured).lstat()
    except (OSError, ValueError):
        return configured  # made by the journal, which says why where that cannot be
    is_shared = bool(status.st_mode & 0o022) and status.st_uid in (0, os.geteuid())
    if stat.S_ISDIR(status.st_mode) and is_shared:
        return str(Path(configured, f"alerta-opsgenie-{os.geteuid()}"))
    return configured


def lock_directory(config: Mapping[str, Any], product: str = "") -> str:
    """Give a directory of this user for this Alerta and product, which need not outlive the host's next start."""
    name = f"{config.get('DATABASE_URL')} {config.get('DATABASE_NAME')} {config.get('DATABASE_SCHEMA')}{product}"
    directory = _fallback(f"-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:12]}")
    return str(directory) if _is_ours_alone(directory) else SPOOL


def _can_be_used(directory: Path) -> bool:
    try:
        nearest = next(place for place in (directory, *directory.parents) if place.exists())
        is_near = nearest.is_dir() and len(directory.parts) - len(nearest.parts) <= _MOST_TO_MAKE
        is_ours = nearest != directory or nearest.stat().st_uid == os.geteuid()
    except (OSError, ValueError):
        return False
    return is_near and is_ours and os.access(nearest, os.W_OK | os.X_OK)


def _fallback(ending: str = "") -> Path:
    try:
        place = tempfile.gettempdir()
    except OSError:  # no temporary directory can be written to
        place = "/tmp"  # noqa: S108 - refused later, with the reason
    return Path(place) / f"alerta-opsgenie-plugin-{os.getuid()}{ending}"


def _is_ours_alone(directory: Path) -> bool:
    """Make a directory below one that everybody can write to; False where somebody else was there first.

    A link counts as somebody else's. With the sticky bit on the directory above, nobody else can replace it later.
    """
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        status, parent = directory.lstat(), directory.parent.stat()
    except OSError:
        return False
    open_to_all = parent.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not parent.st_mode & stat.S_ISVTX
    is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return is_private and not open_to_all
