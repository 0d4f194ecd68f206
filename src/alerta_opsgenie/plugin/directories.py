"""The plugin's directories on the host: for the outbox, and for the lock file of the process that sends."""

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Mapping, Tuple

SPOOL = "/var/lib/alerta-opsgenie/plugin"
"""The outbox's directory, unless OPSGENIE_SPOOL_DIR names another."""

_MOST_TO_MAKE = 2  # /var/lib itself has to exist


def spool_directory(configured: str) -> Tuple[str, str]:
    """Return the directory for the outbox, and what is wrong with it.

    It is the configured or default one, or this user's own directory inside it. If neither can be used, it is one in
    the temporary directory, which may be emptied at the next boot. A worker's memory may be gone after seconds.
    """
    wanted = own_directory(configured or SPOOL)
    if _can_be_used(Path(wanted)):
        return wanted, ""
    what, fallback = f"OPSGENIE_SPOOL_DIR: {wanted} cannot be written by this user", _fallback()
    if not _is_ours_alone(fallback):
        return wanted, f"{what}; {fallback} is not used, because it is not a directory of this user alone"
    return str(fallback), f"{what}: what waits is kept in {fallback}, which may be emptied when the host restarts"


def own_directory(configured: str) -> str:
    """Return the configured directory, or this user's own directory inside it where it is a shared volume.

    It is shared if others may write to it and it belongs to root or to this user. Another user's directory is returned
    unchanged, and refused later.
    """
    try:
        status = Path(configured).lstat()
    except (OSError, ValueError):
        return configured  # the journal makes it, or reports why it cannot
    is_shared = bool(status.st_mode & 0o022) and status.st_uid in (0, os.geteuid())
    if stat.S_ISDIR(status.st_mode) and is_shared:
        return str(Path(configured, f"alerta-opsgenie-{os.geteuid()}"))
    return configured


def lock_directory(config: Mapping[str, Any], product: str = "") -> str:
    """Return this user's temporary directory for this Alerta and product. It may be emptied at the next boot."""
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
    """Make a directory inside one that everybody can write to. Return False if another user made it first.

    A link counts as another user's. With the sticky bit on the parent directory, no other user can replace it later.
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
