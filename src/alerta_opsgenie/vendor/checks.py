"""What a connector would start with and yet not do as meant: the checks behind `config check`.

`check_config` gives everything at once, what the schema finds included, errors first.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple
from urllib.parse import SplitResult, urlsplit

from alerta_opsgenie.core.secret import is_secret_name, safe_url
from alerta_opsgenie.vendor import structure
from alerta_opsgenie.vendor.arguments import (
    CONNECTORS_OWN,
    KEY_FILE_OPTION,
    KEY_FILE_VARIABLE,
    KEY_OPTION,
    KEY_VARIABLE,
    URL_OPTION,
    URL_VARIABLE,
    find_options,
    tells,
)
from alerta_opsgenie.vendor.config import (
    DEFAULT_BASE_URLS,
    DOCUMENTED_ACTIONS,
    EU_BASE_URL,
    EXECUTOR_NAMES,
    JEC,
    JEC_CATCH_ALL,
    NATIVE,
    OEC,
    ActionMapping,
    EdgeConfig,
    dialect_of_path,
    dialect_of_url,
    guess_dialect,
)
from alerta_opsgenie.vendor.document import Document, KeyPath
from alerta_opsgenie.vendor.problems import ERROR, LEVELS, NOTE, WARNING, Problem, json_path, nearest, shown
from alerta_opsgenie.vendor.structure import MAPPING_KEYS, POLLER_KEYS, POOL_KEYS, ROOT_KEYS

__all__ = ["MAPPING_KEYS", "POLLER_KEYS", "POOL_KEYS", "ROOT_KEYS", "check_config", "check_file_mode"]

OLD_NAMES: Mapping[str, str] = {
    "environmentVariables": "env",
    structure.MEANT_VISIBILITY: "visibilityTimeoutInSeconds",
}
"""Keys of the vendor's own samples that the connectors read over, and what is meant by them."""

KNOWN_ACTIONS = (
    *DOCUMENTED_ACTIONS,
    "Create", "Delete", "AddTags", "RemoveTags", "UpdatePriority", "UpdateMessage", "UpdateDescription", "AddResponder",
    "AddTeam", "AddRecipient", "Escalate", "EscalateToNext", "EscalateNext", "SnoozeEnded", JEC_CATCH_ALL,
    "postActionToOEC",
)  # fmt: skip
"""Names that Opsgenie and JSM give to actions; any other is a custom action's, or one that an integration maps to."""

_PLACEHOLDER = re.compile(
    r"\{\{[^{}]*\}\}|\$\{\w{1,100}\}|<[^<>]+>|\byour_\w{1,60}_goes_here\b"
    r"|^(…|\.\.\.|change_?me|replace_?me|todo|x[x-]+|api[_-]?key)$"
    r"|^your[\w -]{0,60}(key|token|url|password|secret|host)$",
    re.IGNORECASE,
)
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
_WEB_INTERFACE_HOSTS = {"app.opsgenie.com": DEFAULT_BASE_URLS[OEC], "app.eu.opsgenie.com": EU_BASE_URL}


@dataclass(frozen=True)
class _Case:
    """What the checks look at; of `config` only parts are sound where the structure is broken."""

    document: Document
    reading: structure.Reading
    dialect: str
    target: str
    key_given: bool

    @property
    def config(self) -> EdgeConfig:
        return self.reading.config


