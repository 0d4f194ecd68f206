"""What a mapping passes to its script: found among lists of arguments, flags and `NAME=value` pairs."""

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
KEY_VARIABLE = "ALERTA_API_KEY"
"""Where the executor finds Alerta's key when it stands in no argument: argv is visible to every user of the host."""

URL_VARIABLE = "ALERTA_API_URL"

_OPTION = re.compile(r"--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<value>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Option:
    """An option as it stands in a list of arguments: `-name value`, `--name value` or `--name=value`.

    `index` is where it begins and `length` how many elements it takes; a value in its own element has the index
    `index + 1`. An option with nothing behind it has the value None.
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


def names_alerta(config: EdgeConfig, mapping: ActionMapping) -> bool:
    """Whether this mapping tells our executor where Alerta is, in one of the spellings that it takes, or a variable."""
    flags = [f"-{name}={value}" for name, value in (*config.global_flags, *mapping.flags)]
    options = find_options([*flags, *config.global_args, *mapping.args])
    variables = environment_pairs((*config.global_env, *mapping.env))
    by_option = any(_spelling(option.name) == _spelling(URL_OPTION) and option.value for option in options)
    return by_option or bool(variables.get(URL_VARIABLE))


def _spelling(name: str) -> str:
    return name.replace("-", "").replace("_", "").casefold()


def environment_pairs(entries: Sequence[str]) -> dict[str, str]:
    """Read `NAME=value` entries; the last of a name counts, and one without `=` or a name is passed over."""
    return {name: value for name, mark, value in (entry.partition("=") for entry in entries) if mark and name}
