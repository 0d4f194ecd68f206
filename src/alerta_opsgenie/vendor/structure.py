"""Read a document into an `EdgeConfig`; a JSON Schema finds everything that the Go connectors would refuse.

`config.schema.json` has types, required keys and ranges. This module does what a schema cannot: keys in any case, null
as absent, the API key in the environment, and the connectors' defaults.
"""

from __future__ import annotations

import functools
import json
import os
import posixpath
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

from alerta_opsgenie.core.secret import Secret, safe_url
from alerta_opsgenie.vendor.config import DEFAULT_BASE_URLS, NATIVE, ActionMapping, EdgeConfig, guess_dialect
from alerta_opsgenie.vendor.document import Document, KeyPath, load_document
from alerta_opsgenie.vendor.problems import ERROR, ConfigError, Problem, json_path, kind_of, shown

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

OLD_NAMES: Mapping[str, str] = {
    "environmentVariables": "env",
    "visibilityTimeoutInSec": "visibilityTimeoutInSeconds",
}
"""Keys of the vendor's samples that the Go connectors ignore, and the keys that they should be."""

SCHEMA: Mapping[str, Any] = json.loads(Path(__file__).with_name("config.schema.json").read_text(encoding="utf-8"))


class UnknownKey(NamedTuple):
    """A key that the connectors do not know in this spelling.

    `known` are the keys that its object can have; `read_as` is the key that it is read as, or empty.
    """

    path: KeyPath
    key: str
    known: tuple[str, ...]
    read_as: str


class Reading(NamedTuple):
    """The result of reading a document; if there are errors, `config` has the valid parts."""

    config: EdgeConfig
    problems: list[Problem]
    unknown_keys: tuple[UnknownKey, ...]


def read_structure(
    document: Document,
    *,
    dialect: str,
    environment: Mapping[str, str],
    target: str | None = None,
) -> Reading:
    """Read a document as a connector of `dialect` does at its start; as the native one does if that is the `target`."""
    native = (target or dialect) == NATIVE
    keys = _KeyNormaliser(document.syntax == "json", OLD_NAMES if native else {})
    value: dict[str, Any] = keys.normalise(document.value, SCHEMA)
    value.setdefault("actionMappings", {})
    problems, wrong = _validate(value, DEFAULT_BASE_URLS[dialect], native=native)
    sound = _without(wrong, value)
    variable = f"{dialect.upper()}_API_KEY"
    key = Secret(environment.get(variable, "") or sound.get("apiKey", ""))
    if not key and not any(problem.path == "$.apiKey" for problem in problems):
        advice = f"put the integration's API key there, or into the variable {variable}"
        problems.insert(0, Problem(ERROR, "$.apiKey", "is missing", advice))
    config = _config_of(sound, dialect, key, environment.get("HOME", ""), document.where)
    return Reading(replace(config, document=value), problems, tuple(keys.unknown))


def read_config(
    path: str | os.PathLike[str],
    *,
    dialect: str | None = None,
    environment: Mapping[str, str] | None = None,
    target: str | None = None,
) -> EdgeConfig:
    """Read a configuration file for use. Raises `ConfigError` if the connector could not run with it.

    `dialect` is guessed if not given. `environment` (default: the process's) has `HOME`, and may have an API key that
    overrides the file's. `target` is the connector that will use it (`oec`, `jec`, `native`; default: the dialect).
    """
    given = os.environ if environment is None else environment
    document = load_document(path)
    chosen = dialect or guess_dialect(document, given)
    reading = read_structure(document, dialect=chosen, environment=given, target=target)
    errors = [problem for problem in reading.problems if problem.level == ERROR]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more: alerta-opsgenie config check)" if len(errors) > 1 else ""
        raise ConfigError(f"{document.where}: {first.path}", first.what, first.advice + more)
    return reading.config


@dataclass
class _KeyNormaliser:
    """Changes keys to the connectors' spelling, and leaves out unknown keys.

    `encoding/json` ignores the case of keys, `yaml.v2` does not. A null counts as absent; in a list, or under a name
    that the user chose, it is an empty value, as in Go.
    """

    ignores_case: bool
    synonyms: Mapping[str, str]
    unknown: list[UnknownKey] = field(default_factory=list)

    def normalise(self, value: Any, schema: Any, path: KeyPath = ()) -> Any:
        schema = _resolve(schema)
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        if isinstance(value, list) and "items" in schema:
            return ["" if item is None else item for item in value]
        if not isinstance(value, dict) or not (known or others):
            return value
        if others:
            absent: Any = "" if _resolve(others).get("type") == "string" else {}
            named = {key: absent if item is None else item for key, item in value.items()}
            return {key: self.normalise(item, others, (*path, key)) for key, item in named.items()}
        normalised: dict[str, Any] = {}
        for key, item in value.items():
            name = self._name(key, known)
            if name != key:
                self.unknown.append(UnknownKey(path, key, tuple(known), name))
            if name and item is not None and (name == key or value.get(name) is None):
                normalised[name] = self.normalise(item, known[name], (*path, name))
        return normalised

    def _name(self, key: str, known: Mapping[str, Any]) -> str:
        by_case = {name.casefold(): name for name in known} if self.ignores_case else {}
        name = key if key in known else by_case.get(key.casefold()) or self.synonyms.get(key, "")
        return name if name in known else ""


