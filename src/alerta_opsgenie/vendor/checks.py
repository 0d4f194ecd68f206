"""What a connector would start with and yet not do as meant: the checks behind `config check`.

`check_config` gives everything at once, errors of structure included, in the order of the file's sections.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping
from urllib.parse import urlsplit

from alerta_opsgenie.vendor import structure
from alerta_opsgenie.vendor.arguments import CONNECTORS_OWN, KEY_OPTION, environment_pairs, find_options, names_alerta
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
from alerta_opsgenie.vendor.document import Document
from alerta_opsgenie.vendor.problems import ERROR, WARNING, Problem, json_path, nearest, shown
from alerta_opsgenie.vendor.redaction import is_secret_name, safe_url

ROOT_KEYS = (
    "appName", "apiKey", "baseUrl", "logLevel", "globalFlags", "globalArgs", "globalEnv", "actionMappings",
    "pollerConf", "poolConf", "alertaOpsgenie",
)  # fmt: skip
POLLER_KEYS = ("pollingWaitIntervalInMillis", "visibilityTimeoutInSeconds", "maxNumberOfMessages")
POOL_KEYS = (
    "maxNumberOfWorker", "minNumberOfWorker", "queueSize", "keepAliveTimeInMillis", "monitoringPeriodInMillis",
)  # fmt: skip
MAPPING_KEYS = ("type", "sourceType", "gitOptions", "filepath", "flags", "args", "env", "stdout", "stderr")
HTTP_KEYS = ("url", "headers", "params", "method")
GIT_KEYS = ("url", "privateKeyFilepath", "passphrase")

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
"""Names that Opsgenie and JSM give to actions; any other is a custom action's."""

_MOST_SQS_MESSAGES = 10  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
_LONGEST_VISIBILITY_SECONDS = 12 * 3600  # the same page
_PLACEHOLDER = re.compile(r"<[^<>]*>|…|\.\.\.")
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
_WEB_INTERFACE_HOSTS = {"app.opsgenie.com": DEFAULT_BASE_URLS[OEC], "app.eu.opsgenie.com": EU_BASE_URL}


@dataclass(frozen=True)
class _Case:
    """What the checks look at; of `config` only parts are sound where the structure is broken."""

    document: Document
    config: EdgeConfig
    dialect: str
    target: str
    key_given: bool

    @property
    def root(self) -> Mapping[str, Any]:
        return self.document.value

    def section(self, name: str) -> Mapping[str, Any]:
        found = structure.Fields(self.document).find(self.root, name)[1]
        return found if isinstance(found, dict) else {}


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
    config, problems = structure.read_structure(document, dialect=chosen, environment=given, target=target)
    case = _Case(document, config, chosen, target or chosen, bool(given.get(f"{chosen.upper()}_API_KEY")))
    for check in (
        _check_keys,
        _check_base_url,
        _check_placeholders,
        _check_numbers,
        _check_log_level,
        _check_mappings,
        _check_arguments,
        _check_globals,
    ):
        problems.extend(check(case))
    problems.extend(_check_dialect(case, explicit=dialect))
    return sorted(problems, key=lambda problem: problem.level != ERROR)


def check_file_mode(path: str) -> list[Problem]:
    """Look at who else may read or change the file, which holds keys and says what the connector runs."""
    try:
        status = Path(path).stat()
    except OSError as error:
        return [Problem(ERROR, "$", f"the file cannot be looked at: {error.strerror}", "check the path")]
    problems = []
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what = "others than its owner may change the file, and with it what the connector runs"
        problems.append(Problem(ERROR, "$", what, f"chmod 600 {path}"))
    elif status.st_mode & stat.S_IROTH:
        problems.append(Problem(WARNING, "$", "every user of this host can read the keys in it", f"chmod 600 {path}"))
    return problems


def _check_keys(case: _Case) -> Iterator[Problem]:
    for path in case.document.repeated:
        yield Problem(WARNING, json_path(*path), "stands there more than once; only the last one counts", "keep one")
    yield from _unknown_keys(case, case.root, ROOT_KEYS)
    yield from _unknown_keys(case, case.section("pollerConf"), POLLER_KEYS, "pollerConf")
    yield from _unknown_keys(case, case.section("poolConf"), POOL_KEYS, "poolConf")
    for name, mapping in case.section("actionMappings").items():
        if not isinstance(mapping, dict):
            continue
        http = mapping.get("type") == "http"
        yield from _unknown_keys(case, mapping, (*MAPPING_KEYS, *(HTTP_KEYS if http else ())), "actionMappings", name)
        if isinstance(mapping.get("gitOptions"), dict):
            yield from _unknown_keys(case, mapping["gitOptions"], GIT_KEYS, "actionMappings", name, "gitOptions")


def _unknown_keys(case: _Case, owner: Mapping[str, Any], known: tuple[str, ...], *place: str) -> Iterator[Problem]:
    for key in owner:
        if key in known:
            continue
        path = json_path(*place, key)
        meant = OLD_NAMES.get(key) if OLD_NAMES.get(key) in known else nearest(key, known)
        if meant and meant.casefold() == key.casefold() and case.document.ignores_case:
            yield Problem(WARNING, path, "is read whatever its case in JSON, but not in YAML", f"write {meant}")
        elif key == structure.MEANT_VISIBILITY and case.target == NATIVE:
            what = "is read over by the Go connectors; here it is taken for visibilityTimeoutInSeconds, which is meant"
            yield Problem(WARNING, path, what, f"write {meant}")
        elif meant:
            what = f"is not known to the connectors and has no effect; {meant} is meant"
            yield Problem(WARNING, path, what, f"write {meant}")
        else:
            yield Problem(WARNING, path, "is not known to the connectors and has no effect", "remove it")


def _check_base_url(case: _Case) -> Iterator[Problem]:
    url = structure.Fields(case.document).find(case.root, "baseUrl")[1]
    if not isinstance(url, str) or not url:
        return
    right = DEFAULT_BASE_URLS[case.dialect]
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        yield Problem(ERROR, "$.baseUrl", "is not a URL", f"write {right}")
        return
    if parts.scheme not in {"http", "https"} or not host or url != url.strip():
        what = f"is {shown(safe_url(url))}, not a URL with http(s):// and a host"
        yield Problem(ERROR, "$.baseUrl", what, f"write {right}")
        return
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        level = ERROR if dialect_of_url(url) else WARNING
        yield Problem(level, "$.baseUrl", "sends the API key in the clear over http://", "write https://")
    yield from _check_url_place(case, host, parts.path, parts.query + parts.fragment)


def _check_url_place(case: _Case, host: str, path: str, rest: str) -> Iterator[Problem]:
    right = DEFAULT_BASE_URLS[case.dialect]
    if host in _WEB_INTERFACE_HOSTS:
        what = f"is the host of the web interface ({host}), not of the API"
        yield Problem(ERROR, "$.baseUrl", what, f"write {_WEB_INTERFACE_HOSTS[host]}")
    elif dialect_of_url(f"//{host}") == OEC and "eu" in host.split(".") and host != urlsplit(EU_BASE_URL).hostname:
        yield Problem(ERROR, "$.baseUrl", f"is no host of Opsgenie's European region ({host})", f"write {EU_BASE_URL}")
    elif host.endswith(".atlassian.net"):
        what = f"is the site's own address ({host}), and the connector speaks to the API"
        yield Problem(ERROR, "$.baseUrl", what, f"write {DEFAULT_BASE_URLS[JEC]}")
    if "/jsm/ops" in path:
        what = "holds /jsm/ops/…, which the connector and the scripts add themselves: it would stand there twice"
        yield Problem(ERROR, "$.baseUrl", what, f"write {right}")
    elif path.strip("/") or rest:
        what = "goes on behind the host, where the connector puts its own path"
        yield Problem(WARNING, "$.baseUrl", what, f"write {right}")
    elif path:
        what = "ends in a slash, and the requests would go to //…"
        yield Problem(WARNING, "$.baseUrl", what, "remove the slash at its end")


def _check_dialect(case: _Case, *, explicit: str | None) -> Iterator[Problem]:
    config = case.config
    by_url = dialect_of_url(config.base_url)
    expected = explicit or dialect_of_path(case.document.where)
    if by_url is None or expected is None or by_url == expected:
        return
    whose = {OEC: "Opsgenie", JEC: "Jira Service Management"}
    mend = f"write {DEFAULT_BASE_URLS[expected]}, or move the file over: alerta-opsgenie config convert --to {by_url}"
    what = f"is {whose[by_url]}'s, and the file is {expected.upper()}'s for {whose[expected]}"
    yield Problem(ERROR, "$.baseUrl", what, mend)
    if expected == JEC and config.base_url.startswith(EU_BASE_URL):
        what = "is Opsgenie's European host; Jira Service Management has one host for all regions"
        yield Problem(WARNING, "$.baseUrl", what, f"write {DEFAULT_BASE_URLS[JEC]}")


def _check_placeholders(case: _Case) -> Iterator[Problem]:
    for path, text in _texts(case.root, ()):
        if _PLACEHOLDER.fullmatch(text.strip()) and not (path == ("apiKey",) and case.key_given):
            yield Problem(ERROR, json_path(*path), "still holds the sample's placeholder", "put the real value there")


def _texts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _check_numbers(case: _Case) -> Iterator[Problem]:
    poller, pool = case.section("pollerConf"), case.section("poolConf")
    yield from _replaced(poller, "pollerConf", "pollingWaitIntervalInMillis", 1, 100)
    yield from _replaced(poller, "pollerConf", "maxNumberOfMessages", 1, 10)
    yield from _replaced(poller, "pollerConf", "visibilityTimeoutInSeconds", structure.SHORTEST_VISIBILITY_SECONDS, 30)
    yield from _refused(poller, "maxNumberOfMessages", _MOST_SQS_MESSAGES)
    yield from _refused(poller, "visibilityTimeoutInSeconds", _LONGEST_VISIBILITY_SECONDS)
    yield from _replaced(pool, "poolConf", "maxNumberOfWorker", 1, 12)
    yield from _replaced(pool, "poolConf", "minNumberOfWorker", 0, 4)
    yield from _replaced(pool, "poolConf", "queueSize", 0, 0)
    yield from _replaced(pool, "poolConf", "keepAliveTimeInMillis", 1, 6000)
    yield from _replaced(pool, "poolConf", "monitoringPeriodInMillis", 1, 15000)
    smallest, largest = pool.get("minNumberOfWorker"), pool.get("maxNumberOfWorker")
    if isinstance(smallest, int) and isinstance(largest, int) and 0 < largest < smallest:
        what = f"is larger than maxNumberOfWorker ({largest}), which is used instead"
        yield Problem(WARNING, "$.poolConf.minNumberOfWorker", what, f"write {largest} or less")


def _replaced(owner: Mapping[str, Any], section: str, name: str, least: int, default: int) -> Iterator[Problem]:
    value = owner.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and value < least:
        what = f"is {value}; below {least} the connector uses {default} instead"
        yield Problem(WARNING, json_path(section, name), what, f"write {default}, or what is meant")


def _refused(owner: Mapping[str, Any], name: str, most: int) -> Iterator[Problem]:
    value = owner.get(name)
    if isinstance(value, int) and value > most:
        what = f"is {value}; SQS refuses more than {most}, and nothing would be received"
        yield Problem(ERROR, json_path("pollerConf", name), what, f"write {most} or less")


def _check_log_level(case: _Case) -> Iterator[Problem]:
    level = structure.Fields(case.document).find(case.root, "logLevel")[1]
    if isinstance(level, str) and level and level.casefold() not in structure.LOG_LEVELS:
        meant = nearest(level, structure.LOG_LEVELS) or "info"
        yield Problem(WARNING, "$.logLevel", f"is {shown(level)}, which counts as info", f"write {meant.upper()}")


def _check_mappings(case: _Case) -> Iterator[Problem]:
    config = case.config
    for mapping in config.mappings.values():
        yield from _check_mapping(config, mapping)
    ours = [mapping for mapping in config.mappings.values() if mapping.is_alerta_executor]
    if config.mappings and not ours and all(mapping.filepath for mapping in config.mappings.values()):
        what = "starts the Alerta executor for no action; only scripts of others are mapped"
        yield Problem(WARNING, "$.actionMappings", what, f"map the actions to {' or '.join(sorted(EXECUTOR_NAMES))}")
    for name in DOCUMENTED_ACTIONS if ours else ():
        if name in config.mappings:
            continue
        what = "is not mapped: the connector drops this action, and Alerta never hears of it"
        mend = f"map it to {shown(ours[0].filepath)} as the others"
        yield Problem(WARNING, json_path("actionMappings", name), what, mend)
    if ours and case.dialect == JEC and JEC_CATCH_ALL not in config.mappings:
        what = "is not mapped; which name a plain JEC integration asks for is not documented"
        mend = "map it to the same script as the others"
        yield Problem(WARNING, json_path("actionMappings", JEC_CATCH_ALL), what, mend)


def _check_mapping(config: EdgeConfig, mapping: ActionMapping) -> Iterator[Problem]:
    path = json_path("actionMappings", mapping.name)
    meant = {name.casefold(): name for name in KNOWN_ACTIONS}.get(mapping.name.casefold(), mapping.name)
    if meant != mapping.name:
        level = WARNING if meant in config.mappings else ERROR
        yield Problem(level, path, "never matches: the names of actions are compared with their case", f"write {meant}")
    elif mapping.name not in KNOWN_ACTIONS:
        near = nearest(mapping.name, KNOWN_ACTIONS)
        if near and near not in config.mappings:
            what = "is no action of Opsgenie or JSM (a custom action of this name apart)"
            yield Problem(WARNING, path, what, f"write {near} if that is meant")
    if mapping.type not in structure.ACTION_TYPES or (mapping.is_alerta_executor and mapping.type != "custom"):
        what = f'is {shown(mapping.type)}; actions on alerts come with the type "custom", and others are dropped'
        yield Problem(ERROR, f"{path}.type", what, 'remove it, or write "custom"')
    if mapping.source_type == "local" and mapping.filepath and not mapping.filepath.startswith("/"):
        what = f"is {shown(mapping.filepath)}, which depends on the directory the connector is started in"
        yield Problem(WARNING, f"{path}.filepath", what, "write the whole path, from /")
    yield from _check_variables(mapping.env, "actionMappings", mapping.name, "env")


def _check_arguments(case: _Case) -> Iterator[Problem]:
    config = case.config
    lists: list[tuple[tuple[str, ...], tuple[str, ...]]] = [(("globalArgs",), config.global_args)]
    lists += [(("actionMappings", mapping.name, "args"), mapping.args) for mapping in config.mappings.values()]
    for place, args in lists:
        for option in find_options(args):
            path = json_path(*place, option.index)
            if option.name in CONNECTORS_OWN:
                what = f"-{option.name} is passed by the connector itself"
                yield Problem(WARNING, path, what, "remove it and its value")
            elif is_secret_name(option.name) and option.value:
                what = f"-{option.name} shows a secret to every user of the host (ps)"
                yield Problem(WARNING, path, what, _secret_mend(option.name))
        if any("\x00" in argument for argument in args):
            what = "holds a NUL character, and no script can be started with it"
            yield Problem(ERROR, json_path(*place), what, "remove it")
    for name in _without_alerta(case, config):
        what = "starts the Alerta executor, but nothing tells it where Alerta is"
        mend = 'put "--alertaApiUrl" and the URL into globalArgs'
        yield Problem(ERROR, json_path("actionMappings", name), what, mend)
        break


def _secret_mend(option: str) -> str:
    if option == KEY_OPTION:
        return 'use "--alertaApiKeyFile" and a path, or "ALERTA_API_KEY=…" in globalEnv'
    return "give it to the script in a file, or in globalEnv"


def _without_alerta(case: _Case, config: EdgeConfig) -> Iterator[str]:
    """Name the mappings of our executor that lack Alerta's URL; the native connector's own settings may have it."""
    if case.target == NATIVE and config.own:
        return
    for mapping in config.mappings.values():
        if mapping.is_alerta_executor and not names_alerta(config, mapping):
            yield mapping.name


def _check_variables(entries: tuple[str, ...], *place: str) -> Iterator[Problem]:
    for index, entry in enumerate(entries):
        if not environment_pairs((entry,)):
            what = "is not of the form NAME=value and has no effect"
            yield Problem(WARNING, json_path(*place, index), what, "write NAME=value")


def _check_globals(case: _Case) -> Iterator[Problem]:
    config = case.config
    yield from _check_variables(config.global_env, "globalEnv")
    for name, value in config.global_flags:
        if is_secret_name(name) and value:
            what = f"-{name} shows a secret to every user of the host (ps)"
            yield Problem(WARNING, json_path("globalFlags", name), what, _secret_mend(name))
