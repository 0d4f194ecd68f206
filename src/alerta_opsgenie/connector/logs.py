"""The connector's log: text lines or JSON, with secrets masked."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Iterable

from alerta_opsgenie.core.secret import mask

FORMATS = ("text", "json")

_LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


class _Formatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        self.is_json = False
        self.secrets: set[str] = set()

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        if self.is_json:
            fields = {"time": when, "level": record.levelname.lower(), "logger": record.name, "message": text}
            line = json.dumps({**fields, **getattr(record, "fields", {})}, default=str)
        else:
            line = f"{when} {record.levelname} {' | '.join(text.splitlines())}"
            line = line.encode("utf-8", "backslashreplace").decode("utf-8")
        return mask(line, self.secrets)


_formatter = _Formatter()


def set_up(log_format: str, level: str) -> None:
    """Write the log to standard error."""
    _formatter.is_json = log_format == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Write lines of this level and above."""
    logging.getLogger("alerta_opsgenie").setLevel(_LEVELS[level])


def hide(secrets: Iterable[str]) -> None:
    """Mask these texts in every line."""
    _formatter.secrets |= set(secrets)
