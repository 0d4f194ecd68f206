"""One connector's configuration made into another's, with a note for each change and the difference to look at.

The document itself is changed, not rebuilt, so that what is unknown here (other scripts, the native connector's own
settings) comes through untouched.
"""

from __future__ import annotations

import copy
import difflib
import json
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping

from alerta_opsgenie.core.secret import Secret, safe_url
from alerta_opsgenie.vendor.arguments import CONNECTORS_OWN, without_options
from alerta_opsgenie.vendor.checks import OLD_NAMES
from alerta_opsgenie.vendor.config import (
    DEFAULT_BASE_URLS,
    DOCUMENTED_ACTIONS,
    EXECUTOR_NAMES,
    JEC,
    JEC_CATCH_ALL,
    NATIVE,
    OEC,
    dialect_of_url,
    guess_dialect,
    normalise_base_url,
)
from alerta_opsgenie.vendor.document import Document
from alerta_opsgenie.vendor.redaction import redact_document
from alerta_opsgenie.vendor.structure import MAPPING_KEYS, POLLER_KEYS, POOL_KEYS, ROOT_KEYS

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

    The native connector reads either dialect, so for it only mistakes are corrected. Another product's integration has
    another key: without `api_key` a placeholder is put there.
    """
    source = dialect or guess_dialect(document, environment)
    goal = source if to == NATIVE else to
    value = copy.deepcopy(document.value)
    steps = [_rename_old_keys(value), _convert_base_url(value, goal, base_url)]
    steps += [_convert_key(value, api_key, moved=goal != source), _drop_connectors_arguments(value)]
    if goal != source:
        steps.append(_move_paths(value, goal))
    if to != NATIVE:
        steps.append(_map_catch_all(value) if goal == JEC else _map_each_action(value))
    return Conversion(value, goal, tuple(note for step in steps for note in step))


def difference(
    before: Mapping[str, Any], after: Mapping[str, Any], *, names: tuple[str, str] = ("before", "after")
) -> str:
    """Give a unified diff of two configurations with the secrets hidden; empty where nothing is to be seen."""
    old, new = (
        json.dumps(redact_document(item), indent=2, ensure_ascii=False).splitlines() for item in (before, after)
    )
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


# Each step changes the document and gives a line on each change.


def _rename_old_keys(value: dict[str, Any]) -> Iterator[str]:
    """Write keys as the connectors spell them: YAML, and the steps behind this one, would not know `apikey`."""
    yield from _rename(value, ROOT_KEYS, "$")
    yield from _rename(value.get("pollerConf"), POLLER_KEYS, "$.pollerConf")
    yield from _rename(value.get("poolConf"), POOL_KEYS, "$.poolConf")
    for name, mapping in _mappings(value).items():
        yield from _rename(mapping, MAPPING_KEYS, f"$.actionMappings.{name}")


def _rename(owner: Any, known: tuple[str, ...], place: str) -> Iterator[str]:
    if not isinstance(owner, dict):
        return
    meant = {**{name.casefold(): name for name in known}, **{old.casefold(): new for old, new in OLD_NAMES.items()}}
    before = dict(owner)
    owner.clear()
    for key, item in before.items():
        name = key if key in known else meant.get(key.casefold(), key)
        name = name if name in known else key
        if key in OLD_NAMES and name != key:
            yield f"{place}.{key} renamed to {name}, which the connectors read"
        # Where both stand, the one counts that the connectors have read so far.
        if name == key or name not in before:
            owner[name] = item


def _convert_base_url(value: dict[str, Any], goal: str, wanted: str) -> Iterator[str]:
    old = value.get("baseUrl") if isinstance(value.get("baseUrl"), str) else ""
    # A stand-in or a proxy serves both products under one address.
    stays = old and dialect_of_url(old) in {None, goal}
    new = wanted or (normalise_base_url(old) if old and stays else DEFAULT_BASE_URLS[goal])
    if new != old:
        value["baseUrl"] = new
        yield f"$.baseUrl set to {safe_url(new)}"


def _convert_key(value: dict[str, Any], api_key: Secret | None, *, moved: bool) -> Iterator[str]:
    if api_key:
        if value.get("apiKey") != api_key.reveal():
            yield "$.apiKey replaced by the one given"
        value["apiKey"] = api_key.reveal()
    elif moved:
        value["apiKey"] = KEY_PLACEHOLDER
        yield f"$.apiKey set to {KEY_PLACEHOLDER}: put the key of the new product's integration there"


def _drop_connectors_arguments(value: dict[str, Any]) -> Iterator[str]:
    owners: list[tuple[str, Any, str, str]] = [("$", value, "globalArgs", "globalFlags")]
    owners += [(f"$.actionMappings.{name}", mapping, "args", "flags") for name, mapping in _mappings(value).items()]
    for place, owner, args_key, flags_key in owners:
        args, flags = (owner.get(key) if isinstance(owner, dict) else None for key in (args_key, flags_key))
        if isinstance(flags, dict):
            for name in [name for name in flags if name in CONNECTORS_OWN]:
                del flags[name]
                yield f"{place}.{flags_key}: what the connector passes by itself ({name}) removed"
        if isinstance(args, list) and all(isinstance(item, str) for item in args):
            owner[args_key] = kept = list(without_options(args, CONNECTORS_OWN))
            gone = [item.partition("=")[0] for item in args if item not in kept and item.startswith("-")]
            if gone:
                yield f"{place}.{args_key}: what the connector passes by itself ({', '.join(gone)}) removed"


def _move_paths(value: dict[str, Any], goal: str) -> Iterator[str]:
    """Move paths in the packages' directories: of scripts and their output, and among what scripts are given."""
    moved: dict[str, str] = {}
    for key in ("globalFlags", "globalArgs", "globalEnv", "actionMappings"):
        if key in value:
            value[key] = _with_moved_paths(value[key], goal, moved)
    yield from (f"path {old} became {new}" for old, new in moved.items())


