"""Write a configuration atomically, readable by its owner only; keep a copy of a file that it replaces."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Mapping

from alerta_opsgenie.vendor.document import syntax_of
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.safe_files import SafeFiles

PRIVATE_MODE = 0o600
"""The file contains keys: only its owner can read and write it."""

SERVICE_MODE = 0o640
"""The mode of a file of root's that a service reads through its group."""


def dump_document(value: Mapping[str, Any]) -> str:
    """Return a configuration as JSON (which is YAML too) with its keys in order and a final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_document(
    path: str | os.PathLike[str], value: Mapping[str, Any], *, force: bool = False, now: datetime | None = None
) -> Path | None:
    """Write a configuration to `path` atomically; return the path of the replaced file's copy, if any.

    An existing file is replaced only with `force`. Its copy is in the same directory and has the date `now` (default:
    the clock) in its name. The mode is 0600, or 0640 if the old file is root's and another group can read it. Raises
    `ConfigError`.
    """
    syntax_of(path)  # raises for a name that the connectors would not read
    data, files = dump_document(value).encode("utf-8", "replace"), SafeFiles()
    # Root follows no link, because another user may have made it. For other users, a link stays a link.
    target = os.path.abspath(path) if os.geteuid() == 0 else os.path.realpath(path)  # noqa: PTH100 - follows nothing
    try:
        found = files.look(target)
        if found is None:
            files.write(target, data, PRIVATE_MODE)
            return None
        if found.kind != "file" or not force:
            what = "is already there" if found.kind == "file" else "is there and is no file"
            raise ConfigError(target, what, "choose another --output, or replace a file with --force", usage=True)
        backup = free_name(files, target, now or datetime.now().astimezone())
        is_roots = files.find_writer(os.path.dirname(target)) == 0  # noqa: PTH120
        files.write(backup, files.read(target), PRIVATE_MODE, (found.uid, 0) if is_roots else None)
        serves = found.uid == 0 and found.gid != 0 and found.mode & 0o040
        files.write(
            target, data, SERVICE_MODE if serves else PRIVATE_MODE, (found.uid, found.gid) if is_roots else None
        )
    except OSError as error:
        advice = "check the directory, its owner and the space left; root follows no links"
        raise ConfigError(os.fspath(path), f"cannot be written: {error.strerror}", advice) from None
    return Path(backup)


def free_name(files: SafeFiles, path: str, now: datetime) -> str:
    """Return a free, dated path in the file's directory for a copy of it."""
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S")
    names = (f"{path}.{stamp}{f'-{number}' if number else ''}.bak" for number in range(1000))
    return next(name for name in names if files.look(name) is None)
