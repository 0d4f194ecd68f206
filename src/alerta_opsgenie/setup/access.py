"""The settings that a mapping passes to our executor: Alerta's URL and key, and the executor's options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from alerta_opsgenie.agent.options import Options, UsageError, read_options, split
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.arguments import mapping_arguments
from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig

DEFAULT_SOURCES = ("Alerta",)
_LARGEST_KEY_CHARACTERS = 4096
_NO_KEY = Secret("")


@dataclass(frozen=True)
class Access:
    """Texts from the configuration, empty if it does not set them.

    `key` is Alerta's key if the configuration contains it. `key_in_arguments`: it is an argument, which every user of
    the host can see. `found` are the executor's arguments by name, `variables` its environment.
    """

    url: str = ""
    key: Secret = _NO_KEY
    key_file: str = ""
    key_in_arguments: bool = False
    ca_file: str = ""
    state_directory: str = ""
    sources: tuple[str, ...] = DEFAULT_SOURCES
    found: Mapping[str, list[str]] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def read_key(self) -> tuple[Secret, str]:
        """Return Alerta's key, read with this process's rights; or an empty one, and the reason."""
        if self.key or not self.key_file:
            return self.key, "" if self.key else "no key is given"
        try:
            with Path(self.key_file).open(encoding="ascii") as file:
                key = file.read(_LARGEST_KEY_CHARACTERS).strip()
        except OSError as error:
            return _NO_KEY, f"{self.key_file} cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            return _NO_KEY, f"{self.key_file} does not hold a key"
        return Secret(key), "" if key else f"{self.key_file} is empty"

    def options(self, **given: str | None) -> Options:
        """Return the executor's options; `given` replaces arguments by name. Raises `UsageError`."""
        found = {**self.found, **{name: [value] for name, value in given.items() if value}}
        if given.get("alertaApiKeyFile"):
            found.pop("alertaApiKey", None)
        return read_options(found, (), self.variables)


def access_of(found: Mapping[str, list[str]], variables: Mapping[str, str]) -> Access:
    """Read the executor's arguments and environment."""

    def last(option: str, variable: str) -> str:
        return found[option][-1] if found.get(option) else variables.get(variable, "")

    named = "alertaApiKeyFile" in found and not any(found.get("alertaApiKey", ()))
    key = "" if named else last("alertaApiKey", "ALERTA_API_KEY")
    return Access(
        url=last("alertaApiUrl", "ALERTA_API_URL"),
        key=Secret(key.strip()),
        key_file="" if key else last("alertaApiKeyFile", "ALERTA_API_KEY_FILE"),
        key_in_arguments="alertaApiKey" in found,
        ca_file=last("alertaCaFile", "ALERTA_CA_FILE"),
        state_directory=last("spoolDir", "ALERTA_OPSGENIE_SPOOL_DIR"),
        sources=tuple(found.get("source") or DEFAULT_SOURCES),
        found=found,
        variables=variables,
    )


def read_access(config: EdgeConfig, mapping: ActionMapping | None, environment: Mapping[str, str]) -> Access:
    """Return the settings that a mapping passes to our executor; without one, those common to all mappings.

    `environment` is the connector's, which its scripts inherit.
    """
    arguments, variables = mapping_arguments(config, mapping)
    try:
        found, _ = split(arguments)
    except UsageError:
        found = {}
    return access_of(found, {**environment, **variables})


def our_mappings(config: EdgeConfig) -> list[ActionMapping]:
    """Return the mappings that start our executor."""
    return [mapping for mapping in config.mappings.values() if mapping.is_alerta_executor]
