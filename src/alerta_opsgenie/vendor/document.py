"""The configuration file: read with limits, and turned into plain values or one clear error.

The Go connectors read `.json` with `encoding/json` and `.yml`/`.yaml` with `yaml.v2`; the file's name alone decides
which. What those refuse is refused here with its position. What they quietly accept (a key that stands twice, a number
in YAML where a text is wanted) is accepted too, and the checks speak of it.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

from alerta_opsgenie.vendor.problems import ConfigError, kind_of
from alerta_opsgenie.vendor.safe_files import read_plain

try:
    import yaml
except ModuleNotFoundError:  # only YAML files need it
    yaml = None  # type: ignore[assignment]


LARGEST_FILE_BYTES = 256 * 1024
"""A hundred times the vendor's largest sample; anything larger is not a connector's configuration."""

DEEPEST_NESTING = 32
"""The format itself needs five levels."""

MOST_VALUES = 5_000
"""Twenty times the documented configuration. Aliases of YAML multiply: 300 bytes can describe 10**9 values."""

_SECTIONS_WITH_NUMBERS = ("pollerConf", "poolConf", "alertaOpsgenie")
_NUMBERS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool"))
_NULL, _MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_WHOLE_NUMBER = 20  # digits; what is longer is no setting, and slow to write down
_LARGEST_WHOLE_NUMBER = 10**_LONGEST_WHOLE_NUMBER
KeyPath = tuple["str | int", ...]


@dataclass(frozen=True)
class Document:
    """A configuration file's content as plain values; the repr does not show them, since there are secrets among them.

    `repeated` are the paths of keys that stand twice in one object (the last one counts).
    """

    value: dict[str, Any] = field(repr=False)
    syntax: str
    where: str
    repeated: tuple[KeyPath, ...] = ()


def syntax_of(path: str | os.PathLike[str]) -> str:
    """Say how the connectors would read the file of this name: `json` or `yaml`. Raises `ConfigError` for others."""
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        return "json"
    if suffix in {".yml", ".yaml"}:
        return "yaml"
    what = f"has the ending {suffix!r}, and the connectors read .json, .yml and .yaml alone"
    raise ConfigError(os.fspath(path), what, "rename the file after what is in it", usage=True)


def load_document(path: str | os.PathLike[str]) -> Document:
    """Read a configuration file. Raises `ConfigError`, and nothing else, where that cannot be done."""
    where, syntax = os.fspath(path), syntax_of(path)
    try:
        data = read_bytes(where)
    except (OSError, ValueError) as error:
        raise unreadable(where, error) from None
    return parse_document(data, syntax=syntax, where=where)


def read_bytes(path: str) -> bytes:
    """Read a file, of a larger one its beginning. Raises `OSError`, and `ValueError` for a path with a NUL."""
    return read_plain(path, LARGEST_FILE_BYTES)


def unreadable(path: str, error: Exception) -> ConfigError:
    """Say why a file cannot be read."""
    kinds: dict[type[Exception], str] = {IsADirectoryError: "is not a file", FileNotFoundError: "does not exist"}
    what = kinds.get(type(error)) or f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if isinstance(error, ValueError):
        path, what = "the path", "holds a NUL character"
    advice = "check the path and who may read it, or write it with: alerta-opsgenie install, or config render"
    return ConfigError(path, what, advice, usage=True)


def parse_document(data: bytes, *, syntax: str = "json", where: str = "the configuration") -> Document:
    """Read a configuration from bytes in the given syntax (`json` or `yaml`). Raises `ConfigError`."""
    if len(data) > LARGEST_FILE_BYTES:
        what = f"is larger than {LARGEST_FILE_BYTES // 1024} KiB, so it is not a connector's configuration"
        raise ConfigError(where, what, "name the connector's config.json")
    text = _decode(data, syntax=syntax, where=where)
    if not text.strip():
        raise ConfigError(where, "is empty", "write one with: alerta-opsgenie config render --output FILE")
    reader = _Reader(where)
    try:
        value = reader.plain(_parse_json(text, where) if syntax == "json" else _parse_yaml(text, where))
    except RecursionError:
        raise reader.too_deep() from None
    if not isinstance(value, dict):
        what = f"holds {kind_of(value)} where the connector's settings should be"
        raise ConfigError(where, what, "start it with an object that has apiKey and actionMappings")
    return Document(value, syntax, where, tuple(reader.repeated))


def _decode(data: bytes, *, syntax: str, where: str) -> str:
    # yaml.v2 reads past a UTF-8 mark, encoding/json does not.
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (syntax == "json" and data.startswith(b"\xef\xbb\xbf")):
        what = "starts with a byte order mark (as UTF-16 does), which the connectors cannot read"
        raise ConfigError(where, what, "save it as UTF-8 without a byte order mark")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(where, f"is not UTF-8 at line {line} (byte {error.start})", "save it as UTF-8") from None


class _Pairs(list["tuple[str, Any]"]):
    """An object's keys and values as they stand in the file."""


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_Pairs, parse_int=_bounded_int, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        what = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        advice = "correct the file there (a missing comma or quote stands just before that place)"
        raise ConfigError(where, what, advice) from None
    except ValueError as error:
        raise ConfigError(where, f"is not JSON: {error}", "write the value as the connectors understand it") from None


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_WHOLE_NUMBER else float(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _parse_yaml(text: str, where: str) -> Any:
    if yaml is None:
        raise ModuleNotFoundError("PyYAML is missing", name="yaml")
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader) or {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _not_yaml(where, error.problem or error.context or "a mistake", mark) from None
    except (yaml.YAMLError, ValueError) as error:
        raise _not_yaml(where, str(error)) from None


def _not_yaml(where: str, why: str, mark: yaml.Mark | None = None) -> ConfigError:
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    what = f"is not YAML as the connectors read it: {' '.join(why.split())}{place}"
    return ConfigError(where, what, "correct the file there")


class _Reader:
    """Turns what a parser gave (objects as pairs, YAML as nodes) into plain values, within the limits."""

    def __init__(self, where: str) -> None:
        self.repeated: list[KeyPath] = []
        self._where = where
        self._left = MOST_VALUES

    def plain(self, value: Any, path: KeyPath = ()) -> Any:
        """Give the value. Raises `ConfigError`."""
        self._count()
        if len(path) > DEEPEST_NESTING:
            raise self.too_deep()
        if yaml is not None and isinstance(value, yaml.Node):
            value = self._open(value, path)
        if isinstance(value, _Pairs):
            return self._object(value, path)
        if isinstance(value, list):
            return [self.plain(item, (*path, index)) for index, item in enumerate(value)]
        return _whole_text(value) if isinstance(value, str) else value

    def too_deep(self) -> ConfigError:
        what = f"is nested more than {DEEPEST_NESTING} levels deep"
        return ConfigError(self._where, what, "no setting needs that: check for a bracket that is never closed")

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            what = f"holds more than {MOST_VALUES} values, aliases followed"
            raise ConfigError(self._where, what, "no connector needs so many: check for aliases that repeat")

    def _object(self, pairs: _Pairs, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            name = _whole_text(key)
            if name in found:
                self.repeated.append((*path, name))
            found[name] = self.plain(value, (*path, name))
        return found

    def _open(self, node: yaml.Node, path: KeyPath) -> Any:
        """Give one level of a YAML node."""
        if isinstance(node, yaml.MappingNode):
            return self._pairs(node)
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        if node.tag == _NULL:
            return None
        if node.tag not in _NUMBERS or path[:1] not in {(name,) for name in _SECTIONS_WITH_NUMBERS}:
            # Everywhere else the format has texts alone, and yaml.v2 gives the text of a number for one.
            return str(node.value)
        try:
            number = yaml.SafeLoader("").construct_object(node)
        except ValueError:
            raise _not_yaml(self._where, "a number that cannot be read", node.start_mark) from None
        if isinstance(number, int) and abs(number) > _LARGEST_WHOLE_NUMBER:
            return math.inf
        return int(number) if isinstance(number, float) and number.is_integer() else number

    def _pairs(self, node: yaml.MappingNode) -> _Pairs:
        """Give keys and values with `<<` followed: a mapping's own keys win, then the first of the sources."""
        own = _Pairs()
        merged: dict[str, Any] = {}
        for key, value in node.value:
            self._count()
            if not isinstance(key, yaml.ScalarNode):
                raise _not_yaml(self._where, "a key that is not a text", key.start_mark)
            if key.tag != _MERGE:
                own.append((key.value, value))
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    what = "a merge (<<) of something that is not an object"
                    raise _not_yaml(self._where, what, source.start_mark)
                merged = {**dict(self._pairs(source)), **merged}
        for name in dict(own):
            merged.pop(name, None)
        return _Pairs([*merged.items(), *own])


def texts_in(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Give the texts of a document in their order, each with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts_in(item, (*path, key))


def _whole_text(text: str) -> str:
    """Replace lone surrogates: they can be neither printed nor given to a script."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
