"""From a document to an `EdgeConfig`: what the Go connectors would refuse is found by a JSON Schema, all at once.

`config.schema.json` says types, needs and ranges. Here is what a schema cannot say: keys that match in any case, null
that is as good as absent, the key in the environment, and the defaults that a connector fills in.
"""

from __future__ import annotations

import functools
import json
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping, NamedTuple, Sequence

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.config import DEFAULT_BASE_URLS, NATIVE, ActionMapping, EdgeConfig, PollerConf, PoolConf
from alerta_opsgenie.vendor.document import Document, KeyPath
from alerta_opsgenie.vendor.problems import ERROR, WARNING, Problem, json_path, kind_of, shown

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

LOG_LEVELS = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
"""What logrus, the Go connectors' logger, understands; anything else counts as info."""

MEANT_VISIBILITY = "visibilityTimeoutInSec"
"""What every sample configuration writes for `visibilityTimeoutInSeconds`, and the Go connectors read over."""

SCHEMA: Mapping[str, Any] = json.loads(Path(__file__).with_name("config.schema.json").read_text(encoding="utf-8"))

_PARTS = SCHEMA["properties"]
ROOT_KEYS = tuple(_PARTS)
POLLER_KEYS = tuple(_PARTS["pollerConf"]["properties"])
POOL_KEYS = tuple(_PARTS["poolConf"]["properties"])
MAPPING_KEYS = tuple(SCHEMA["$defs"]["mapping"]["properties"])


@functools.lru_cache(maxsize=1)
def _validator() -> Validator:
    """Make the validator. The import is late: commands that find no configuration do without the library."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    whole_numbers = Draft202012Validator.TYPE_CHECKER.redefine(
        # `encoding/json` takes 10.0 for no whole number.
        "integer",
        lambda _, value: isinstance(value, int) and not isinstance(value, bool),
    )
    extended = validators.extend(Draft202012Validator, type_checker=whole_numbers)  # type: ignore[no-untyped-call]
    found: Validator = extended(SCHEMA)
    return found


_WANTED = {
    "string": ("a text", "put it in double quotes"),
    "array": ("a list", "put it in square brackets"),
    "object": ("an object", "put it in curly brackets"),
    "integer": ("a whole number", "write it as digits alone"),
}
_NEEDED = {
    "sourceType": 'write "local"',
    "filepath": "name the script that is to be started",
    "gitOptions": "name the repository's url there",
}
_RANGES = {
    "replaced": (
        WARNING,
        "is {value}; below {minimum} the connector uses {default} instead",
        "write {default}, or what is meant",
    ),
    "refused": (
        ERROR,
        "is {value}; SQS refuses more than {maximum}, and nothing would be received",
        "write {maximum} or less",
    ),
}


class OddKey(NamedTuple):
    """A key that is not spelt as the connectors know it; `known` are those that may stand in its object."""

    path: KeyPath
    key: str
    known: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """What a document was read as; where there is an error, `config` is good for further checks alone.

    `value` is the document with the connectors' spelling of its keys.
    """

    config: EdgeConfig
    problems: list[Problem]
    value: Mapping[str, Any]
    odd_keys: tuple[OddKey, ...]


def read_structure(
    document: Document,
    *,
    dialect: str,
    environment: Mapping[str, str],
    api_key: Secret | None = None,
    target: str | None = None,
) -> tuple[EdgeConfig, list[Problem]]:
    """Read a document as a connector of `dialect` would at its start: the configuration and all problems."""
    reading = read_document(document, dialect=dialect, environment=environment, api_key=api_key, target=target)
    return reading.config, reading.problems


def read_document(
    document: Document,
    *,
    dialect: str,
    environment: Mapping[str, str],
    api_key: Secret | None = None,
    target: str | None = None,
) -> Reading:
    """Read a document, with what only the checks need."""
    native = (target or dialect) == NATIVE
    settling = _Settling(document.ignores_case, {MEANT_VISIBILITY: "visibilityTimeoutInSeconds"} if native else {})
    value: dict[str, Any] = settling.settle(document.value, SCHEMA, ())
    value.setdefault("actionMappings", {})
    variable = f"{dialect.upper()}_API_KEY"
    key = api_key or Secret(environment.get(variable, "") or _text(value, "apiKey"))
    problems = list(_shape_problems(value))
    if not key and not any(problem.path == "$.apiKey" for problem in problems):
        advice = f"put the integration's API key there, or into the variable {variable}"
        problems.insert(0, Problem(ERROR, "$.apiKey", "is missing", advice))
    if native:
        problems.extend(_native_problems(value))
    config = _config_of(value, dialect, key, environment.get("HOME", ""), document.where)
    return Reading(config, problems, value, tuple(settling.odd_keys))


class _Settling:
    """Writes keys as the connectors spell them, and leaves out nulls and what no connector knows."""

    def __init__(self, ignores_case: bool, synonyms: Mapping[str, str]) -> None:
        self.odd_keys: list[OddKey] = []
        self._ignores_case = ignores_case
        self._synonyms = synonyms

    def settle(self, value: Any, schema: Any, path: KeyPath) -> Any:
        schema = _resolve(schema)
        if isinstance(value, list) and "items" in schema:
            return ["" if item is None else item for item in value]
        if not isinstance(value, dict):
            return value
        if "additionalProperties" in schema:
            inner = _resolve(schema["additionalProperties"])
            absent: Any = "" if inner["type"] == "string" else {}
            return {
                key: self.settle(absent if item is None else item, inner, (*path, key)) for key, item in value.items()
            }
        known = known_keys(schema, value)
        return self._object(value, known, path) if known else value

    def _object(self, value: Mapping[str, Any], known: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
        settled: dict[str, Any] = {}
        by_case = {name.casefold(): name for name in known} if self._ignores_case else {}
        for key, item in value.items():
            name = key if key in known else by_case.get(key.casefold()) or self._synonyms.get(key, "")
            if name != key:
                self.odd_keys.append(OddKey(path, key, tuple(known)))
            if name in known and item is not None and (name == key or name not in settled):
                settled[name] = self.settle(item, known[name], (*path, name))
        return settled


def _resolve(schema: Any) -> Mapping[str, Any]:
    """Follow a reference into `$defs`."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref", "")
    found: Mapping[str, Any] = SCHEMA["$defs"][reference.rpartition("/")[2]] if reference else schema
    return found


