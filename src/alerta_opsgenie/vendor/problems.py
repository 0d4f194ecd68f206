"""What is wrong with a configuration, told so that a person can mend it."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import Any, Iterable

ERROR = "error"
"""The connector would not start with this, or what it is meant for cannot work."""

WARNING = "warning"
"""It starts and works, but not as the file says, or less safely than it could."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    `path` is a JSON path (`$.pollerConf.maxNumberOfMessages`), `what` says what is wrong there and `mend` what to do
    about it, each on one line and free of secrets.
    """

    level: str
    path: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.level}: {self.path}: {self.what}; {self.mend}"


class ConfigError(ValueError):
    """The configuration cannot be used: `where` it is, `what` is wrong, and `mend`, the next thing to do.

    With `usage` the trouble is in what was asked for (a file that is not there, an option), not in a configuration.
    """

    def __init__(
        self, where: str, what: str, mend: str, problems: Iterable[Problem] = (), *, usage: bool = False
    ) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what
        self.mend = mend
        self.problems = tuple(problems)
        self.usage = usage


def json_path(*parts: str | int) -> str:
    """Spell a place in a document: `json_path("actionMappings", "my action")` is `$.actionMappings["my action"]`."""
    return "$" + "".join(_path_step(part) for part in parts)


def _path_step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _PLAIN_KEY.fullmatch(part) else f"[{shown(part)}]"


def shown(text: str) -> str:
    """Quote a text from the file for a terminal: on one line, no control characters, cut where it is too long.

    Never for a secret.
    """
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def kind_of(value: Any) -> str:
    """Name the JSON type of a value for people."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was most likely meant by `name`, if one is near."""
    by_case = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.7)
    return by_case[found[0]] if found else None