def check_config(
    document: Document,
    *,
    dialect: str | None = None,
    target: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Find all that is wrong with a configuration, errors first. Never raises for whatever the document holds.

    `dialect` is whose file it is (guessed where not given), `target` who is to run with it (`oec`, `jec`, `native`).
    """
    given = os.environ if environment is None else environment
    chosen = dialect or guess_dialect(document, given)
    reading = structure.read_document(document, dialect=chosen, environment=given, target=target)
    case = _Case(document, reading, chosen, target or chosen, bool(given.get(f"{chosen.upper()}_API_KEY")))
    problems = list(reading.problems)
    for check in (_check_keys, _check_base_url, _check_placeholders, _check_values, _check_mappings, _check_arguments):
        problems.extend(check(case))
    problems.extend(_check_dialect(case, explicit=dialect))
    return sorted(problems, key=lambda problem: LEVELS.index(problem.level))


def check_file_mode(path: str) -> list[Problem]:
    """Look at who else may read or change the file, which holds keys and says what the connector runs."""
    try:
        status = Path(path).stat()
    except OSError as error:
        return [Problem(ERROR, "$", f"the file cannot be looked at: {error.strerror}", "check the path")]
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what = "others than its owner may change the file, and with it what the connector runs"
        return [Problem(ERROR, "$", what, f"chmod 600 {path}")]
    if status.st_mode & stat.S_IROTH:
        return [Problem(WARNING, "$", "every user of this host can read the keys in it", f"chmod 600 {path}")]
    return []


def _check_keys(case: _Case) -> Iterator[Problem]:
    for path in case.document.repeated:
        yield Problem(WARNING, json_path(*path), "stands there more than once; only the last one counts", "keep one")
    for path, key, known in case.reading.odd_keys:
        meant = OLD_NAMES.get(key) if OLD_NAMES.get(key) in known else nearest(key, known)
        place = json_path(*path, key)
        if meant and meant.casefold() == key.casefold() and case.document.ignores_case:
            yield Problem(WARNING, place, "is read whatever its case in JSON, but not in YAML", f"write {meant}")
        elif key == structure.MEANT_VISIBILITY and case.target == NATIVE:
            what = "is read over by the Go connectors; here it is taken for visibilityTimeoutInSeconds, which is meant"
            yield Problem(WARNING, place, what, f"write {meant}")
        elif meant:
            what = f"is not known to the connectors and has no effect; {meant} is meant"
            yield Problem(WARNING, place, what, f"write {meant}")
        else:
            yield Problem(WARNING, place, "is not known to the connectors and has no effect", "remove it")


def _check_base_url(case: _Case) -> Iterator[Problem]:
    url = case.reading.value.get("baseUrl")
    if not isinstance(url, str) or not url:
        return
    right = f"write {DEFAULT_BASE_URLS[case.dialect]}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        yield Problem(ERROR, "$.baseUrl", "is not a URL", right)
        return
    if parts.scheme not in {"http", "https"} or not host or url != url.strip():
        what = f"is {shown(safe_url(url))}, not a URL with http(s):// and a host"
        yield Problem(ERROR, "$.baseUrl", what, right)
        return
    for is_so, level, what, advice in (*_host_faults(url, host), *_path_faults(parts, right)):
        if is_so:
            yield Problem(level, "$.baseUrl", what, advice)


def _host_faults(url: str, host: str) -> Iterator[tuple[bool, str, str, str]]:
    """Say of each fault whether a URL has it, how bad it is, and the words for it."""
    whose = dialect_of_url(url)
    in_clear = url.casefold().startswith("http:") and not _LOOPBACK.fullmatch(host)
    yield in_clear, ERROR if whose else WARNING, "sends the API key in the clear over http://", "write https://"
    web = f"is the host of the web interface ({host}), not of the API"
    yield host in _WEB_INTERFACE_HOSTS, ERROR, web, f"write {_WEB_INTERFACE_HOSTS.get(host)}"
    other = host not in {*_WEB_INTERFACE_HOSTS, urlsplit(EU_BASE_URL).hostname}
    no_region = f"is no host of Opsgenie's European region ({host})"
    yield whose == OEC and "eu" in host.split(".") and other, ERROR, no_region, f"write {EU_BASE_URL}"
    site = f"is the site's own address ({host}), and the connector speaks to the API"
    yield host.endswith(".atlassian.net"), ERROR, site, f"write {DEFAULT_BASE_URLS[JEC]}"


def _path_faults(parts: SplitResult, right: str) -> Iterator[tuple[bool, str, str, str]]:
    twice = "/jsm/ops" in parts.path
    what = "holds /jsm/ops/…, which the connector and the scripts add themselves: it would stand there twice"
    yield twice, ERROR, what, right
    goes_on = bool(parts.path.strip("/") or parts.query or parts.fragment)
    yield goes_on and not twice, WARNING, "goes on behind the host, where the connector puts its own path", right
    slash = "ends in a slash, and the requests would go to //…"
    yield bool(parts.path) and not goes_on, WARNING, slash, "remove the slash at its end"


def _check_dialect(case: _Case, *, explicit: str | None) -> Iterator[Problem]:
    by_url = dialect_of_url(case.config.base_url)
    expected = explicit or dialect_of_path(case.document.where)
    if by_url is None or expected is None or by_url == expected:
        return
    whose = {OEC: "Opsgenie", JEC: "Jira Service Management"}
    advice = f"write {DEFAULT_BASE_URLS[expected]}, or move the file over: alerta-opsgenie config convert --to {by_url}"
    what = f"is {whose[by_url]}'s, and the file is {expected.upper()}'s for {whose[expected]}"
    yield Problem(ERROR, "$.baseUrl", what, advice)
    if expected == JEC and case.config.base_url.startswith(EU_BASE_URL):
        what = "is Opsgenie's European host; Jira Service Management has one host for all regions"
        yield Problem(WARNING, "$.baseUrl", what, f"write {DEFAULT_BASE_URLS[JEC]}")


def is_placeholder(text: str) -> bool:
    """Whether a text is what a sample left to be filled in."""
    return bool(_PLACEHOLDER.search(text.strip()))


def _check_placeholders(case: _Case) -> Iterator[Problem]:
    """Find what a sample left to be filled in. In the arguments of other people's scripts it may be meant so."""
    # `{{.Payload}}` is harmless as the value of an option that the connector passes itself.
    own = [option for option in _options(case.config) if option.name in CONNECTORS_OWN]
    passed_anyway = {place for option in own for place in option.places}
    for path, text in _texts(case.reading.value, ()):
        given_elsewhere = path == ("apiKey",) and case.key_given
        if is_placeholder(text) and not given_elsewhere and path not in passed_anyway:
            level = WARNING if _is_for_others(case.config, path) else ERROR
            yield Problem(level, json_path(*path), "still holds a placeholder", "put the real value there")


def _is_for_others(config: EdgeConfig, path: KeyPath) -> bool:
    """Whether a value goes to a script that is not ours: `{{ alert.message }}` may be a template of its own."""
    in_mapping = path[0] == "actionMappings" and len(path) > 3  # noqa: PLR2004 - below args, flags, env, headers
    return in_mapping and not config.mappings[str(path[1])].is_alerta_executor


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _check_values(case: _Case) -> Iterator[Problem]:
    pool, level = case.reading.value.get("poolConf"), case.reading.value.get("logLevel")
    smallest, largest = (pool.get(f"{end}NumberOfWorker") if isinstance(pool, dict) else None for end in ("min", "max"))
    if isinstance(smallest, int) and isinstance(largest, int) and 0 < largest < smallest:
        what = f"is larger than maxNumberOfWorker ({largest}), which is used instead"
        yield Problem(WARNING, "$.poolConf.minNumberOfWorker", what, f"write {largest} or less")
    if isinstance(level, str) and level and level.casefold() not in structure.LOG_LEVELS:
        meant = nearest(level, structure.LOG_LEVELS) or "info"
        yield Problem(WARNING, "$.logLevel", f"is {shown(level)}, which counts as info", f"write {meant.upper()}")


def _check_mappings(case: _Case) -> Iterator[Problem]:
    mappings = case.config.mappings
    for mapping in mappings.values():
        yield from _check_mapping(mappings, mapping)
    ours = [mapping for mapping in mappings.values() if mapping.is_alerta_executor]
    if mappings and not ours and all(mapping.filepath for mapping in mappings.values()):
        what = "starts the Alerta executor for no action; only scripts of others are mapped"
        yield Problem(WARNING, "$.actionMappings", what, f"map the actions to {' or '.join(sorted(EXECUTOR_NAMES))}")
    if not ours:
        return
    for name in DOCUMENTED_ACTIONS:
        if name not in mappings:
            what = "is not mapped: the connector drops this action, and Alerta never hears of it"
            advice = f"map it to {shown(ours[0].filepath)} as the others"
            yield Problem(WARNING, json_path("actionMappings", name), what, advice)
    if case.dialect == JEC and JEC_CATCH_ALL not in mappings:
        what = "is not mapped; which name a plain JEC integration asks for is not documented"
        advice = "map it to the same script as the others"
        yield Problem(WARNING, json_path("actionMappings", JEC_CATCH_ALL), what, advice)


def _check_mapping(mappings: Mapping[str, ActionMapping], mapping: ActionMapping) -> Iterator[Problem]:
    path = json_path("actionMappings", mapping.name)
    near = nearest(mapping.name, KNOWN_ACTIONS)
    if near and near != mapping.name and near not in mappings and mapping.name not in KNOWN_ACTIONS:
        # The connectors look an integration's own name for an action up first (mappedActionV2), and compare its case.
        what = f"is fine if the integration maps an action to this name; a plain one sends {near}"
        yield Problem(NOTE, path, what, f"write {near} if that is meant")
    if mapping.is_alerta_executor and mapping.type == "http":
        what = 'is "http"; actions on alerts come with the type "custom", and others are dropped'
        yield Problem(ERROR, f"{path}.type", what, 'remove it, or write "custom"')
    if mapping.source_type == "local" and mapping.filepath and not mapping.filepath.startswith("/"):
        what = f"is {shown(mapping.filepath)}, which depends on the directory the connector is started in"
        yield Problem(WARNING, f"{path}.filepath", what, "write the whole path, from /")


def _check_arguments(case: _Case) -> Iterator[Problem]:
    config = case.config
    for option in _options(config):
        path = json_path(*option.places[0])
        if option.name in CONNECTORS_OWN:
            what = f"-{option.name} is passed by the connector itself; of two the last counts"
            yield Problem(WARNING, path, what, "remove it and its value")
        elif is_secret_name(option.name) and option.value:
            what = f"-{option.name} shows a secret to every user of the host (ps)"
            ours = f'use "--{KEY_FILE_OPTION}" and a path, or "{KEY_VARIABLE}=…" in globalEnv'
            advice = ours if option.name == KEY_OPTION else "give it to the script in a file, or in globalEnv"
            yield Problem(WARNING, path, what, advice)
    yield from _check_alerta(config, "where Alerta is", (URL_OPTION,), (URL_VARIABLE,))
    key_options, key_variables = (KEY_OPTION, KEY_FILE_OPTION), (KEY_VARIABLE, KEY_FILE_VARIABLE)
    yield from _check_alerta(config, "Alerta's key", key_options, key_variables)


class _Passed(NamedTuple):
    """A flag or an option among arguments, and the places in the file that it takes."""

    places: list[KeyPath]
    name: str
    value: str


def _options(config: EdgeConfig) -> Iterator[_Passed]:
    owners: list[tuple[KeyPath, KeyPath, EdgeConfig | ActionMapping]] = [(("globalFlags",), ("globalArgs",), config)]
    for mapping in config.mappings.values():
        place = ("actionMappings", mapping.name)
        owners.append(((*place, "flags"), (*place, "args"), mapping))
    for flags_place, args_place, owner in owners:
        flags, args = (
            (owner.global_flags, owner.global_args) if isinstance(owner, EdgeConfig) else (owner.flags, owner.args)
        )
        yield from (_Passed([(*flags_place, name)], name, value) for name, value in flags)
        for option in find_options(args):
            places = [(*args_place, option.index + step) for step in range(option.length)]
            yield _Passed(places, option.name, option.value or "")


def _check_alerta(
    config: EdgeConfig, missing: str, options: tuple[str, ...], variables: tuple[str, ...]
) -> Iterator[Problem]:
    """Note the first mapping of our executor that is not told something: the service's environment may say it."""
    for mapping in config.mappings.values():
        if mapping.is_alerta_executor and not tells(config, mapping, options, variables):
            what = f"starts the Alerta executor, and nothing in this file tells it {missing}"
            advice = (
                f'set {" or ".join(variables)} for the connector\'s service, or put "--{options[-1]}" into globalArgs'
            )
            yield Problem(NOTE, json_path("actionMappings", mapping.name), what, advice)
            return
