"""Reads single settings."""

import ast
import difflib
import json
import math
from typing import Any, Callable, Collection, List, Mapping, Set, Tuple, TypeVar

from alerta_opsgenie.core import routing
from alerta_opsgenie.plugin.keys import Key

T = TypeVar("T")


class Reader:
    """Reads from the environment, and then from Alerta's configuration, as Alerta does. `problems` collects errors."""

    def __init__(self, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._config = config
        self._environment = environment
        self._known: Set[str] = set()
        self.problems: List[str] = []

    def raw(self, name: str, default: Any = None) -> Any:
        """Return a setting unchanged. An empty one in the environment counts as unset."""
        self._known.add(name)
        value = self._environment.get(name) or self._config.get(name)
        return default if value is None else value

    def text(self, name: str, default: str = "") -> str:
        """Read a text."""
        return str(self.raw(name, default)).strip()

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read a boolean."""
        value = self.raw(name, default)
        return value.lower() in ("yes", "on", "true", "t", "1") if isinstance(value, str) else bool(value)

    def number(self, name: str, default: float, least: float) -> float:
        """Read a number."""
        return self.checked(name, lambda value: max(least, _finite(value)), default)

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        """Read one of the `allowed` words."""
        text = self.text(name) or default
        if text == default or text in allowed:
            return text
        self.problems.append(f"{name}: {text!r} is none of {', '.join(sorted(allowed))}")
        return default

    def names(self, name: str) -> Tuple[str, ...]:
        """Read a list of names: a list, one text with commas, or the list as JSON or Python text."""
        value = self.raw(name)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{", "("):
            value = self.structure(name, list, [])
        return self.attempt(name, lambda: routing.read_names(value), ())

    def structure(self, name: str, kind: type, default: Any) -> Any:
        """Read a list or a dict. In the environment it is JSON or Python text."""
        value = self.raw(name)
        if value is None or value == "":
            return default
        if isinstance(value, str):
            try:
                value = _parsed(value)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                self.problems.append(f"{name}: can be read neither as JSON nor as Python")
                return default
        if isinstance(value, (kind, tuple) if kind is list else kind):
            return list(value) if isinstance(value, tuple) else value
        self.problems.append(f"{name}: expected a {kind.__name__}")
        return default

    def checked(self, name: str, read: Callable[[Any], T], default: T) -> T:
        """Read a setting by a function that raises ValueError for an invalid value."""
        value = self.raw(name)
        if value is None or value == "":
            return default
        return self.attempt(name, lambda: read(value), default)

    def attempt(self, name: str, read: Callable[[], T], default: T) -> T:
        """Call `read`. If it raises ValueError, record the problem and return the default."""
        try:
            return read()
        except (ValueError, TypeError) as error:
            text = str(error)
            self.problems.append(text if text.startswith(name) else f"{name}: {text}")
            return default

    def key(self, name: str) -> Key:
        """Read a secret: the setting itself, or the file that `NAME_FILE` names."""
        path, text = self.text(f"{name}_FILE"), self.text(name)
        return Key(path=path) if path else Key(text)

    def check_names(self) -> None:
        """Record settings with an unknown name like the plugin's. Call it after all settings were read."""
        for name in sorted({*self._environment, *self._config} - self._known):
            if "GENIE_" in name:
                nearest = difflib.get_close_matches(name, sorted(self._known), 1, cutoff=0.5)
                advice = f"; did you mean {nearest[0]}?" if nearest else ""
                self.problems.append(f"{name}: there is no such setting{advice}")


def _parsed(text: str) -> Any:
    """Read JSON, or Python as in alertad.conf, which people copy into the environment."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return ast.literal_eval(text)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number