def known_keys(schema: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Give the keys that may stand in an object, each with its schema; those of http mappings only in such a one."""
    known = dict(schema.get("properties", {}))
    for rule in schema.get("allOf", ()):
        if value.get("type") == "http" and "type" in rule["if"]["properties"]:
            known.update(rule["then"]["properties"])
    return known


def _shape_problems(value: Mapping[str, Any]) -> Iterator[Problem]:
    seen: set[KeyPath] = set()
    for error in _validator().iter_errors(value):
        for path, level, what, advice in _explain(error):
            if path not in seen:
                yield Problem(level, json_path(*path), what, advice)
            seen.add(path)


def _explain(error: ValidationError) -> Iterator[tuple[KeyPath, str, str, str]]:
    """Say in words what the schema's validator found: the place, the level, what, and what to do."""
    path = tuple(error.absolute_path)
    rule: Any = error.schema
    value: Any = error.instance
    if error.validator == "type":
        wanted, advice = _WANTED[str(error.validator_value)]
        yield path, ERROR, f"is {kind_of(value)} where {wanted} is wanted", advice
    elif error.validator == "required":
        # Of an empty mapping it is enough to say that it is empty.
        missing = [name for name in rule["required"] if value and name not in value]
        yield from (((*path, name), ERROR, "is missing", _NEEDED[name]) for name in missing)
    elif error.validator == "enum" and not value and path[-1] in _NEEDED:
        yield path, ERROR, "is missing", _NEEDED[str(path[-1])]
    else:
        plain = (rule.get("level", ERROR), rule.get("what", ""), rule.get("advice", ""))
        level, what, advice = _RANGES.get(rule.get("level"), plain)
        numbers = {name: rule.get(name) for name in ("minimum", "maximum", "default")}
        found = shown(value) if isinstance(value, str) else value
        yield path, level, what.format(value=found, **numbers), advice.format(**numbers)


def _native_problems(value: Mapping[str, Any]) -> Iterator[Problem]:
    own = value.get("alertaOpsgenie", {})
    if not isinstance(own, dict):
        what = f"is {kind_of(own)} where an object is wanted"
        yield Problem(ERROR, "$.alertaOpsgenie", what, "put it in curly brackets")
    for name, mapping in _object(value, "actionMappings").items():
        if isinstance(mapping, dict) and mapping.get("sourceType") == "git":
            yield Problem(
                ERROR,
                json_path("actionMappings", name, "sourceType"),
                'is "git", and the native connector takes scripts from this host alone',
                'clone the repository here, set "local" and the path in filepath',
            )


def _config_of(value: Mapping[str, Any], dialect: str, key: Secret, home: str, where: str) -> EdgeConfig:
    log_level = _text(value, "logLevel")
    mappings = _object(value, "actionMappings")
    pool = PoolConf(*_numbers(value, "poolConf"))
    return EdgeConfig(
        dialect=dialect,
        api_key=key,
        base_url=_text(value, "baseUrl") or DEFAULT_BASE_URLS[dialect],
        mappings={
            name: _mapping_of(name, item if isinstance(item, dict) else {}, home) for name, item in mappings.items()
        },
        log_level=log_level if log_level.casefold() in LOG_LEVELS else "info",
        app_name=_text(value, "appName"),
        global_flags=_named(value, "globalFlags"),
        global_args=_texts(value, "globalArgs"),
        global_env=_texts(value, "globalEnv"),
        poller=PollerConf(*_numbers(value, "pollerConf")),
        pool=replace(pool, min_workers=min(pool.min_workers, pool.max_workers)),
        own=_object(value, "alertaOpsgenie"),
        where=where,
    )


def _mapping_of(name: str, value: Mapping[str, Any], home: str) -> ActionMapping:
    filepath, source_type, kind = (_text(value, field) for field in ("filepath", "sourceType", "type"))
    return ActionMapping(
        name=name,
        filepath=clean_path(filepath, home) if source_type == "local" else filepath,
        source_type=source_type,
        type=kind or "custom",
        flags=_http_flags(value) if kind == "http" else _named(value, "flags"),
        args=_texts(value, "args"),
        env=_texts(value, "env"),
        stdout=clean_path(_text(value, "stdout"), home),
        stderr=clean_path(_text(value, "stderr"), home),
    )


def _http_flags(value: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Build the flags of an http mapping: they replace whatever `flags` says (conf/configuration.go)."""
    flags = [("url", _text(value, "url")), ("method", _text(value, "method"))]
    flags += [(name, _go_json(_named(value, name))) for name in ("headers", "params")]
    return tuple((name, text) for name, text in flags if text)


def _go_json(pairs: Sequence[tuple[str, str]]) -> str:
    """Write a map of texts as encoding/json does: sorted, without spaces, safe inside HTML; nothing for none."""
    if not pairs:
        return ""
    text = json.dumps(dict(pairs), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _numbers(value: Mapping[str, Any], part: str) -> list[int]:
    """Give the numbers of `pollerConf` or `poolConf` in the schema's order, with what a connector replaces."""
    rules = _PARTS[part]["properties"]
    # An absent minimum is 0 in Go, and 0 is allowed; only a negative one gets the default.
    section = {"minNumberOfWorker": 0, **_object(value, part)}
    return [_number(section.get(name), rules[name]["allOf"][1]) for name in rules]


def _number(value: Any, rule: Mapping[str, Any]) -> int:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= rule["minimum"]
    return int(value if fits else rule["default"])


# What follows gives something harmless for a value of a wrong type: that it is wrong is said already.


def _text(owner: Mapping[str, Any], name: str) -> str:
    value = owner.get(name)
    return value if isinstance(value, str) else ""


def _texts(owner: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = owner.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _named(owner: Mapping[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, text) for key, text in _object(owner, name).items() if isinstance(text, str))


def _object(owner: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = owner.get(name)
    return value if isinstance(value, dict) else {}


def clean_path(path: str, home: str) -> str:
    """Follow a leading `~/` to `home` and tidy the path, as the connectors do (conf/util.go)."""
    if not path:
        return ""
    if path.startswith("~/"):
        path = posixpath.join(home, path[2:].lstrip("/"))
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean
