"""The configuration that `install` writes: a new one, or the existing one with as few changes as possible."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, Mapping

from alerta_opsgenie.core.secret import Secret, is_secret_name
from alerta_opsgenie.setup.access import our_mappings, read_access
from alerta_opsgenie.setup.host import Host
from alerta_opsgenie.setup.layout import Layout
from alerta_opsgenie.vendor.arguments import CONNECTOR_OPTIONS, KEY_OPTION, KEY_VARIABLE, find_options, without_options
from alerta_opsgenie.vendor.checks import check_config, is_placeholder
from alerta_opsgenie.vendor.config import NATIVE, guess_dialect, is_executor
from alerta_opsgenie.vendor.convert import convert_config, difference
from alerta_opsgenie.vendor.document import Document, parse_document, syntax_of
from alerta_opsgenie.vendor.problems import ERROR, ConfigError
from alerta_opsgenie.vendor.render import RenderOptions, render_config
from alerta_opsgenie.vendor.structure import read_structure

_NO_SECRET = Secret("")


@dataclass(frozen=True)
class Existing:
    """The values of an existing configuration; empty if it has none that can be used."""

    document: Document | None = None
    dialect: str = ""
    api_key: Secret = _NO_SECRET
    alerta_url: str = ""
    alerta_key: Secret = _NO_SECRET
    state_directory: str = ""


def read_existing(
    host: Host, layout: Layout, dialect: str | None = None, document: Document | None = None
) -> Existing:
    """Read the existing configuration, or the `document` in its place, and the key file that it names.

    Raises `OSError` and `ConfigError`.
    """
    found = host.files.look(layout.config)
    if document is None and (found is None or found.kind != "file"):
        return Existing()
    document = document or _parsed(host.files.read(layout.config), layout)
    chosen = dialect or (guess_dialect(document) if layout.edge == NATIVE else layout.edge)
    config = read_structure(document, dialect=chosen, environment={}).config
    access = read_access(config, next(iter(our_mappings(config)), None), {})
    return Existing(
        document,
        chosen,
        Secret(_filled(config.api_key.reveal())),
        _filled(access.url),
        Secret(_filled(access.key.reveal())) or _key_in(host, access.key_file, host.files.find_writer(document.where)),
        _filled(access.state_directory),
    )


def take_over(host: Host, layout: Layout, path: str, dialect: str | None) -> Existing:
    """Convert the configuration at `path` for a layout.

    It is read with the rights of the user who can write it. Alerta's key is copied. The integration's key is not: the
    other product's integration has another. Raises `OSError` and `ConfigError`.
    """
    old = parse_document(host.files.read(path, host.files.find_writer(path)), syntax=syntax_of(path), where=path)
    to = layout.edge if layout.edge != NATIVE else dialect or NATIVE
    begun = read_existing(host, layout, dialect, Document(convert_config(old, to=to), "json", path))
    return replace(begun, alerta_key=begun.alerta_key or read_existing(host, layout, dialect, old).alerta_key)


def _parsed(content: bytes, layout: Layout) -> Document:
    return parse_document(content, syntax=syntax_of(layout.config), where=layout.config)


def _filled(text: str) -> str:
    """Return the text, or an empty one for a sample's placeholder."""
    return "" if is_placeholder(text) else text


def _key_in(host: Host, path: str, writer: int) -> Secret:
    """Read the key file of the configuration with the rights of the user who can write the configuration."""
    try:
        return Secret(host.files.read(path, writer).decode("ascii").strip()) if path else _NO_SECRET
    except (OSError, UnicodeDecodeError):
        return _NO_SECRET


def make_config(layout: Layout, wanted: RenderOptions, existing: Existing) -> dict[str, Any]:
    """Return the configuration. Raises `ConfigError` if it would have an error."""
    # The state directory is written down, so that every user of this configuration, root too, uses the same.
    key_file, logs, state = layout.key_file, layout.log_directory, layout.state_directory
    # Started directly (by its `#!` line), not as `python FILE.py`: faster, and a host may have no `python`.
    script = f"{layout.scripts}/oecAlertaExecutor" if layout.scripts else ""
    fresh = render_config(
        replace(wanted, alerta_key_file=key_file, log_directory=logs, state_directory=state, script=script)
    )
    if layout.edge == NATIVE:
        for mapping in fresh["actionMappings"].values():
            # It starts no script for these actions, and logs to systemd's journal.
            del mapping["stdout"], mapping["stderr"]
    made = fresh if existing.document is None else _merge(existing.document.value, fresh, layout, wanted)
    document = Document(made, "json", layout.config)
    problems = check_config(document, dialect=wanted.dialect, target=layout.edge, environment={})
    if problems and problems[0].level == ERROR:
        raise ConfigError(f"{layout.config}: {problems[0].path}", problems[0].what, problems[0].advice)
    return made


def _merge(old: Mapping[str, Any], fresh: Mapping[str, Any], layout: Layout, wanted: RenderOptions) -> dict[str, Any]:
    """Return the configuration `old` with the needed values of `fresh`, and nothing else changed."""
    made = copy.deepcopy(dict(old))
    made["apiKey"], made["baseUrl"] = fresh["apiKey"], wanted.base_url or made.get("baseUrl") or fresh["baseUrl"]
    # Alerta's key moves from the arguments, which all users can see, to its file.
    ours = [option.name for option in find_options(fresh["globalArgs"])]
    kept = without_options(made.get("globalArgs"), (*CONNECTOR_OPTIONS, KEY_OPTION, *ours))
    made["globalArgs"] = [*fresh["globalArgs"], *(kept if isinstance(kept, list) else [])]
    if isinstance(made.get("globalEnv"), list):
        made["globalEnv"] = [entry for entry in made["globalEnv"] if not str(entry).startswith(f"{KEY_VARIABLE}=")]
    mappings = made.setdefault("actionMappings", {})
    for name, mapping in fresh["actionMappings"].items() if isinstance(mappings, dict) else ():
        there = mappings.get(name)
        if isinstance(there, dict) and _starts_ours(there.get("filepath"), layout):
            there["filepath"] = mapping["filepath"] if layout.scripts else there["filepath"]
            there.update({"args": without_options(there["args"], (KEY_OPTION,))} if "args" in there else {})
        else:
            mappings[name] = mapping
    for section in ("pollerConf", "poolConf"):
        made.setdefault(section, fresh[section])
    return made


def _starts_ours(path: Any, layout: Layout) -> bool:
    """Return whether a mapping's `filepath` is already our executor in this layout."""
    return is_executor(path) and layout.scripts in {"", str(path).rpartition("/")[0]}


def show_difference(content: bytes, value: Mapping[str, Any], layout: Layout) -> str:
    """Return the difference without secrets; empty if the values are equal, whatever the formatting."""
    old = _parsed(content, layout).value
    if old == value:
        return ""
    changed = [name for name in value if old.get(name) != value[name] and is_secret_name(name)]
    only_secrets = f"Only secrets change: {', '.join(changed) or 'among the arguments'}"
    return difference(old, value, names=(layout.config, f"{layout.config} (new)")) or only_secrets
