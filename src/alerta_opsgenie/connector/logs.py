"""What the connector writes: lines for people, or JSON for machines; secrets in neither."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Iterable

from alerta_opsgenie.core.secret import mask

FORMATS = ("text", "json")

_LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


class _Formatter(logging.Formatter):
    """Makes one line of a record and hides the secrets in it."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._json = log_format == "json"
        self.secrets: set[str] = set()

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        line = self._as_json(record, text) if self._json else self._as_text(record, text)
        return mask(line, self.secrets)

    def _as_text(self, record: logging.LogRecord, text: str) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = f"{when}.{int(record.msecs):03d}Z {record.levelname} {' | '.join(text.splitlines())}"
        return line.encode("utf-8", "backslashreplace").decode("utf-8")

    def _as_json(self, record: logging.LogRecord, text: str) -> str:
        fields: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": text,
        }
        fields.update(getattr(record, "fields", {}))
        return json.dumps(fields, default=str)


_formatter: dict[str, _Formatter] = {}


def set_up(log_format: str, level: str) -> None:
    """Write log lines to standard error from now on."""
    formatter = _formatter["now"] = _Formatter(log_format)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Write lines of this level and above."""
    logging.getLogger("alerta_opsgenie").setLevel(_LEVELS[level])


def hide(secrets: Iterable[str]) -> None:
    """Let none of these texts appear in a line, whatever wrote it."""
    if "now" in _formatter:
        _formatter["now"].secrets |= set(secrets)
