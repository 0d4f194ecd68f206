"""What the connector writes: lines for people, or JSON for machines; secrets in neither."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Iterable

FORMATS = ("text", "json")
HIDDEN = "***"

_SHORTEST_SECRET = 6
_LEVELS = {
    "panic": logging.CRITICAL, "fatal": logging.CRITICAL, "error": logging.ERROR, "warn": logging.WARNING,
    "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG, "trace": logging.DEBUG,
}  # fmt: skip


class _Formatter(logging.Formatter):
    """Makes one line of a record and hides the secrets in it."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._json = log_format == "json"
        self.secrets: tuple[str, ...] = ()

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        line = self._as_json(record, text) if self._json else self._as_text(record, text)
        for secret in self.secrets:
            line = line.replace(secret, HIDDEN)
        return line

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
    logging.getLogger("alerta_opsgenie").setLevel(_LEVELS.get(level.casefold(), logging.INFO))


def hide(secrets: Iterable[str]) -> None:
    """Let none of these texts appear in a line, whatever wrote it."""
    if "now" in _formatter:
        found = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        _formatter["now"].secrets = tuple(sorted(found | set(_formatter["now"].secrets), key=len, reverse=True))
