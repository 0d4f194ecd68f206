"""Writing a configuration: whole or not at all, for its owner alone, and never over another without a copy of it."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, Mapping

from alerta_opsgenie.vendor.document import syntax_of
from alerta_opsgenie.vendor.problems import ConfigError

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
    is given back, and its owner is kept where we may. `now` dates it (default: the clock). Raises `ConfigError`.
    """
    target = Path(os.path.realpath(path))  # the file itself is replaced, never a link to it
    text = dump_document(value, syntax=syntax_of(path))
    try:
        if not target.exists():
            _write_private(target, text)
            return None
        if not force:
            raise ConfigError(
                os.fspath(path), "is already there", "choose another --output, or replace it with --force", usage=True
            )
        return _replace(target, text, now or datetime.now().astimezone())
    except OSError as error:
        raise ConfigError(
            os.fspath(path), f"cannot be written: {error.strerror}", "check the directory, its owner and the space left"
        ) from None


def _replace(target: Path, text: str, now: datetime) -> Path:
    status = target.stat()
    backup = _keep_copy(target, now)
    _write_private(target, text, owner=(status.st_uid, status.st_gid))
    return backup


def _keep_copy(target: Path, now: datetime) -> Path:
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S")
    content = target.read_bytes()
    for number in range(1000):
        backup = target.with_name(f"{target.name}.{stamp}{f'-{number}' if number else ''}.bak")
        try:
            descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        return backup
    raise FileExistsError(17, "a thousand copies of this second are there already")


def _write_private(target: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, PRIVATE_MODE)
            if owner is not None and os.geteuid() == 0:
                os.fchown(descriptor, *owner)
            os.fsync(descriptor)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
