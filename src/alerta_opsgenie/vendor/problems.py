"""Problems of a configuration: where, what, and what to do."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import Any, Iterable

ERROR, WARNING, NOTE = "error", "warning", "note"
"""The connector does not start or cannot work; it works differently from the file, or less safely; it may be right."""

LEVELS = (ERROR, WARNING, NOTE)

_PLAIN_KEY = re.compile(r'"[A-Za-z_][A-Za-z0-9_-]*"')
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """One problem: its JSON path, what is wrong, and what to do, each on one line and without secrets."""

    level: str
    path: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.level}: {self.path}: {self.what}; {self.advice}"


class ConfigError(ValueError):
    """The configuration cannot be used: `where` it is, `what` is wrong, and `advice`, the next step.

    With `usage` the command's arguments are wrong (a missing file, an option), not a configuration.
    """

    def __init__(self, where: str, what: str, advice: str, *, usage: bool = False) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what
        self.advice = advice
        self.usage = usage


def json_path(*parts: str | int) -> str:
    """Return a JSON path: `json_path("actionMappings", "my action")` is `$.actionMappings["my action"]`."""
    steps = (str(part) if isinstance(part, int) else shown(part) for part in parts)
    return "$" + "".join(f".{step[1:-1]}" if _PLAIN_KEY.fullmatch(step) else f"[{step}]" for step in steps)


def shown(text: str) -> str:
    """Quote a text from the file for a terminal: one line, no control characters, cut if long. Never for a secret."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def kind_of(value: Any) -> str:
    """Return the name of a value's JSON type, for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {int: "a number", float: "a number with a fraction or exponent", str: "a text", list: "a list"}
    return kinds.get(type(value), "an object")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to `name`, or None."""
    by_case = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name[:100].casefold(), by_case, n=1, cutoff=0.7)
    return by_case[found[0]] if found else None
