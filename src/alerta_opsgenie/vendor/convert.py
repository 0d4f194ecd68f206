"""One connector's configuration made into another's, with a note for each change and the difference to look at.

The document itself is changed, not rebuilt, so that what is unknown here (other scripts, the native connector's own
settings) comes through untouched.
"""

from __future__ import annotations

import copy
import difflib
import json
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from alerta_opsgenie.vendor.arguments import CONNECTORS_OWN, without_options
from alerta_opsgenie.vendor.checks import MAPPING_KEYS, OLD_NAMES, POLLER_KEYS, POOL_KEYS, ROOT_KEYS
from alerta_opsgenie.vendor.config import (
    DEFAULT_BASE_URLS,
    DOCUMENTED_ACTIONS,
    JEC,
    JEC_CATCH_ALL,
    NATIVE,
    OEC,
    dialect_of_url,
    guess_dialect,
    normalise_base_url,
)
from alerta_opsgenie.vendor.document import Document
from alerta_opsgenie.vendor.redaction import redact_document, safe_url
from alerta_opsgenie.vendor.secret import Secret

KEY_PLACEHOLDER = "<API_KEY>"
"""What stands for a key that has to be made in the new product first; `config check` finds it."""

_PATHS: Mapping[str, tuple[tuple[str, str], ...]] = {
    JEC: (("/home/opsgenie/oec/", "/home/jsm/jec/"), ("/var/log/opsgenie/", "/var/log/jec/"), ("~/oec/", "~/jec/")),
    OEC: (("/home/jsm/jec/", "/home/opsgenie/oec/"), ("/var/log/jec/", "/var/log/opsgenie/"), ("~/jec/", "~/oec/")),
}


@dataclass(frozen=True)
class Conversion:
    """What came of it: the new document with real keys in it, whose it is, and a line on each change."""

    document: dict[str, Any] = field(repr=False)
    dialect: str
    notes: tuple[str, ...]


def convert_config(
    document: Document,
    *,
    to: str,
    dialect: str | None = None,
    api_key: Secret | None = None,
    base_url: str = "",
    environment: Mapping[str, str] | None = None,
) -> Conversion:
    """Make a configuration for `to` (`oec`, `jec`, `native`) of one for `dialect` (guessed where not given).

    The native connector reads either dialect, so for it only mistakes are mended. Another product's integration has
    another key: without `api_key` a placeholder is put there.
    """
    source = dialect or guess_dialect(document, environment)
    goal = source if to == NATIVE else to
    value = copy.deepcopy(document.value)
    notes: list[str] = []
    _rename_old_keys(value, notes)
    _convert_base_url(value, goal, base_url, notes)
    _convert_key(value, moved=goal != source, api_key=api_key, notes=notes)
    _drop_connectors_arguments(value, notes)
    if goal != source:
        _move_paths(value, goal, notes)
    if to != NATIVE:
        _convert_mappings(value, goal, notes)
    return Conversion(value, goal, tuple(notes))


def difference(
    before: Mapping[str, Any], after: Mapping[str, Any], *, names: tuple[str, str] = ("before", "after")
) -> str:
    """Give a unified diff of two configurations with the secrets hidden; empty where nothing is to be seen."""
    old, new = (
        json.dumps(redact_document(item), indent=2, ensure_ascii=False).splitlines() for item in (before, after)
    )
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def _rename_old_keys(value: dict[str, Any], notes: list[str]) -> None:
    _settle_case(value, ROOT_KEYS)
    _settle_case(value.get("pollerConf"), POLLER_KEYS)
    _settle_case(value.get("poolConf"), POOL_KEYS)
    for mapping in _mappings(value).values():
        _settle_case(mapping, MAPPING_KEYS)
    _rename(value.get("pollerConf"), "visibilityTimeoutInSec", "$.pollerConf", notes)
    for name, mapping in _mappings(value).items():
        _rename(mapping, "environmentVariables", f"$.actionMappings.{name}", notes)


def _settle_case(owner: Any, known: tuple[str, ...]) -> None:
    """Write keys as the connectors spell them: YAML, and what follows here, would not know `apikey`."""
    if not isinstance(owner, dict):
        return
    found: dict[str, Any] = owner
    spelling = {name.casefold(): name for name in known if name not in found}
    _replace_all(found, {spelling.get(key.casefold(), key): item for key, item in found.items()})


def _rename(owner: Any, old: str, place: str, notes: list[str]) -> None:
    if not isinstance(owner, dict) or old not in owner:
        return
    new = OLD_NAMES[old]
    if new in owner:
        notes.append(f"{place}.{old} removed: the connectors read {new}, which is there as well")
        del owner[old]
        return
    notes.append(f"{place}.{old} renamed to {new}, which the connectors read")
    _replace_all(owner, {(new if key == old else key): item for key, item in owner.items()})


def _replace_all(owner: dict[str, Any], content: dict[str, Any]) -> None:
    owner.clear()
    owner.update(content)


