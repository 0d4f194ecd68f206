"""Convert a connector's configuration for another connector, and show the difference.

A copy of the document is changed, not built anew: unknown parts (other scripts, the native connector's settings) stay.
"""

from __future__ import annotations

import copy
import difflib
import json
from typing import Any, Mapping

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.arguments import CONNECTOR_OPTIONS, without_options
from alerta_opsgenie.vendor.config import (
    DEFAULT_BASE_URLS,
    DIALECTS,
    DOCUMENTED_ACTIONS,
    HOMES,
    JEC,
    JEC_CATCH_ALL,
    LOG_DIRECTORIES,
    NATIVE,
    OEC,
    dialect_of_url,
    guess_dialect,
    is_executor,
    normalise_base_url,
)
from alerta_opsgenie.vendor.document import Document
from alerta_opsgenie.vendor.redaction import map_texts, redact_document
from alerta_opsgenie.vendor.structure import OLD_NAMES

KEY_PLACEHOLDER = "<API_KEY>"
"""The placeholder for a key that has to be made in the new product first; `config check` finds it."""

_PATHS = {name: (f"{HOMES[name]}/{name}/", f"{LOG_DIRECTORIES[name]}/", f"~/{name}/") for name in DIALECTS}
"""The directories of the packages."""


def convert_config(
    document: Document,
    *,
    to: str,
    dialect: str | None = None,
    api_key: Secret | None = None,
    base_url: str = "",
) -> dict[str, Any]:
    """Convert a configuration of `dialect` (guessed if not given) for the connector `to` (`oec`, `jec`, `native`).

    The native connector reads both dialects, so for it only mistakes are corrected. The other product's integration has
    another key: without `api_key`, a placeholder is written.
    """
    source = dialect or guess_dialect(document)
    goal = source if to == NATIVE else to
    value = copy.deepcopy(document.value)
    _rename_old_keys(value)
    _convert_base_url(value, goal, base_url)
    if api_key or goal != source:
        value["apiKey"] = api_key.reveal() if api_key else KEY_PLACEHOLDER
    _drop_connector_options(value)
    if goal != source:
        _move_paths(value, goal)
    if to != NATIVE:
        _map_actions(value, goal)
    return value


def difference(
    before: Mapping[str, Any], after: Mapping[str, Any], *, names: tuple[str, str] = ("before", "after")
) -> str:
    """Return a unified diff of two configurations with the secrets hidden; empty if only secrets differ."""
    old, new = (
        json.dumps(redact_document(item), indent=2, ensure_ascii=False).splitlines() for item in (before, after)
    )
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def _rename_old_keys(value: dict[str, Any]) -> None:
    for owner in (value.get("pollerConf"), *_mappings(value).values()):
        for old, name in OLD_NAMES.items():
            if isinstance(owner, dict) and old in owner:
                # If both exist, keep the new name's value: the connectors have read only that one.
                item = owner.pop(old)
                owner[name] = item if owner.get(name) is None else owner[name]


def _convert_base_url(value: dict[str, Any], goal: str, wanted: str) -> None:
    old = value.get("baseUrl") if isinstance(value.get("baseUrl"), str) else ""
    # A stand-in or a proxy has the same address for both products.
    stays = old and dialect_of_url(old) in {None, goal}
    value["baseUrl"] = wanted or (normalise_base_url(old) if old and stays else DEFAULT_BASE_URLS[goal])


def _drop_connector_options(value: dict[str, Any]) -> None:
    owners = [(value, "globalArgs", "globalFlags"), *((one, "args", "flags") for one in _mappings(value).values())]
    for owner, args, flags in owners:
        if isinstance(owner, dict) and args in owner:
            owner[args] = without_options(owner[args], CONNECTOR_OPTIONS)
        if isinstance(owner, dict) and isinstance(owner.get(flags), dict):
            owner[flags] = {name: one for name, one in owner[flags].items() if name not in CONNECTOR_OPTIONS}


def _move_paths(value: dict[str, Any], goal: str) -> None:
    """Change paths in the packages' directories: those of scripts and logs, and those in arguments and variables."""
    pairs = list(zip(_PATHS[OEC if goal == JEC else JEC], _PATHS[goal]))

    def move(text: str) -> str:
        # `--option=/path` and `NAME=/path` contain paths, too.
        before, mark, path = text.partition("=") if "=" in text and not text.startswith(("/", "~")) else ("", "", text)
        for old, new in pairs:
            if path.startswith(old):
                return f"{before}{mark}{new}{path[len(old) :]}"
        return text

    for key in {"globalFlags", "globalArgs", "globalEnv", "actionMappings"} & value.keys():
        value[key] = map_texts(value[key], move)


def _map_actions(value: dict[str, Any], goal: str) -> None:
    """Map the documented actions if only JSM's catch-all is mapped; add the catch-all for JEC, remove it for OEC.

    JEC gets both, because it is not documented which names it receives. The catch-all only ever starts our executor:
    another script would get actions that are not meant for it.
    """
    mappings = _mappings(value)
    catch_all = mappings.get(JEC_CATCH_ALL)
    if catch_all and not any(name in mappings for name in DOCUMENTED_ACTIONS):
        mappings.update((name, copy.deepcopy(catch_all)) for name in DOCUMENTED_ACTIONS)
    if goal == OEC:
        mappings.pop(JEC_CATCH_ALL, None)
    elif not catch_all:
        names = [*(name for name in DOCUMENTED_ACTIONS if name in mappings), *mappings]
        ours = (mappings[name] for name in names if isinstance(mappings[name], dict))
        model = next((mapping for mapping in ours if is_executor(mapping.get("filepath"))), None)
        mappings.update({JEC_CATCH_ALL: copy.deepcopy(model)} if model else {})


def _mappings(value: dict[str, Any]) -> dict[str, Any]:
    found = value.get("actionMappings")
    return found if isinstance(found, dict) else {}
