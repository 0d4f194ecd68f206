"""Writing a configuration: whole or not at all, for its owner alone, and never over another without a copy of it.

Everything is done in one directory that is opened first, by names without a path, and no link is followed. Root writes
only where nobody else can change a directory on the way: otherwise the user of that directory could make root write,
and give away, any file of the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, Mapping

import yaml

from alerta_opsgenie.vendor.document import syntax_of
from alerta_opsgenie.vendor.problems import ConfigError

PRIVATE_MODE = 0o600
"""The file holds keys: its owner reads and writes it, and nobody else."""

SERVICE_MODE = 0o640
"""Of a file that is root's and that a service reads by its group."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def dump_document(value: Mapping[str, Any], *, syntax: str = "json") -> str:
    """Write a configuration as text, in the order of its keys, with a newline at its end."""
    if syntax == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


def write_document(
    path: str | os.PathLike[str], value: Mapping[str, Any], *, force: bool = False, now: datetime | None = None
) -> Path | None:
    """Write a configuration to `path`, as JSON or YAML by its name, atomically.

    A file that is there already is only replaced with `force`; it is kept beside the new one under a dated name, which
    is given back. The new file has the old one's owner where we may give it away, and the mode 0600 (0640 where the
    old one is root's and read by another group). `now` dates the copy (default: the clock). Raises `ConfigError`.
    """
    text = dump_document(value, syntax=syntax_of(path)).encode("utf-8", "replace")
    # The file itself is replaced, never a link to it; root follows none, since somebody else may have made it.
    target = Path(os.path.realpath(path) if os.geteuid() != 0 else os.path.abspath(path))  # noqa: PTH100 - no link
    try:
        with _safe_directory(target.parent) as directory:
            old = _look(directory, target.name)
            if old is not None and not force:
                mend = "choose another --output, or replace it with --force"
                raise ConfigError(os.fspath(path), "is already there", mend, usage=True)
            when = now or datetime.now().astimezone()
            backup = _keep_copy(directory, target.name, when) if old is not None else ""
            _write_beside(directory, target.name, text, old)
            return target.with_name(backup) if backup else None
    except OSError as error:
        mend = "check the directory, its owner and the space left; root follows no links"
        raise ConfigError(os.fspath(path), f"cannot be written: {error.strerror}", mend) from None


@contextlib.contextmanager
def _safe_directory(path: Path) -> Iterator[int]:
    """Open a directory. Root steps down to it: raises `ConfigError` where others than root can change a step."""
    is_root = os.geteuid() == 0
    descriptor = os.open("/" if is_root else path, _DIRECTORY)
    try:
        for step in path.parts if is_root else ():
            below = os.open(step, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            if _others_may_change(os.fstat(descriptor)):
                what = f"is in {path}, which others than root can change, and root does not write there"
                raise ConfigError("--output", what, "run this as the directory's user, or use --output -", usage=True)
        yield descriptor
    finally:
        os.close(descriptor)


def _others_may_change(status: os.stat_result) -> bool:
    """Whether somebody else can put a link where a name of root's stands. A sticky directory keeps what is there."""
    by_mode = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
    return status.st_uid != 0 or bool(by_mode)


def _look(directory: int, name: str) -> os.stat_result | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(name, "is there and is no file", "choose another --output", usage=True)
    return found


def _keep_copy(directory: int, name: str, now: datetime) -> str:
    """Copy the file to a dated name beside it, for its reader alone; gives that name."""
    reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(reader, "rb") as file:
        content = file.read()
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S")
    for number in range(1000):
        backup = f"{name}.{stamp}{f'-{number}' if number else ''}.bak"
        with contextlib.suppress(FileExistsError):
            _write_new(os.open(backup, _NEW_FILE, PRIVATE_MODE, dir_fd=directory), content)
            return backup
    raise FileExistsError(17, "a thousand copies of this second are there already")


def _write_beside(directory: int, name: str, content: bytes, old: os.stat_result | None) -> None:
    temporary = f".{name}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, _NEW_FILE, PRIVATE_MODE, dir_fd=directory)
    try:
        if old is not None and os.geteuid() == 0:
            os.fchown(descriptor, old.st_uid, old.st_gid)
            if old.st_uid == 0 and old.st_gid != 0 and old.st_mode & stat.S_IRGRP:
                os.fchmod(descriptor, SERVICE_MODE)
        _write_new(descriptor, content)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    os.fsync(directory)


def _write_new(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
