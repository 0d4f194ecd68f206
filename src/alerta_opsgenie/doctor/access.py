"""What a mapping gives our executor: where Alerta is, with which key, and how it is to act."""

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


@dataclass(frozen=True)
class Access:
    """Texts as the configuration has them, empty where it says nothing.

    `key_in_arguments` says that Alerta's key stands where every user of the host can see it. `found` are the executor's
    arguments by name; `variables` is the environment that the executor has.
    """

    found: Mapping[str, list[str]] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        """The URL of Alerta's API."""
        return self._last("alertaApiUrl", "ALERTA_API_URL")

    @property
    def ca_file(self) -> str:
        """A file with the certificates of a private CA."""
        return self._last("alertaCaFile", "ALERTA_CA_FILE")

    @property
    def state_directory(self) -> str:
        """The state directory, where one is named."""
        return self._last("spoolDir", "ALERTA_OPSGENIE_SPOOL_DIR")

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources whose alerts are acted on."""
        return tuple(self.found.get("source") or DEFAULT_SOURCES)

    @property
    def key_in_arguments(self) -> bool:
        """Whether the key stands among the arguments."""
        return "alertaApiKey" in self.found

    @property
    def key_file(self) -> str:
        """The file with the key; empty where the key is given otherwise."""
        if self.key_in_arguments or (self.variables.get("ALERTA_API_KEY") and "alertaApiKeyFile" not in self.found):
            return ""
        return self._last("alertaApiKeyFile", "ALERTA_API_KEY_FILE")

    def read_key(self) -> tuple[Secret, str]:
        """Read the key as the user that this process is; the text says why there is none."""
        given = self._last("alertaApiKey", "ALERTA_API_KEY")
        if not self.key_file:
            return Secret(given.strip()), "" if given.strip() else "no key is given"
        try:
            with Path(self.key_file).open(encoding="ascii") as file:
                key = file.read(_LARGEST_KEY_CHARACTERS).strip()
        except OSError as error:
            return Secret(""), f"{self.key_file} cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            return Secret(""), f"{self.key_file} does not hold a key"
        return Secret(key), "" if key else f"{self.key_file} is empty"

    def options(self, **given: str | None) -> Options:
        """Make the executor's options of it, with what is `given` by the name of an argument. Raises UsageError."""
        found = {**self.found, **{name: [value] for name, value in given.items() if value}}
        if given.get("alertaApiKeyFile"):
            found.pop("alertaApiKey", None)
        return read_options(found, (), self.variables)

    def _last(self, option: str, variable: str) -> str:
        values = self.found.get(option)
        return values[-1] if values else self.variables.get(variable, "")


def read_access(config: EdgeConfig, mapping: ActionMapping | None, environment: Mapping[str, str]) -> Access:
    """Read what our executor is given by a mapping; without one, by what all mappings have in common.

    `environment` is the connector's own, which its scripts inherit.
    """
    arguments, variables = mapping_arguments(config, mapping)
    try:
        found, _ = split(arguments)
    except UsageError:
        found = {}
    return Access(found, {**environment, **variables})


def our_mappings(config: EdgeConfig) -> list[ActionMapping]:
    """Give the mappings that start our executor."""
    return [mapping for mapping in config.mappings.values() if mapping.is_alerta_executor]