def _with_moved_paths(value: Any, goal: str, moved: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_moved_paths(item, goal, moved) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_moved_paths(item, goal, moved) for item in value]
    if not isinstance(value, str):
        return value
    # `--option=/path` and `NAME=/path` are paths, too.
    before, mark, path = value.partition("=") if "=" in value and not value.startswith(("/", "~")) else ("", "", value)
    for old, new in _PATHS[goal]:
        if path.startswith(old):
            moved[path] = new + path[len(old) :]
            return f"{before}{mark}{moved[path]}"
    return value


def _map_catch_all(value: dict[str, Any]) -> Iterator[str]:
    """Map JSM's catch-all name to our executor beside the actions' own: which one is asked for is not documented.

    Another product's script would get actions there that are not meant for it.
    """
    mappings = _mappings(value)
    if JEC_CATCH_ALL in mappings:
        yield from _map_missing_actions(mappings)
        return
    names = [*(name for name in DOCUMENTED_ACTIONS if name in mappings), *mappings]
    model = next((mappings[name] for name in names if _is_ours(mappings[name])), None)
    if model is None:
        yield f"$.actionMappings.{JEC_CATCH_ALL} not added: no action starts the Alerta executor"
        return
    mappings[JEC_CATCH_ALL] = copy.deepcopy(model)
    yield f"$.actionMappings.{JEC_CATCH_ALL} added beside the actions' own names, for the Alerta executor"


def _is_ours(mapping: Any) -> bool:
    path = mapping.get("filepath") if isinstance(mapping, dict) else None
    return isinstance(path, str) and path.rpartition("/")[2] in EXECUTOR_NAMES


def _map_each_action(value: dict[str, Any]) -> Iterator[str]:
    """Leave out JSM's catch-all name, which OEC is never asked for, and map the actions that it stood for."""
    mappings = _mappings(value)
    if JEC_CATCH_ALL in mappings:
        yield from _map_missing_actions(mappings)
        del mappings[JEC_CATCH_ALL]
        yield f"$.actionMappings.{JEC_CATCH_ALL} removed: OEC asks for the actions by their own names"


def _map_missing_actions(mappings: dict[str, Any]) -> Iterator[str]:
    if any(name in mappings for name in DOCUMENTED_ACTIONS):
        return
    for name in DOCUMENTED_ACTIONS:
        mappings[name] = copy.deepcopy(mappings[JEC_CATCH_ALL])
    yield f"$.actionMappings: {', '.join(DOCUMENTED_ACTIONS)} mapped as {JEC_CATCH_ALL} is"


def _mappings(value: dict[str, Any]) -> dict[str, Any]:
    found = value.get("actionMappings")
    return found if isinstance(found, dict) else {}
