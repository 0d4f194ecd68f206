"""The files that a mapping names for a script's output, written and rotated as the Go connectors do.

They use lumberjack with 3 MB a file and one day of old ones (queue/processor.go); its error texts are what Opsgenie is
told when such a file cannot be written.
"""

from __future__ import annotations

import os
import re
import threading
import time
from datetime import datetime
from pathlib import Path

from alerta_opsgenie.vendor.errno_text import go_error

LARGEST_FILE_BYTES = 3 * 1024 * 1024
"""MaxSize of the connectors' loggers."""

OLDEST_FILE_SECONDS = 24 * 3600
"""MaxAge of the connectors' loggers: rotated files older than this are removed."""

_STAMP = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"


class ScriptLogError(Exception):
    """The file cannot be written; the text is the Go logger's."""


class ScriptLogs:
    """The output files of one connector, shared by its workers: what one write gives stays together."""

    def __init__(self, *, largest_file_bytes: int = LARGEST_FILE_BYTES) -> None:
        self._largest = largest_file_bytes
        self._lock = threading.Lock()

    def write(self, path: str, data: bytes) -> None:
        """Append to the file, which is made (0600, with its directories) or rotated first. Raises `ScriptLogError`."""
        with self._lock:
            descriptor = self._open(path, len(data))
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(descriptor, left) :]
            except OSError as error:
                raise ScriptLogError(f"write {path}: {go_error(error)}") from None
            finally:
                os.close(descriptor)

    def _open(self, path: str, coming_bytes: int) -> int:
        try:
            size = Path(path).stat().st_size
        except FileNotFoundError:
            return _make(path)
        except OSError as error:
            raise ScriptLogError(f"error getting log file info: stat {path}: {go_error(error)}") from None
        if size and size + coming_bytes > self._largest:
            return _rotate(path)
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise ScriptLogError(f"can't open new logfile: open {path}: {go_error(error)}") from None


def _make(path: str) -> int:
    try:
        Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        place = f"mkdir {error.filename}: {go_error(error)}"
        raise ScriptLogError(f"can't make directories for new logfile: {place}") from None
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise ScriptLogError(f"can't open new logfile: open {path}: {go_error(error)}") from None


def _rotate(path: str) -> int:
    file = Path(path)
    now = datetime.now().astimezone()
    stamp = f"{now:%Y-%m-%dT%H-%M-%S}.{now.microsecond // 1000:03d}"
    backup = file.with_name(f"{file.stem}-{stamp}{file.suffix}")
    try:
        file.rename(backup)
    except OSError as error:
        raise ScriptLogError(f"can't rename log file: rename {path} {backup}: {go_error(error)}") from None
    _remove_old(path)
    return _make(path)


def _remove_old(path: str) -> None:
    file = Path(path)
    rotated = re.compile(re.escape(file.stem) + _STAMP + re.escape(file.suffix))
    oldest = time.time() - OLDEST_FILE_SECONDS
    for entry in file.parent.iterdir():
        if rotated.fullmatch(entry.name) and entry.lstat().st_mtime < oldest:
            entry.unlink(missing_ok=True)
