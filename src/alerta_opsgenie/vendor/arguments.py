"""The options and variables that a mapping passes to its script: `flags`, `args` and `NAME=value` entries."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.document import KeyPath

CONNECTOR_OPTIONS = ("payload", "apiKey", "opsgenieUrl", "jsmUrl", "logLevel", "jecNamedPipe")
"""The options that the connectors themselves pass to each script."""

URL_OPTION = "alertaApiUrl"
KEY_OPTION = "alertaApiKey"
KEY_FILE_OPTION = "alertaApiKeyFile"
STATE_OPTION = "spoolDir"
KEY_VARIABLE = "ALERTA_API_KEY"
"""The executor reads Alerta's key from this variable if no argument has it: every user of the host can see argv."""

VARIABLES = {URL_OPTION: "ALERTA_API_URL", KEY_OPTION: KEY_VARIABLE, KEY_FILE_OPTION: "ALERTA_API_KEY_FILE"}
"""The variables that can replace options of our executor."""

INTERPRETERS: Mapping[str, tuple[str, ...]] = {
    ".sh": ("sh",),
    ".py": ("python",),
    ".groovy": ("groovy",),
    ".go": ("go", "run"),
}
"""The interpreter by the ending of a script's name; any other file is started directly (runbook/executor.go)."""

_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<value>.*))?", re.DOTALL)


def mapping_arguments(config: EdgeConfig, mapping: ActionMapping | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and variables that the file sets for a mapping's script, without those connectors add.

    The order is the connectors': globalFlags, flags, globalArgs, args; globalEnv, then env. The last of a name counts.
    Without a mapping, return those of all scripts.
    """
    own = mapping or ActionMapping("", "")
    entries = (entry.partition("=") for entry in (*config.global_env, *own.env))
    variables = {name: value for name, mark, value in entries if mark and name}
    return [*_flags(config, own), *config.global_args, *own.args], variables


def script_argv(
    config: EdgeConfig, mapping: ActionMapping, body: str, *, pipe_path: str | None = None
) -> tuple[str, ...]:
    """Return the command line for a message, interpreter first. It contains the connector's API key."""
    pipe = ("--jecNamedPipe", pipe_path) if pipe_path is not None else ()
    _, dot, ending = mapping.filepath.rpartition("/")[2].lower().rpartition(".")
    started = (*INTERPRETERS.get(dot + ending, ()), mapping.filepath)
    passed = (*_flags(config, mapping), "-payload", body, *config.connector_args())
    return (*started, *passed, *config.global_args, *mapping.args, *pipe)


def _flags(config: EdgeConfig, mapping: ActionMapping) -> list[str]:
    return [part for name, value in (*config.global_flags, *mapping.flags) for part in (f"-{name}", value)]


class Option(NamedTuple):
    """A flag or an option: `-name value`, `--name value` or `--name=value`.

    `value` is None if nothing follows the name. `places` are the JSON paths of the name and of its value.
    """

    name: str
    value: str | None
    places: list[KeyPath]


def normalised(name: str) -> str:
    """Return an option's name as our executor compares it: lower case, without dashes and underscores."""
    return name.replace("-", "").replace("_", "").lower()


_WITH_VALUE = frozenset(map(normalised, (URL_OPTION, KEY_OPTION, KEY_FILE_OPTION, STATE_OPTION)))


def find_options(args: Sequence[str], place: KeyPath = ()) -> Iterator[Option]:
    """Yield the options of the argument list at the path `place`; skip arguments that belong to no option."""
    index = 0
    while index < len(args):
        match = _OPTION.fullmatch(args[index])
        places: list[KeyPath] = [(*place, index)]
        if match is not None:
            value = match["value"]
            # One of 75 Alerta keys begins with a dash, as an option does.
            takes_next = normalised(match["name"]) in _WITH_VALUE
            if value is None and args[index + 1 :] and (takes_next or _OPTION.fullmatch(args[index + 1]) is None):
                value = args[index + 1]
                places.append((*place, index + 1))
            yield Option(match["name"], value, places)
        index += len(places)


def options_in_file(config: EdgeConfig) -> Iterator[Option]:
    """Yield all flags and options of the file: the global ones, then those of each mapping."""
    yield from (Option(name, value, [("globalFlags", name)]) for name, value in config.global_flags)
    yield from find_options(config.global_args, ("globalArgs",))
    for name, mapping in config.mappings.items():
        place = ("actionMappings", name)
        yield from (Option(flag, value, [(*place, "flags", flag)]) for flag, value in mapping.flags)
        yield from find_options(mapping.args, (*place, "args"))


def without_options(args: Any, names: Sequence[str]) -> Any:
    """Return a list of arguments without these options, in any spelling. Return anything else unchanged."""
    if not isinstance(args, list) or not all(isinstance(argument, str) for argument in args):
        return args
    wanted = set(map(normalised, names))
    gone = {place for option in find_options(args) if normalised(option.name) in wanted for place in option.places}
    return [argument for position, argument in enumerate(args) if (position,) not in gone]


def gives_option(config: EdgeConfig, mapping: ActionMapping, names: Sequence[str]) -> bool:
    """Return whether a mapping sets one of these options, in any spelling of the executor's, or its variable."""
    arguments, environment = mapping_arguments(config, mapping)
    given = {normalised(option.name) for option in find_options(arguments) if option.value}
    return not given.isdisjoint(map(normalised, names)) or any(environment.get(VARIABLES[name]) for name in names)
