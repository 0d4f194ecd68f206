"""From a document to an `EdgeConfig`: the types, needs and defaults of the Go connectors, each miss a `Problem`.

All misses are collected, so that a file is mended in one go. An error here means that the connector would refuse to
start; what starts but does not do what was meant is found in `checks`.
"""

from __future__ import annotations

import json
import posixpath
from typing import Any, Mapping, Sequence

from alerta_opsgenie.vendor.config import (
    DEFAULT_BASE_URLS,
    NATIVE,
    ActionMapping,
    EdgeConfig,
    PollerConf,
    PoolConf,
)
from alerta_opsgenie.vendor.document import Document
from alerta_opsgenie.vendor.problems import ERROR, Problem, json_path, kind_of, nearest, shown
from alerta_opsgenie.vendor.secret import Secret

LOG_LEVELS = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
"""What logrus, the Go connectors' logger, understands; anything else counts as info."""

SOURCE_TYPES = ("local", "git")
ACTION_TYPES = ("custom", "http")
HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")
MEANT_VISIBILITY = "visibilityTimeoutInSec"
"""What every sample configuration writes for `visibilityTimeoutInSeconds`, and the Go connectors read over."""

_INT32 = 2**31 - 1
_INT64 = 2**63 - 1
_Path = tuple["str | int", ...]


def read_structure(
    document: Document,
    *,
    dialect: str,
    environment: Mapping[str, str],
    api_key: Secret | None = None,
    target: str | None = None,
) -> tuple[EdgeConfig, list[Problem]]:
    """Read a document as a connector of `dialect` would at its start.

    Gives all problems found, and the configuration; where there is an error it is good for further checks alone.
    """
    reader = Fields(document)
    config = _read_config(reader, dialect, environment, api_key, target or dialect)
    return config, reader.problems


