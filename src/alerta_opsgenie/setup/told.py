"""What a mapping tells our executor: where Alerta is, with which key, and how it is to act."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

from alerta_opsgenie.agent.options import UsageError, split
from alerta_opsgenie.vendor.arguments import environment_pairs
from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.secret import Secret

DEFAULT_SOURCES = ("Alerta",)
_NO_SECRET = Secret("")


@dataclass(frozen=True)
class Told:
    """Texts as the configuration has them, empty where it says nothing.

    `key_in_arguments` tells that Alerta's key stands where every user of the host can see it. `variables` are those
    that the connector sets for the script.
    """

    url: str = ""
    key: Secret = _NO_SECRET
    key_file: str = ""
    key_in_arguments: bool = False
    ca_file: str = ""
    spool_directory: str = ""
    sources: tuple[str, ...] = DEFAULT_SOURCES
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_told(
    config: EdgeConfig, mapping: ActionMapping | None = None, environment: Mapping[str, str] | None = None
) -> Told:
    """Read what our executor would be told by this mapping, or by what all mappings have in common.

    `environment` is the connector's own, which its scripts inherit.
    """
    own = mapping or ActionMapping("", "")
    arguments = [f"-{name}={value}" for name, value in (*config.global_flags, *own.flags)]
    try:
        found, _ = split([*arguments, *config.global_args, *own.args])
    except UsageError:
        found = {}
    variables = {**(environment or {}), **environment_pairs((*config.global_env, *own.env))}

    def last(option: str, variable: str) -> str:
        values = found.get(option)
        return values[-1] if values else variables.get(variable, "")

    given = found.get("alertaApiKey", [""])[-1]
    key_file = found.get("alertaApiKeyFile", [""])[-1]
    if not given and not key_file:
        given, key_file = variables.get("ALERTA_API_KEY", ""), variables.get("ALERTA_API_KEY_FILE", "")
    return Told(
        url=last("alertaApiUrl", "ALERTA_API_URL"),
        key=Secret(given.strip()),
        key_file=key_file,
        key_in_arguments="alertaApiKey" in found,
        ca_file=last("alertaCaFile", "ALERTA_CA_FILE"),
        spool_directory=last("spoolDir", "ALERTA_OPSGENIE_SPOOL_DIR"),
        sources=tuple(found.get("source") or DEFAULT_SOURCES),
        variables=variables,
    )


def our_mapping(config: EdgeConfig) -> ActionMapping | None:
    """Give the first mapping that starts our executor."""
    return next((mapping for mapping in config.mappings.values() if mapping.is_alerta_executor), None)
