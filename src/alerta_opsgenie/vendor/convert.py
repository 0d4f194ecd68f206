"""One connector's configuration made into another's, with a note for each change and the difference to look at.

The document itself is changed, not rebuilt, so that what is unknown here (other scripts, the native connector's own
settings) comes through untouched.
"""

from __future__ import annotations

import copy
import difflib
import json
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from alerta_opsgenie.core.secret import Secret, safe_url
from alerta_opsgenie.vendor.arguments import CONNECTORS_OWN, without_options
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
from alerta_opsgenie.vendor.redaction import redact_document, with_texts
from alerta_opsgenie.vendor.structure import OLD_NAMES, OddKey, read_structure

KEY_PLACEHOLDER = "<API_KEY>"
"""What stands for a key that has to be made in the new product first; `config check` finds it."""

_PATHS = {name: (f"{HOMES[name]}/{name}/", f"{LOG_DIRECTORIES[name]}/", f"~/{name}/") for name in DIALECTS}
"""The directories of the packages."""


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
    odd_keys = read_structure(document, dialect=source, environment={}, target=NATIVE).odd_keys
    steps = [_rename_odd_keys(value, odd_keys), _convert_base_url(value, goal, base_url)]
    steps += [_convert_key(value, api_key, moved=goal != source), _drop_connectors_arguments(value)]
    if goal != source:
        steps.append(_move_paths(value, goal))
    if to != NATIVE:
        steps.append(_map_actions(value, goal))
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


def _rename_odd_keys(value: dict[str, Any], odd_keys: Sequence[OddKey]) -> Iterator[str]:
    """Write keys as the connectors spell them, in any case: the steps behind this one would not know `apikey`."""
    for path, key, known, read_as in odd_keys:
        name = read_as or next((name for name in known if name.casefold() == key.casefold()), "")
        owner: Any = value
        for step in path:
            owner = owner.get(step) if isinstance(owner, dict) else None
        if not name or not isinstance(owner, dict) or key not in owner:
            continue
        # Where both stand, the one counts that the connectors have read so far.
        gone = name if owner.get(name) is None else key
        items = [(name if one == key else one, item) for one, item in owner.items() if one != gone]
        owner.clear()
        owner.update(items)
        if key in OLD_NAMES:
            yield f"$.{'.'.join(map(str, (*path, key)))} renamed to {name}, which the connectors read"


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
        for name in [name for name in CONNECTORS_OWN if isinstance(flags, dict) and name in flags]:
            owner[flags_key].pop(name)
            yield f"{place}.{flags_key}: what the connector passes by itself ({name}) removed"
        kept = without_options(args, CONNECTORS_OWN)
        if kept != args:
            owner[args_key] = kept
            yield f"{place}.{args_key}: what the connector passes by itself removed"


def _move_paths(value: dict[str, Any], goal: str) -> Iterator[str]:
    """Move paths in the packages' directories: of scripts and their output, and among what scripts are given."""
    moved: dict[str, str] = {}
    pairs = list(zip(_PATHS[OEC if goal == JEC else JEC], _PATHS[goal]))

    def move(text: str) -> str:
        # `--option=/path` and `NAME=/path` are paths, too.
        before, mark, path = text.partition("=") if "=" in text and not text.startswith(("/", "~")) else ("", "", text)
        for old, new in pairs:
            if path.startswith(old):
                moved[path] = new + path[len(old) :]
                return f"{before}{mark}{moved[path]}"
        return text

    for key in {"globalFlags", "globalArgs", "globalEnv", "actionMappings"} & value.keys():
        value[key] = with_texts(value[key], move)
    yield from (f"path {old} became {new}" for old, new in moved.items())


def _map_actions(value: dict[str, Any], goal: str) -> Iterator[str]:
    """Map the documented actions where only JSM's catch-all is mapped; keep the catch-all for JEC, and only there.

    JEC gets it beside the actions' own names, since it is not documented which it asks for. It starts our executor
    alone: another product's script would get actions that are not meant for it.
    """
    mappings = _mappings(value)
    there = JEC_CATCH_ALL in mappings
    if there and not any(name in mappings for name in DOCUMENTED_ACTIONS):
        mappings.update((name, copy.deepcopy(mappings[JEC_CATCH_ALL])) for name in DOCUMENTED_ACTIONS)
        yield f"$.actionMappings: {', '.join(DOCUMENTED_ACTIONS)} mapped as {JEC_CATCH_ALL} is"
    if there and goal == OEC:
        del mappings[JEC_CATCH_ALL]
        yield f"$.actionMappings.{JEC_CATCH_ALL} removed: OEC asks for the actions by their own names"
    if there or goal == OEC:
        return
    names = [*(name for name in DOCUMENTED_ACTIONS if name in mappings), *mappings]
    ours = (mappings[name] for name in names if isinstance(mappings[name], dict))
    model = next((mapping for mapping in ours if is_executor(mapping.get("filepath"))), None)
    if model is None:
        yield f"$.actionMappings.{JEC_CATCH_ALL} not added: no action starts the Alerta executor"
        return
    mappings[JEC_CATCH_ALL] = copy.deepcopy(model)
    yield f"$.actionMappings.{JEC_CATCH_ALL} added beside the actions' own names, for the Alerta executor"


def _mappings(value: dict[str, Any]) -> dict[str, Any]:
    found = value.get("actionMappings")
    return found if isinstance(found, dict) else {}