def _convert_base_url(value: dict[str, Any], goal: str, wanted: str, notes: list[str]) -> None:
    old = value.get("baseUrl")
    old = old if isinstance(old, str) else ""
    owner = dialect_of_url(old)
    if wanted:
        new = wanted
    elif old and owner in {None, goal}:
        # A stand-in or a proxy serves both products under one address.
        new = normalise_base_url(old)
    else:
        new = DEFAULT_BASE_URLS[goal]
    if new != old:
        notes.append(f"$.baseUrl set to {safe_url(new)}")
        value["baseUrl"] = new


def _convert_key(value: dict[str, Any], *, moved: bool, api_key: Secret | None, notes: list[str]) -> None:
    if api_key:
        if value.get("apiKey") != api_key.reveal():
            notes.append("$.apiKey replaced by the one given")
        value["apiKey"] = api_key.reveal()
    elif moved:
        notes.append(f"$.apiKey set to {KEY_PLACEHOLDER}: put the key of the new product's integration there")
        value["apiKey"] = KEY_PLACEHOLDER


def _drop_connectors_arguments(value: dict[str, Any], notes: list[str]) -> None:
    owners: list[tuple[str, Any, str]] = [("$", value, "globalArgs")]
    owners += [(f"$.actionMappings.{name}", mapping, "args") for name, mapping in _mappings(value).items()]
    for place, owner, key in owners:
        args = owner.get(key) if isinstance(owner, dict) else None
        if not isinstance(args, list) or not all(isinstance(item, str) for item in args):
            continue
        kept = list(without_options(args, CONNECTORS_OWN))
        if kept != args:
            notes.append(
                f"{place}.{key}: what the connector passes by itself ({', '.join(_dropped(args, kept))}) removed"
            )
            owner[key] = kept


def _dropped(args: list[str], kept: list[str]) -> list[str]:
    gone = [item for item in args if item not in kept]
    return [item.partition("=")[0] for item in gone if item.startswith("-")]


def _move_paths(value: dict[str, Any], goal: str, notes: list[str]) -> None:
    moved: dict[str, str] = {}

    def move(text: str) -> str:
        for old, new in _PATHS[goal]:
            if text.startswith(old):
                moved[text] = new + text[len(old) :]
                return moved[text]
        return text

    for owner, key in _places_of_paths(value):
        owner[key] = move(owner[key])
    notes.extend(f"path {old} became {new}" for old, new in moved.items())


def _places_of_paths(value: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Give all (owner, key) whose value is a text that may be a path: of mappings, and among arguments."""
    places: list[tuple[Any, Any]] = []
    for mapping in _mappings(value).values():
        if isinstance(mapping, dict):
            places += [(mapping, key) for key in ("filepath", "stdout", "stderr") if isinstance(mapping.get(key), str)]
            places += _list_places(mapping.get("args"))
    return places + _list_places(value.get("globalArgs"))


def _list_places(items: Any) -> list[tuple[Any, Any]]:
    if not isinstance(items, list):
        return []
    return [(items, index) for index, item in enumerate(items) if isinstance(item, str)]


def _convert_mappings(value: dict[str, Any], goal: str, notes: list[str]) -> None:
    mappings = _mappings(value)
    convert: Callable[[dict[str, Any], list[str]], None] = _map_catch_all if goal == JEC else _map_each_action
    convert(mappings, notes)


def _map_catch_all(mappings: dict[str, Any], notes: list[str]) -> None:
    """Map JSM's catch-all name beside the actions' own, since which one is asked for is not documented."""
    if JEC_CATCH_ALL in mappings:
        _map_missing_actions(mappings, notes)
        return
    model = next((mappings[name] for name in DOCUMENTED_ACTIONS if name in mappings), None)
    if model is not None:
        mappings[JEC_CATCH_ALL] = copy.deepcopy(model)
        notes.append(f"$.actionMappings.{JEC_CATCH_ALL} added beside the actions' own names")


def _map_each_action(mappings: dict[str, Any], notes: list[str]) -> None:
    """Leave out JSM's catch-all name, which OEC is never asked for, and map the actions that it stood for."""
    if JEC_CATCH_ALL not in mappings:
        return
    _map_missing_actions(mappings, notes)
    del mappings[JEC_CATCH_ALL]
    notes.append(f"$.actionMappings.{JEC_CATCH_ALL} removed: OEC asks for the actions by their own names")


def _map_missing_actions(mappings: dict[str, Any], notes: list[str]) -> None:
    if any(name in mappings for name in DOCUMENTED_ACTIONS):
        return
    for name in DOCUMENTED_ACTIONS:
        mappings[name] = copy.deepcopy(mappings[JEC_CATCH_ALL])
    notes.append(f"$.actionMappings: {', '.join(DOCUMENTED_ACTIONS)} mapped as {JEC_CATCH_ALL} is")


def _mappings(value: dict[str, Any]) -> dict[str, Any]:
    found = value.get("actionMappings")
    return found if isinstance(found, dict) else {}