def _resolve(schema: Any) -> Any:
    """Return a schema with a reference into `$defs` resolved."""
    return SCHEMA["$defs"].get(schema.get("$ref", "").rpartition("/")[2], schema) if isinstance(schema, dict) else {}


@functools.lru_cache(maxsize=1)
def _validator() -> Validator:
    """Make the validator. The import is late: commands without a configuration do not need the library."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    whole_numbers = Draft202012Validator.TYPE_CHECKER.redefine(
        # Neither `encoding/json` nor the client of SQS accepts 10.0 as a whole number.
        "integer",
        lambda _, value: isinstance(value, int) and not isinstance(value, bool),
    )
    extended = validators.extend(Draft202012Validator, type_checker=whole_numbers)  # type: ignore[no-untyped-call]
    found: Validator = extended(SCHEMA)
    return found


def _validate(value: Mapping[str, Any], right_url: str, *, native: bool) -> tuple[list[Problem], set[KeyPath]]:
    """Return one problem for each JSON path, and the paths whose values cannot be used."""
    problems: dict[KeyPath, Problem] = {}
    wrong: set[KeyPath] = set()
    validator = _validator()
    own = validator.evolve(schema=SCHEMA["$defs"]["native"]) if native else None
    for error in (error for each in (validator, own) if each for error in each.iter_errors(value)):
        path = tuple(error.absolute_path)
        problems.setdefault(path, _problem(error, path, right_url))
        if error.validator == "type" or "default" in error.schema:  # type: ignore[operator]
            wrong.add(path)
    return list(problems.values()), wrong


def _problem(error: ValidationError, path: KeyPath, right_url: str) -> Problem:
    """Return an error of the validator as a problem, with the schema's own texts."""
    rule: Any = error.schema
    value: Any = error.instance
    kind = str(error.validator_value) if error.validator == "type" else rule.get("range")
    texts = {"level": ERROR, **rule, **SCHEMA["$defs"]["words"].get(kind, {})}
    words = {name: rule.get(name) for name in ("minimum", "maximum", "default")}
    words |= {"value": shown(safe_url(value)) if isinstance(value, str) else value, "right": right_url}
    words["kind"] = kind_of(value)
    return Problem(texts["level"], json_path(*path), texts["what"].format(**words), texts["advice"].format(**words))


def _without(wrong: set[KeyPath], value: Any, path: KeyPath = ()) -> Any:
    """Return a copy without the values of a wrong type or replaced by a default; they are reported already."""
    if isinstance(value, dict):
        return {key: _without(wrong, item, (*path, key)) for key, item in value.items() if (*path, key) not in wrong}
    if isinstance(value, list):
        return [_without(wrong, item, (*path, at)) for at, item in enumerate(value) if (*path, at) not in wrong]
    return value


# -- The configuration


def _config_of(value: Mapping[str, Any], dialect: str, key: Secret, home: str, where: str) -> EdgeConfig:
    own = value.get("alertaOpsgenie")
    mappings = {name: _mapping_of(name, item, home) for name, item in value.get("actionMappings", {}).items()}
    # Absent it is 0 in Go, and 0 is allowed.
    pool = {**default_numbers("poolConf"), "minNumberOfWorker": 0, **value.get("poolConf", {})}
    return EdgeConfig(
        dialect=dialect,
        api_key=key,
        base_url=value.get("baseUrl") or DEFAULT_BASE_URLS[dialect],
        mappings=mappings,
        log_level=value.get("logLevel") or "info",
        global_flags=tuple(value.get("globalFlags", {}).items()),
        global_args=tuple(value.get("globalArgs", ())),
        global_env=tuple(value.get("globalEnv", ())),
        poller={**default_numbers("pollerConf"), **value.get("pollerConf", {})},
        pool=pool,
        own=own if isinstance(own, dict) else {},
        where=where,
    )


def _mapping_of(name: str, value: Mapping[str, Any], home: str) -> ActionMapping:
    filepath, source_type = value.get("filepath", ""), value.get("sourceType", "")
    return ActionMapping(
        name=name,
        filepath=clean_path(filepath, home) if source_type == "local" else filepath,
        source_type=source_type,
        type=value.get("type") or "custom",
        flags=tuple(value.get("flags", {}).items()),
        args=tuple(value.get("args", ())),
        env=tuple(value.get("env", ())),
        stdout=clean_path(value.get("stdout", ""), home),
        stderr=clean_path(value.get("stderr", ""), home),
    )


def default_numbers(part: str) -> dict[str, int]:
    """Return the connectors' defaults of `pollerConf` or `poolConf`, in the schema's order."""
    rules = SCHEMA["properties"][part]["properties"]
    return {name: rule["allOf"][1]["default"] for name, rule in rules.items()}


def clean_path(path: str, home: str) -> str:
    """Expand a leading `~/` to `home` and normalise the path, as the connectors do (conf/util.go)."""
    if not path:
        return ""
    if path.startswith("~/"):
        path = posixpath.join(home, path[2:].lstrip("/"))
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean
