"""Writing a configuration: whole or not at all, for its owner alone, and never over another without a copy of it."""

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
"""The file holds keys: its owner reads and writes it, and nobody else."""


def dump_document(value: Mapping[str, Any], *, syntax: str = "json") -> str:
    """Write a configuration as text, in the order of its keys, with a newline at its end."""
    if syntax == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        import yaml  # noqa: PLC0415 - only needed for this syntax
    except ImportError:
        raise ConfigError(
            "YAML", "cannot be written without PyYAML", "pip install 'alerta-opsgenie[connector]', or write .json"
        ) from None
    text: str = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


def write_document(
    path: str | os.PathLike[str], value: Mapping[str, Any], *, force: bool = False, now: datetime | None = None
) -> Path | None:
    """Write a configuration to `path`, as JSON or YAML by its name, atomically and with the mode 0600.

    A file that is there already is only replaced with `force`; it is kept beside the new one under a dated name, which
    is given back. In a directory that is not root's, root has its owner write it (`safe_files`). `now` dates the copy
    (default: the clock). Raises `ConfigError`.
    """
    data, files = dump_document(value, syntax=syntax_of(path)).encode("utf-8"), SafeFiles()
    try:
        target = _target(files, os.fspath(path))
        found = files.look(target)
        if found is not None and not force:
            raise ConfigError(
                os.fspath(path), "is already there", "choose another --output, or replace it with --force", usage=True
            )
        if found is None:
            files.write(target, data, PRIVATE_MODE)
            return None
        backup = _free_name(files, target, now or datetime.now().astimezone())
        owner = (found.uid, found.gid) if files.writer(os.path.dirname(target)) == 0 else None  # noqa: PTH120
        files.write(backup, files.read(target), PRIVATE_MODE, owner)
        files.write(target, data, PRIVATE_MODE, owner)
    except OSError as error:
        raise ConfigError(
            os.fspath(path), f"cannot be written: {error.strerror}", "check the directory, its owner and the space left"
        ) from None
    return Path(backup)


def _target(files: SafeFiles, path: str) -> str:
    """Name the file itself, never a link to it. Root follows a link only where nobody else can have made it."""
    if os.geteuid() != 0:
        return os.path.realpath(path)
    target = os.path.abspath(path)  # noqa: PTH100 - follows nothing
    found = files.look(target)
    if found is not None and found.kind == "symbolic link" and files.writer(target) == 0:
        return os.path.normpath(os.path.join(os.path.dirname(target), os.readlink(target)))  # noqa: PTH115, PTH118, PTH120
    return target


def _free_name(files: SafeFiles, target: str, now: datetime) -> str:
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S")
    names = (f"{target}.{stamp}{f'-{number}' if number else ''}.bak" for number in range(1000))
    return next(name for name in names if files.look(name) is None)
