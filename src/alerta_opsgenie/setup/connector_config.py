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
    find_options,
    mapping_arguments,
    without_options,
)
from alerta_opsgenie.vendor.checks import check_config, is_placeholder
from alerta_opsgenie.vendor.config import EXECUTOR_NAMES, NATIVE, EdgeConfig, guess_dialect
from alerta_opsgenie.vendor.convert import difference
from alerta_opsgenie.vendor.document import Document, parse_document, syntax_of
from alerta_opsgenie.vendor.problems import ERROR, ConfigError
from alerta_opsgenie.vendor.render import RenderOptions, render_config
from alerta_opsgenie.vendor.structure import read_structure

_NO_SECRET = Secret("")


@dataclass(frozen=True)
class Existing:
    """What a configuration that is there already says; empty where it says nothing of use.

    `warning` says why it could not be read.
    """

    document: Document | None = None
    warning: str = ""
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


def read_existing(
    host: Host, layout: Layout, dialect: str | None = None, document: Document | None = None
) -> Existing:
    """Read the configuration that is there, or the `document` that takes its place, and the key that it names.

    Raises `OSError`.
    """
    found = host.files.look(layout.config)
    if document is None and (found is None or found.kind != "file"):
        return Existing()
    try:
        document = document or _parsed(host.files.read(layout.config), layout)
    except ConfigError as error:
        return Existing(warning=f"{error.where} {error.what}")
    chosen = dialect or (guess_dialect(document) if layout.edge == NATIVE else layout.edge)
    config = read_structure(document, dialect=chosen, environment={}).config
    given, variables = _executor_input(config)
    key, key_file = given.get(KEY_OPTION, ""), given.get(KEY_FILE_OPTION, "")
    if not key and not key_file:
        key, key_file = variables.get(KEY_VARIABLE, ""), variables.get(KEY_FILE_VARIABLE, "")
    return Existing(
        document,
        "",
        chosen,
        Secret(_filled(config.api_key.reveal())),
        _filled(config.base_url),
        given.get(URL_OPTION) or variables.get(URL_VARIABLE, ""),
        Secret(key.strip()) or _key_in(host, key_file, host.files.writer(document.where)),
        given.get(STATE_OPTION) or variables.get("ALERTA_OPSGENIE_SPOOL_DIR", ""),
    )


def _parsed(content: bytes, layout: Layout) -> Document:
    return parse_document(content, syntax=syntax_of(layout.config), where=layout.config)


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
            # Named, so that whoever is given this configuration, root too, uses the same.
            state_directory=layout.state_directory,
        )
    )
    fresh["globalArgs"] += [part for source in wanted.sources for part in ("--source", source)]
    fresh["globalArgs"] += ["--alertaCaFile", wanted.ca_file] if wanted.ca_file else []
    if layout.edge == NATIVE:
        for mapping in fresh["actionMappings"].values():
            # It starts no script for these and has one log of its own, the journal.
            del mapping["stdout"], mapping["stderr"]
    made = fresh if existing.document is None else _merge(existing.document.value, fresh, layout, wanted)
    document = Document(made, "json", layout.config)
    problems = check_config(document, dialect=wanted.dialect, target=layout.edge, environment={})
    if problems and problems[0].level == ERROR:
        raise ConfigError(f"{layout.config}: {problems[0].path}", problems[0].what, problems[0].advice, problems)
    return made


def _merge(old: Mapping[str, Any], fresh: Mapping[str, Any], layout: Layout, wanted: Wanted) -> dict[str, Any]:
    """Put what is needed into a configuration that is there, and leave the rest of it as it is."""
    made = copy.deepcopy(dict(old))
    made["apiKey"], made["baseUrl"] = fresh["apiKey"], wanted.base_url or made.get("baseUrl") or fresh["baseUrl"]
    # Alerta's key goes from the arguments, where all can see it, to its file.
    ours = [option.name for option in find_options(fresh["globalArgs"])]
    kept = _without(made.get("globalArgs"), (*CONNECTORS_OWN, KEY_OPTION, *ours))
    made["globalArgs"] = [*fresh["globalArgs"], *(kept if isinstance(kept, list) else [])]
    if isinstance(made.get("globalEnv"), list):
        made["globalEnv"] = [entry for entry in made["globalEnv"] if not str(entry).startswith(f"{KEY_VARIABLE}=")]
    mappings = made.setdefault("actionMappings", {})
    for name, mapping in fresh["actionMappings"].items() if isinstance(mappings, dict) else ():
        there = mappings.get(name)
        if isinstance(there, dict) and _starts_ours(there.get("filepath"), layout, wanted.script):
            there.update({"args": _without(there["args"], (KEY_OPTION,))} if "args" in there else {})
        else:
            mappings[name] = mapping
    for section in ("pollerConf", "poolConf"):
        made.setdefault(section, fresh[section])
    return made


def _without(arguments: Any, names: tuple[str, ...]) -> Any:
    """Take options out of a list of arguments; what is no such list stays."""
    if not isinstance(arguments, list) or not all(isinstance(item, str) for item in arguments):
        return arguments
    return list(without_options(arguments, names))


def _starts_ours(path: Any, layout: Layout, script: str) -> bool:
    """Whether an action starts our executor here already, in a way that works on this host."""
    directory, _, name = str(path).rpartition("/")
    if layout.edge == NATIVE:
        return name in EXECUTOR_NAMES
    return path == script or (directory == layout.scripts and name in EXECUTOR_NAMES and script.endswith(".py"))


def means_same(content: bytes, value: Mapping[str, Any], layout: Layout) -> bool:
    """Whether a file's content says the same, however it is laid out."""
    try:
        return bool(_parsed(content, layout).value == value)
    except ConfigError:
        return False


def show_difference(content: bytes, value: Mapping[str, Any], layout: Layout) -> str:
    """Show what would change, without secrets."""
    try:
        old = _parsed(content, layout).value
    except ConfigError as error:
        return f"What is there cannot be understood, nor kept in part: it {error.what}"
    changed = [name for name in value if old.get(name) != value[name] and is_secret_name(name)]
    only_secrets = f"Only secrets change: {', '.join(changed) or 'among the arguments'}"
    return difference(old, value, names=(layout.config, f"{layout.config} (new)")) or only_secrets
