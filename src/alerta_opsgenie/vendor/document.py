"""Read the configuration file, within limits, into plain values, or raise one clear error.

The Go connectors read `.json` with `encoding/json` and `.yml`/`.yaml` with `yaml.v2`, by the file's name alone. What
they accept without an error (a repeated key, a number in YAML instead of a text) is accepted here too.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Iterator

from alerta_opsgenie.vendor.problems import ConfigError, kind_of
from alerta_opsgenie.vendor.safe_files import read_plain

try:
    import yaml
except ModuleNotFoundError:  # only YAML files need it
    yaml = None  # type: ignore[assignment]


LARGEST_FILE_BYTES = 256 * 1024
"""A hundred times the vendor's largest sample."""

DEEPEST_NESTING = 32
"""The format itself needs five levels."""

MOST_VALUES = 5_000
"""Twenty times the documented configuration. With YAML's aliases, 300 bytes can describe 10**9 values."""

_SECTIONS_WITH_NUMBERS = ("pollerConf", "poolConf", "alertaOpsgenie")
_NUMBERS = [f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool")]
_LONGEST_WHOLE_NUMBER = 20  # digits; no setting is longer, and Python is slow to write longer ones
_SURROGATE = re.compile("[\ud800-\udfff]")
KeyPath = tuple["str | int", ...]


@dataclass(frozen=True)
class Document:
    """A configuration file's content as plain values. Some are secrets, so the repr shows none."""

    value: dict[str, Any] = field(repr=False)
    syntax: str
    where: str


def syntax_of(path: str | os.PathLike[str]) -> str:
    """Return how the connectors read a file of this name: `json` or `yaml`. Raises `ConfigError` for others."""
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        return "json"
    if suffix in {".yml", ".yaml"}:
        return "yaml"
    what = f"has the ending {suffix!r}, and the connectors read only .json, .yml and .yaml"
    raise ConfigError(os.fspath(path), what, "rename the file after what is in it", usage=True)


def load_document(path: str | os.PathLike[str]) -> Document:
    """Read a configuration file. Raises only `ConfigError`."""
    where, syntax = os.fspath(path), syntax_of(path)
    try:
        data = read_bytes(where)
    except (OSError, ValueError) as error:
        raise unreadable(where, error) from None
    return parse_document(data, syntax=syntax, where=where)


def read_bytes(path: str) -> bytes:
    """Read at most `LARGEST_FILE_BYTES` + 1 of a file. Raises `OSError`; `ValueError` for a path with a NUL."""
    return read_plain(path, LARGEST_FILE_BYTES)


def unreadable(path: str, error: Exception) -> ConfigError:
    """Return the error for a file that cannot be read."""
    advice = "check the path and who may read it, or write it with: alerta-opsgenie install, or config render"
    what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return ConfigError(path.replace("\0", ""), what, advice, usage=True)


def parse_document(data: bytes, *, syntax: str = "json", where: str = "the configuration") -> Document:
    """Read a configuration from bytes in the given syntax (`json` or `yaml`). Raises `ConfigError`."""
    if len(data) > LARGEST_FILE_BYTES:
        what = f"is larger than {LARGEST_FILE_BYTES // 1024} KiB, so it is not a connector's configuration"
        raise ConfigError(where, what, "name the connector's config.json")
    try:
        text = data.decode("utf-8")
        value = _plain((_parse_json if syntax == "json" else _parse_yaml)(text, where), where)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(where, f"is not UTF-8 at line {line} (byte {error.start})", "save it as UTF-8") from None
    except RecursionError:
        raise _too_deep(where) from None
    if not isinstance(value, dict):
        what = f"holds {kind_of(value)} where the connector's settings should be"
        raise ConfigError(where, what, "write one with: alerta-opsgenie config render --output FILE")
    return Document(value, syntax, where)


def _too_deep(where: str) -> ConfigError:
    what = f"is nested more than {DEEPEST_NESTING} levels deep"
    return ConfigError(where, what, "no setting needs that: check for a bracket that is never closed")


def _parse_json(text: str, where: str) -> Any:
    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no JSON value")

    def bounded(digits: str) -> int | float:
        return int(digits) if len(digits) <= _LONGEST_WHOLE_NUMBER else float(digits)

    try:
        return json.loads(text, parse_int=bounded, parse_constant=refuse)
    except ValueError as error:
        advice = "correct the file there (look for a missing comma or quote just before that place)"
        raise ConfigError(where, f"is not JSON: {error}", advice) from None


class _Number(str):
    """A number, true or false in YAML. Most settings are texts; yaml.v2 reads this text for them."""

    __slots__ = ()


def _parse_yaml(text: str, where: str) -> Any:
    if yaml is None:
        raise ModuleNotFoundError("PyYAML is missing", name="yaml")

    class Loader(yaml.SafeLoader):
        """Loads only texts, lists and objects, and ignores tags."""

        yaml_constructors: ClassVar = {
            **{tag: lambda self, node: _Number(self.construct_scalar(node)) for tag in _NUMBERS},
            "tag:yaml.org,2002:null": lambda _, __: None,
        }
        left = 4 * MOST_VALUES

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            """Merge `<<` within a limit: nested merges grow exponentially."""
            super().flatten_mapping(node)
            self.left -= len(node.value)
            if self.left < 0:
                raise yaml.YAMLError(f"merges (<<) of more than {MOST_VALUES} values")

    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = " ".join(str(getattr(error, "problem", None) or error).split())
        what = f"is not YAML as the connectors read it: {why}{place}"
        raise ConfigError(where, what, "correct the file there") from None


def _plain(value: Any, where: str) -> Any:
    """Return a copy with aliases expanded. Raises `ConfigError` beyond the limits."""
    left = MOST_VALUES

    def copied(value: Any, depth: int, section: str) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            what = f"holds more than {MOST_VALUES} values, aliases followed"
            raise ConfigError(where, what, "no connector needs so many: check for aliases that repeat")
        if depth > DEEPEST_NESTING:
            raise _too_deep(where)
        if isinstance(value, dict):
            items = {_whole_text(str(key)): item for key, item in value.items()}
            return {key: copied(item, depth + 1, section or key) for key, item in items.items()}
        if isinstance(value, list):
            return [copied(item, depth + 1, section) for item in value]
        if isinstance(value, _Number) and section in _SECTIONS_WITH_NUMBERS and len(value) <= _LONGEST_WHOLE_NUMBER:
            with suppress(ValueError, yaml.YAMLError, RecursionError):
                number = yaml.safe_load(value)
                if isinstance(number, (int, float)):  # yaml.v2 accepts 10.0 as a whole number
                    return int(number) if isinstance(number, float) and number.is_integer() else number
        return _whole_text(str(value)) if isinstance(value, str) else value

    return copied(value, 0, "")


def texts_in(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the texts of a document in order, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts_in(item, (*path, key))


def _whole_text(text: str) -> str:
    """Replace lone surrogates, which can neither be printed nor passed to a script."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
