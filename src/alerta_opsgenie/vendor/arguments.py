"""What a mapping passes to its script: the one reader of flags, arguments and `NAME=value` entries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator, Sequence

from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig

CONNECTORS_OWN = ("payload", "apiKey", "opsgenieUrl", "jsmUrl", "logLevel", "jecNamedPipe")
"""The options that the connectors pass by themselves to each script."""

URL_OPTION = "alertaApiUrl"
KEY_OPTION = "alertaApiKey"
KEY_FILE_OPTION = "alertaApiKeyFile"
STATE_OPTION = "spoolDir"
KEY_VARIABLE = "ALERTA_API_KEY"
"""Where the executor finds Alerta's key when it stands in no argument: argv is visible to every user of the host."""

URL_VARIABLE = "ALERTA_API_URL"
KEY_FILE_VARIABLE = "ALERTA_API_KEY_FILE"

_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<value>.*))?", re.DOTALL)
_NO_MAPPING = ActionMapping("", "")


def mapping_arguments(config: EdgeConfig, mapping: ActionMapping | None = None) -> tuple[list[str], dict[str, str]]:
    """Give the arguments and the variables that the file sets for a mapping's script, without what connectors add.

    The order is the connectors': globalFlags, flags, globalArgs, args; globalEnv, then env. The last of a name counts.
    Without a mapping it is what all scripts get.
    """
    own = mapping or _NO_MAPPING
    variables = environment_pairs((*config.global_env, *own.env))
    return [*flag_arguments(config, own), *config.global_args, *own.args], variables


def flag_arguments(config: EdgeConfig, mapping: ActionMapping) -> list[str]:
    """Give globalFlags and flags as a script gets them: `-name`, then the value."""
    return [part for name, value in (*config.global_flags, *mapping.flags) for part in (f"-{name}", value)]


@dataclass(frozen=True)
class Option:
    """An option as it stands in a list of arguments: `-name value`, `--name value` or `--name=value`.

    `index` is where it begins and `length` how many elements it takes. One with nothing behind it has the value None.
    """

    name: str
    value: str | None
    index: int
    length: int


def find_options(args: Sequence[str]) -> Iterator[Option]:
    """Walk through the options of an argument list; what belongs to none is passed over."""
    index = 0
    while index < len(args):
        match = _OPTION.fullmatch(args[index])
        if match is None:
            index += 1
            continue
        value, length = match["value"], 1
        if value is None and index + 1 < len(args) and _OPTION.fullmatch(args[index + 1]) is None:
            value, length = args[index + 1], 2
        yield Option(match["name"], value, index, length)
        index += length


def without_options(args: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Give the arguments without the options of these names and their values."""
    gone = {
        position
        for option in find_options(args)
        if option.name in names
        for position in range(option.index, option.index + option.length)
    }
    return tuple(argument for position, argument in enumerate(args) if position not in gone)


def tells(config: EdgeConfig, mapping: ActionMapping, options: Sequence[str], variables: Sequence[str]) -> bool:
    """Whether a mapping gives a value by one of these options, in a spelling that our executor takes, or variables."""
    arguments, environment = mapping_arguments(config, mapping)
    wanted = {_spelling(name) for name in options}
    by_option = any(_spelling(option.name) in wanted and option.value for option in find_options(arguments))
    return by_option or any(environment.get(name) for name in variables)


def _spelling(name: str) -> str:
    return name.replace("-", "").replace("_", "").casefold()


def environment_pairs(entries: Sequence[str]) -> dict[str, str]:
    """Read `NAME=value` entries; the last of a name counts, and one without `=` or a name is passed over."""
    return {name: value for name, mark, value in (entry.partition("=") for entry in entries) if mark and name}
