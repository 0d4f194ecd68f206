"""The configuration file as bytes: read with limits, and turned into plain values or one clear error.

The Go connectors read `.json` with `encoding/json` and `.yml`/`.yaml` with `yaml.v2`; which of the two decides by the
file's name alone. What those would refuse is refused here with its position; what they quietly accept (a key given
twice, a YAML number where a text is wanted) is kept so that the checks can speak of it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping

from alerta_opsgenie.vendor.problems import ConfigError, kind_of

LARGEST_FILE_BYTES = 256 * 1024
"""A hundred times the vendor's largest sample; anything larger is not a connector's configuration."""

DEEPEST_NESTING = 32
"""The format itself needs five levels; the limit keeps hostile files from exhausting the stack."""

_MOST_YAML_NODES = 20_000  # aliases multiply: a file of 300 bytes can describe 10**9 values
_SURROGATE = re.compile("[\ud800-\udfff]")
_JSON_STEP = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_MORE_DIGITS_THAN_ANY_SETTING = 20
_BYTE_ORDER_MARKS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\xef\xbb\xbf": "UTF-8 with a byte order mark",
}


@dataclass(frozen=True)
class Document:
    """A configuration file's content as plain values.

    `repeated` holds the paths of keys that stand twice in one object (the last one counts); `literals` the text of
    YAML scalars that are not texts, by path, because `yaml.v2` takes them as texts where the format wants a text.
    The repr shows neither values nor literals, which hold secrets.
    """

    value: dict[str, Any] = field(repr=False)
    syntax: str
    where: str
    repeated: tuple[tuple[str | int, ...], ...] = ()
    literals: Mapping[tuple[str | int, ...], str] = field(default_factory=dict, repr=False)

    @property
    def ignores_case(self) -> bool:
        """Whether keys match whatever their case: `encoding/json` does so, `yaml.v2` does not."""
        return self.syntax == "json"


class _RepeatableObject(dict[str, Any]):
    """A JSON object that remembers which of its keys stood there more than once."""

    repeated: tuple[str, ...] = ()


def syntax_of(path: str | os.PathLike[str]) -> str:
    """Say how the connectors would read the file of this name: `json` or `yaml`. Raises `ConfigError` for others."""
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        return "json"
    if suffix in {".yml", ".yaml"}:
        return "yaml"
    raise ConfigError(
        os.fspath(path),
        f"has the ending {suffix!r}, and the connectors read .json, .yml and .yaml alone",
        "rename the file after what is in it",
        usage=True,
    )


def load_document(path: str | os.PathLike[str]) -> Document:
    """Read a configuration file. Raises `ConfigError`, and nothing else, where that cannot be done."""
    syntax = syntax_of(path)
    return parse_document(_read_bytes(os.fspath(path)), syntax=syntax, where=os.fspath(path))


def parse_document(data: bytes, *, syntax: str = "json", where: str = "the configuration") -> Document:
    """Read a configuration from bytes in the given syntax (`json` or `yaml`). Raises `ConfigError`."""
    if len(data) > LARGEST_FILE_BYTES:
        raise ConfigError(
            where,
            f"is larger than {LARGEST_FILE_BYTES // 1024} KiB, so it is not a connector's configuration",
            "name the connector's config.json",
        )
    text = _decode(data, syntax=syntax, where=where)
    if not text.strip():
        raise ConfigError(where, "is empty", "write one with: alerta-opsgenie config render --output FILE")
    document = _parse_json(text, where) if syntax == "json" else _parse_yaml(text, where)
    if not isinstance(document.value, dict):
        raise ConfigError(
            where,
            f"holds {kind_of(document.value)} where the connector's settings should be",
            "start it with an object that has apiKey and actionMappings",
        )
    return document


def _read_bytes(path: str) -> bytes:
    try:
        # Without O_NONBLOCK a FIFO of this name would hold the program up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        mend = "check the path, or write it with: alerta-opsgenie config render"
        raise ConfigError(path, "does not exist", mend, usage=True) from None
    except OSError as error:
        mend = "run as the connector's user, or as root"
        raise ConfigError(path, f"cannot be opened: {error.strerror}", mend, usage=True) from None
    except ValueError:
        raise ConfigError("the path", "holds a NUL character", "name the file by its path", usage=True) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(path, "is not a file", "name the connector's config.json itself", usage=True)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}", "check the disk and the mount") from None
    finally:
        os.close(descriptor)


def _decode(data: bytes, *, syntax: str, where: str) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        # yaml.v2 reads past a UTF-8 mark, encoding/json does not.
        if data.startswith(mark) and not (syntax == "yaml" and encoding.startswith("UTF-8")):
            raise ConfigError(where, f"is saved as {encoding}", "save it as UTF-8 without a byte order mark")
    try:
        return data.decode("utf-8-sig" if syntax == "yaml" else "utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(where, f"is not UTF-8 at line {line} (byte {error.start})", "save it as UTF-8") from None


def _parse_json(text: str, where: str) -> Document:
    _refuse_deep_json(text, where)
    try:
        value = json.loads(
            text, object_pairs_hook=_object_from_pairs, parse_int=_bounded_int, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise ConfigError(
            where,
            f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            "mend the file there (a missing comma or quote stands just before that place)",
        ) from None
    except ValueError as error:
        raise ConfigError(where, f"is not JSON: {error}", "write the value as the connectors understand it") from None
    repeated: list[tuple[str | int, ...]] = []
    plain = _plain_json(value, (), repeated)
    return Document(plain, "json", where, tuple(repeated))


def _refuse_deep_json(text: str, where: str) -> None:
    depth = 0
    for step in _JSON_STEP.finditer(text):
        character = step.group()[0]
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
        if depth > DEEPEST_NESTING:
            line = text.count("\n", 0, step.start()) + 1
            column = step.start() - text.rfind("\n", 0, step.start())
            raise _too_deep(where, line, column)


def _too_deep(where: str, line: int, column: int) -> ConfigError:
    return ConfigError(
        where,
        f"is nested more than {DEEPEST_NESTING} levels deep at line {line}, column {column}",
        "no setting needs that: check for a bracket that is never closed",
    )


def _object_from_pairs(pairs: list[tuple[str, Any]]) -> _RepeatableObject:
    found = _RepeatableObject(pairs)
    if len(found) != len(pairs):
        found.repeated = tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    return found


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MORE_DIGITS_THAN_ANY_SETTING else float(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _plain_json(value: Any, path: tuple[str | int, ...], repeated: list[tuple[str | int, ...]]) -> Any:
    if isinstance(value, _RepeatableObject):
        repeated.extend((*path, _whole_text(key)) for key in value.repeated)
        named = ((_whole_text(key), item) for key, item in value.items())
        return {key: _plain_json(item, (*path, key), repeated) for key, item in named}
    if isinstance(value, list):
        return [_plain_json(item, (*path, index), repeated) for index, item in enumerate(value)]
    return _whole_text(value) if isinstance(value, str) else value


def _whole_text(text: str) -> str:
    """Replace lone surrogates, as encoding/json does: they can be neither printed nor given to a script."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _parse_yaml(text: str, where: str) -> Document:
    try:
        import yaml  # noqa: PLC0415 - only needed for this syntax, and the package works without it
    except ImportError:
        raise ConfigError(
            where,
            "is YAML, and PyYAML is not installed here",
            "pip install 'alerta-opsgenie[connector]', or write the configuration as JSON",
        ) from None
    from alerta_opsgenie.vendor.yaml_nodes import NodeReader  # noqa: PLC0415 - the same

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        reader = NodeReader(deepest=DEEPEST_NESTING, most_nodes=_MOST_YAML_NODES)
        value = reader.read(root) if root is not None else {}
    except RecursionError:
        raise _too_deep(where, 1, 1) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = " ".join(str(error.problem or error.context or "a mistake").split())
        raise ConfigError(
            where, f"is not YAML as the connectors read it: {what}{place}", "mend the file there"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        what = " ".join(str(error).split())
        raise ConfigError(where, f"is not YAML as the connectors read it: {what}", "mend the file") from None
    return Document(value, "yaml", where, tuple(reader.repeated), dict(reader.literals))