class Fields:
    """Takes fields out of a document by the rules of the Go decoders, and notes what they would refuse."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def find(self, owner: Mapping[str, Any], name: str) -> tuple[str, Any]:
        """Give the key that stands for `name` in `owner`, and its value; None where there is no such key."""
        if name in owner or not self.document.ignores_case:
            return name, owner.get(name)
        folded = name.casefold()
        return next(((key, value) for key, value in owner.items() if key.casefold() == folded), (name, None))

    def refuse(self, path: _Path, what: str, mend: str) -> None:
        """Note an error."""
        self.problems.append(Problem(ERROR, json_path(*path), what, mend))

    def text(self, owner: Mapping[str, Any], name: str, path: _Path) -> str:
        """Take a text; an absent one and null are empty, as in Go."""
        key, value = self.find(owner, name)
        return self.as_text(value, (*path, key))

    def as_text(self, value: Any, path: _Path) -> str:
        """Take one value as a text."""
        if value is None or isinstance(value, str):
            return value or ""
        if path in self.document.literals:
            return self.document.literals[path]
        self.refuse(path, f"is {kind_of(value)} where a text is wanted", "put it in double quotes")
        return ""

    def whole(self, owner: Mapping[str, Any], name: str, path: _Path, largest: int = _INT64) -> int:
        """Take a whole number; an absent one and null are 0, as in Go."""
        key, value = self.find(owner, name)
        if value is None:
            return 0
        yaml_whole = isinstance(value, float) and value.is_integer() and not self.document.ignores_case
        if isinstance(value, bool) or not (isinstance(value, int) or yaml_whole):
            what = f"is {_number_as_found(value)} where a whole number is wanted"
            self.refuse((*path, key), what, "write it as digits alone")
            return 0
        if not -largest - 1 <= value <= largest:
            what = "is a number beyond what the connector can hold"
            self.refuse((*path, key), what, f"write a number up to {largest}")
            return 0
        return int(value)

    def texts(self, owner: Mapping[str, Any], name: str, path: _Path) -> tuple[str, ...]:
        """Take a list of texts."""
        key, value = self.find(owner, name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.refuse((*path, key), f"is {kind_of(value)} where a list is wanted", "put it in square brackets")
            return ()
        return tuple(self.as_text(item, (*path, key, index)) for index, item in enumerate(value))

    def named_texts(self, owner: Mapping[str, Any], name: str, path: _Path) -> tuple[tuple[str, str], ...]:
        """Take an object whose values are texts."""
        key, value = self.object(owner, name, path)
        return tuple((item, self.as_text(text, (*path, key, item))) for item, text in value.items())

    def object(self, owner: Mapping[str, Any], name: str, path: _Path) -> tuple[str, Mapping[str, Any]]:
        """Take an object with its key as it stands; an absent one and null are empty."""
        key, value = self.find(owner, name)
        if value is None:
            return key, {}
        if not isinstance(value, dict):
            self.refuse((*path, key), f"is {kind_of(value)} where an object is wanted", "put it in curly brackets")
            return key, {}
        return key, value


def _number_as_found(value: Any) -> str:
    return "a number with a fraction or exponent" if isinstance(value, float) else kind_of(value)


def _read_config(
    reader: Fields, dialect: str, environment: Mapping[str, str], api_key: Secret | None, target: str
) -> EdgeConfig:
    root = reader.document.value
    own = reader.object(root, "alertaOpsgenie", ())[1] if target == NATIVE else root.get("alertaOpsgenie")
    log_level = reader.text(root, "logLevel", ())
    return EdgeConfig(
        dialect=dialect,
        api_key=_read_api_key(reader, dialect, environment, api_key),
        base_url=reader.text(root, "baseUrl", ()) or DEFAULT_BASE_URLS[dialect],
        mappings=_read_mappings(reader, environment, target),
        log_level=log_level if log_level.casefold() in LOG_LEVELS else "info",
        app_name=reader.text(root, "appName", ()),
        global_flags=reader.named_texts(root, "globalFlags", ()),
        global_args=reader.texts(root, "globalArgs", ()),
        global_env=reader.texts(root, "globalEnv", ()),
        poller=_read_poller(reader, root, target),
        pool=_read_pool(reader, root),
        own=own if isinstance(own, dict) else {},
        where=reader.document.where,
    )


def _read_api_key(reader: Fields, dialect: str, environment: Mapping[str, str], given: Secret | None) -> Secret:
    in_file = reader.text(reader.document.value, "apiKey", ())
    variable = f"{dialect.upper()}_API_KEY"
    key = given or Secret(environment.get(variable, "") or in_file)
    if not key and not any(problem.path == "$.apiKey" for problem in reader.problems):
        mend = f"put the integration's API key there, or into the variable {variable}"
        reader.refuse(("apiKey",), "is missing", mend)
    return key


def _read_poller(reader: Fields, root: Mapping[str, Any], target: str) -> PollerConf:
    key, section = reader.object(root, "pollerConf", ())
    path = (key,)
    interval = reader.whole(section, "pollingWaitIntervalInMillis", path)
    messages = reader.whole(section, "maxNumberOfMessages", path)
    visibility = reader.whole(section, "visibilityTimeoutInSeconds", path)
    if target == NATIVE and reader.find(section, "visibilityTimeoutInSeconds")[1] is None:
        visibility = reader.whole(section, MEANT_VISIBILITY, path)
    default = PollerConf()
    return PollerConf(
        interval if interval > 0 else default.polling_wait_interval_milliseconds,
        visibility if visibility >= SHORTEST_VISIBILITY_SECONDS else default.visibility_timeout_seconds,
        messages if messages > 0 else default.max_number_of_messages,
    )


SHORTEST_VISIBILITY_SECONDS = 15
"""Anything shorter is replaced by the default of 30 (queue/processor.go)."""


def _read_pool(reader: Fields, root: Mapping[str, Any]) -> PoolConf:
    key, section = reader.object(root, "poolConf", ())
    path = (key,)
    largest = reader.whole(section, "maxNumberOfWorker", path, _INT32)
    smallest = reader.whole(section, "minNumberOfWorker", path, _INT32)
    queue_size = reader.whole(section, "queueSize", path, _INT32)
    keep_alive = reader.whole(section, "keepAliveTimeInMillis", path)
    monitoring = reader.whole(section, "monitoringPeriodInMillis", path)
    default = PoolConf()
    max_workers = largest if largest > 0 else default.max_workers
    # An absent minimum is 0 in Go, and 0 is allowed; only a negative one gets the default.
    min_workers = default.min_workers if smallest < 0 else smallest
    return PoolConf(
        max_workers,
        min(min_workers, max_workers),
        max(queue_size, default.queue_size),
        keep_alive if keep_alive > 0 else default.keep_alive_milliseconds,
        monitoring if monitoring > 0 else default.monitoring_period_milliseconds,
    )


def _read_mappings(reader: Fields, environment: Mapping[str, str], target: str) -> Mapping[str, ActionMapping]:
    before = len(reader.problems)
    key, section = reader.object(reader.document.value, "actionMappings", ())
    if not section and len(reader.problems) == before:
        what = "is missing or empty, so no action would start anything"
        reader.refuse((key,), what, "map the actions to their script")
    return {name: _read_mapping(reader, name, value, key, environment, target) for name, value in section.items()}


def _read_mapping(
    reader: Fields, name: str, value: Any, section: str, environment: Mapping[str, str], target: str
) -> ActionMapping:
    path = (section, name)
    if value is not None and not isinstance(value, dict):
        reader.refuse(path, f"is {kind_of(value)} where an object is wanted", "map the action to its script")
    owner = value if isinstance(value, dict) else {}
    home = environment.get("HOME", "")
    action_type = reader.text(owner, "type", path) or "custom"
    filepath = reader.text(owner, "filepath", path)
    source_type = reader.text(owner, "sourceType", path)
    if value is None or isinstance(value, dict):
        _check_source(reader, owner, path, filepath, source_type, target)
    flags = reader.named_texts(owner, "flags", path)
    return ActionMapping(
        name=name,
        filepath=clean_path(filepath, home) if source_type == "local" else filepath,
        source_type=source_type,
        type=action_type,
        flags=_http_flags(reader, owner, path) if action_type == "http" else flags,
        args=reader.texts(owner, "args", path),
        env=reader.texts(owner, "env", path),
        stdout=clean_path(reader.text(owner, "stdout", path), home),
        stderr=clean_path(reader.text(owner, "stderr", path), home),
    )


def _check_source(
    reader: Fields, owner: Mapping[str, Any], path: _Path, filepath: str, source_type: str, target: str
) -> None:
    if not owner:
        reader.refuse(path, "is empty: it names no script", "repeat the whole entry of an action that works")
        return
    noted = {problem.path for problem in reader.problems}
    if source_type not in SOURCE_TYPES and json_path(*path, "sourceType") not in noted:
        found = f"is {shown(source_type)}" if source_type else "is missing"
        meant = nearest(source_type, SOURCE_TYPES) or "local"
        reader.refuse((*path, "sourceType"), f"{found}, and the connector refuses to start", f'write "{meant}"')
    if not filepath and json_path(*path, "filepath") not in noted:
        reader.refuse((*path, "filepath"), "is missing", "name the script that is to be started")
    if source_type == "git":
        _check_git(reader, owner, path, target)


def _check_git(reader: Fields, owner: Mapping[str, Any], path: _Path, target: str) -> None:
    if target == NATIVE:
        reader.refuse(
            (*path, "sourceType"),
            'is "git", and the native connector takes scripts from this host alone',
            'clone the repository here, set "local" and the path in filepath',
        )
        return
    key, options = reader.object(owner, "gitOptions", path)
    for name in ("url", "privateKeyFilepath", "passphrase"):
        reader.text(options, name, (*path, key))
    if not any(options.values()):
        reader.refuse((*path, "gitOptions"), "is missing", "name the repository's url there")


def _http_flags(reader: Fields, owner: Mapping[str, Any], path: _Path) -> tuple[tuple[str, str], ...]:
    """Build the flags of an http mapping: they replace whatever `flags` says (conf/configuration.go)."""
    url = reader.text(owner, "url", path)
    method = reader.text(owner, "method", path)
    if method and method.upper() not in HTTP_METHODS:
        reader.refuse((*path, "method"), f"is {shown(method)}", f"write one of {', '.join(HTTP_METHODS)}")
    headers = reader.named_texts(owner, "headers", path)
    params = reader.named_texts(owner, "params", path)
    flags = [("url", url), ("method", method), ("headers", _go_json(headers)), ("params", _go_json(params))]
    return tuple((name, text) for name, text in flags if text)


def _go_json(pairs: Sequence[tuple[str, str]]) -> str:
    """Write a map of texts as encoding/json does: sorted, without spaces, safe inside HTML; nothing for none."""
    if not pairs:
        return ""
    text = json.dumps(dict(pairs), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def clean_path(path: str, home: str) -> str:
    """Follow a leading `~/` to `home` and tidy the path, as the connectors do (conf/util.go)."""
    if not path:
        return ""
    if path.startswith("~/"):
        path = posixpath.join(home, path[2:].lstrip("/"))
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean
