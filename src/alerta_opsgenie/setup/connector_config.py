"""The configuration that an installation writes: made new, or made of the one that is there with as little change."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Mapping

from alerta_opsgenie.agent.options import UsageError, split
from alerta_opsgenie.core.secret import Secret, is_secret_name
from alerta_opsgenie.setup.host import Host
from alerta_opsgenie.setup.layout import Layout
from alerta_opsgenie.vendor.arguments import (
    CONNECTORS_OWN,
    KEY_FILE_OPTION,
    KEY_FILE_VARIABLE,
    KEY_OPTION,
    KEY_VARIABLE,
    STATE_OPTION,
    URL_OPTION,
    URL_VARIABLE,
    environment_pairs,
    find_options,
    mapping_arguments,
    without_options,
)
from alerta_opsgenie.vendor.checks import check_config, is_placeholder
from alerta_opsgenie.vendor.config import (
    DOCUMENTED_ACTIONS,
    EXECUTOR_NAMES,
    JEC,
    JEC_CATCH_ALL,
    NATIVE,
    EdgeConfig,
    guess_dialect,
)
from alerta_opsgenie.vendor.convert import difference
from alerta_opsgenie.vendor.document import Document, parse_document, syntax_of
from alerta_opsgenie.vendor.problems import ERROR, ConfigError, Problem
from alerta_opsgenie.vendor.render import RenderOptions, render_config
from alerta_opsgenie.vendor.store import dump_document
from alerta_opsgenie.vendor.structure import read_structure

_NO_SECRET = Secret("")


@dataclass(frozen=True)
class Existing:
    """What a configuration that is there already says; empty where it says nothing of use."""

    document: Document | None = None
    trouble: str = ""
    dialect: str = ""
    api_key: Secret = _NO_SECRET
    base_url: str = ""
    alerta_url: str = ""
    alerta_key: Secret = _NO_SECRET
    state_directory: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the configuration is made of. `script` is what the actions are mapped to; empty texts are not given."""

    dialect: str
    api_key: Secret
    alerta_url: str
    base_url: str
    script: str
    region: str = "us"
    sources: tuple[str, ...] = ()
    ca_file: str = ""


def read_existing(host: Host, layout: Layout, dialect: str | None = None) -> Existing:
    """Read the configuration that is there, and Alerta's key where it says that one is. Raises `OSError`."""
    found = host.files.look(layout.config)
    if found is None or found.kind != "file":
        return Existing()
    try:
        document = parse_document(host.files.read(layout.config), syntax=syntax_of(layout.config), where=layout.config)
    except ConfigError as error:
        return Existing(trouble=f"{error.where} {error.what}")
    chosen = dialect or (guess_dialect(document) if layout.edge == NATIVE else layout.edge)
    config = read_structure(document, dialect=chosen, environment={}).config
    given, variables = _executor_input(config)
    key, key_file = given.get(KEY_OPTION, ""), given.get(KEY_FILE_OPTION, "")
    if not key and not key_file:
        key, key_file = variables.get(KEY_VARIABLE, ""), variables.get(KEY_FILE_VARIABLE, "")
    alerta_key = Secret(key.strip()) or _key_in(host, key_file, host.files.writer(layout.config))
    url = given.get(URL_OPTION) or variables.get(URL_VARIABLE, "")
    api_key, base_url = Secret(_filled(config.api_key.reveal())), _filled(config.base_url)
    state = given.get(STATE_OPTION) or variables.get("ALERTA_OPSGENIE_SPOOL_DIR", "")
    return Existing(document, "", chosen, api_key, base_url, url, alerta_key, state)


def _executor_input(config: EdgeConfig) -> tuple[dict[str, str], dict[str, str]]:
    """Give the arguments by name, and the variables, with which the connector starts our executor."""
    ours = (mapping for mapping in config.mappings.values() if mapping.is_alerta_executor)
    arguments, variables = mapping_arguments(config, next(ours, None))
    try:
        found, _ = split(arguments)
    except UsageError:
        found = {}
    return {name: _filled(values[-1]) for name, values in found.items() if values}, variables


def _filled(text: str) -> str:
    """Give a text, or nothing where a sample's stands there still."""
    return "" if is_placeholder(text) else text


def _key_in(host: Host, path: str, writer: int) -> Secret:
    """Read the file that the configuration names with the rights of whom can write the configuration."""
    try:
        return Secret(host.files.read(path, writer).decode("ascii").strip()) if path else _NO_SECRET
    except (OSError, UnicodeDecodeError):
        return _NO_SECRET


def make_config(layout: Layout, wanted: Wanted, existing: Existing) -> dict[str, Any]:
    """Make the configuration. Raises `ConfigError` where what was given does not make one."""
    fresh = render_config(
        RenderOptions(
            dialect=wanted.dialect,
            api_key=wanted.api_key,
            alerta_url=wanted.alerta_url,
            alerta_key_file=layout.key_file,
            region=wanted.region,
            base_url=wanted.base_url,
            script=wanted.script,
            log_directory=layout.log_directory,
        )
    )
    fresh["globalArgs"] += _more_arguments(layout, wanted)
    if layout.edge == NATIVE:
        for mapping in fresh["actionMappings"].values():
            # It starts no script for these and has one log of its own, the journal.
            del mapping["stdout"], mapping["stderr"]
    made = fresh if existing.document is None else _merge(existing.document.value, fresh, layout, wanted)
    _check(made, layout, wanted)
    return made


def _more_arguments(layout: Layout, wanted: Wanted) -> list[str]:
    """Name the state directory, so that whoever is given this configuration, root too, uses the same."""
    sources = [part for source in wanted.sources for part in ("--source", source)]
    ca_file = ["--alertaCaFile", wanted.ca_file] if wanted.ca_file else []
    return [f"--{STATE_OPTION}", layout.state_directory, *sources, *ca_file]


def _merge(old: Mapping[str, Any], fresh: Mapping[str, Any], layout: Layout, wanted: Wanted) -> dict[str, Any]:
    """Put what is needed into a configuration that is there, and leave the rest of it as it is."""
    made = copy.deepcopy(dict(old))
    made["apiKey"], made["baseUrl"] = fresh["apiKey"], wanted.base_url or made.get("baseUrl") or fresh["baseUrl"]
    made["globalArgs"] = _merge_arguments(made.get("globalArgs"), fresh["globalArgs"])
    if isinstance(made.get("globalEnv"), list):
        made["globalEnv"] = [
            entry for entry in made["globalEnv"] if KEY_VARIABLE not in environment_pairs((str(entry),))
        ]
    mappings = made.setdefault("actionMappings", {})
    if isinstance(mappings, dict):
        _merge_mappings(mappings, fresh["actionMappings"], layout, wanted)
    for section in ("pollerConf", "poolConf"):
        made.setdefault(section, fresh[section])
    return made


def _merge_arguments(old: Any, fresh: list[str]) -> list[str]:
    """Replace the options that are ours; Alerta's key goes from the arguments, where all can see it, to its file."""
    if not isinstance(old, list) or not all(isinstance(item, str) for item in old):
        return fresh
    given = {option.name for option in find_options(fresh)}
    if _values(old, given) == _values(fresh, given) and KEY_OPTION not in {option.name for option in find_options(old)}:
        return old
    gone = (*CONNECTORS_OWN, URL_OPTION, KEY_OPTION, KEY_FILE_OPTION, *given)
    return [*fresh, *without_options(old, gone)]


def _values(arguments: list[str], names: set[str]) -> list[tuple[str, str | None]]:
    return sorted((option.name, option.value or "") for option in find_options(arguments) if option.name in names)


def _merge_mappings(old: dict[str, Any], fresh: Mapping[str, Any], layout: Layout, wanted: Wanted) -> None:
    """Map what is not mapped to our executor yet; another script's other actions stay."""
    ours = {f"{layout.scripts}/{name}" for name in EXECUTOR_NAMES} if layout.scripts else {wanted.script}
    needed = (*DOCUMENTED_ACTIONS, *((JEC_CATCH_ALL,) if wanted.dialect == JEC else ()))
    for name in needed:
        mapping = old.get(name)
        path = mapping.get("filepath") if isinstance(mapping, dict) else None
        fits = path in ours and (path == wanted.script or wanted.script.endswith(".py"))
        if layout.edge == NATIVE:
            fits = isinstance(path, str) and path.rpartition("/")[2] in EXECUTOR_NAMES
        if not isinstance(mapping, dict) or not fits:
            old[name] = copy.deepcopy(fresh[name])
        else:
            _hide_key(mapping)


def _hide_key(mapping: dict[str, Any]) -> None:
    """Take Alerta's key out of a mapping of ours: it is in its file."""
    args = mapping.get("args")
    if isinstance(args, list) and all(isinstance(item, str) for item in args):
        mapping["args"] = list(without_options(args, (KEY_OPTION,)))


def _check(value: dict[str, Any], layout: Layout, wanted: Wanted) -> None:
    document = Document(value, "json", layout.config)
    problems = check_config(document, dialect=wanted.dialect, target=layout.edge, environment={})
    errors = [problem for problem in problems if problem.level == ERROR]
    if errors:
        first: Problem = errors[0]
        raise ConfigError(f"{layout.config}: {first.path}", first.what, first.advice, problems)


def encode_config(value: Mapping[str, Any], layout: Layout) -> bytes:
    """Write the configuration as its file's name has it."""
    return dump_document(value, syntax=syntax_of(layout.config)).encode("utf-8")


def means_same(content: bytes, value: Mapping[str, Any], layout: Layout) -> bool:
    """Whether a file's content says the same, however it is laid out."""
    try:
        document = parse_document(content, syntax=syntax_of(layout.config), where=layout.config)
    except ConfigError:
        return False
    return bool(document.value == value)


def show_difference(content: bytes, value: Mapping[str, Any], layout: Layout) -> str:
    """Show what would change, without secrets."""
    try:
        document = parse_document(content, syntax=syntax_of(layout.config), where=layout.config)
    except ConfigError as error:
        return f"What is there cannot be understood, nor kept in part: it {error.what}"
    names = (layout.config, f"{layout.config} (new)")
    shown = difference(document.value, value, names=names)
    return shown or "Only secrets change: " + ", ".join(_changed_secrets(document.value, value))


def _changed_secrets(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in new if old.get(name) != new[name] and is_secret_name(name)] or ["among the arguments"]
