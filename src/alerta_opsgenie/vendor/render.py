"""The documented configuration, complete and with the right keys, built from options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.arguments import KEY_FILE_OPTION, KEY_VARIABLE, STATE_OPTION, URL_OPTION
from alerta_opsgenie.vendor.config import (
    DEFAULT_BASE_URLS,
    DOCUMENTED_ACTIONS,
    EU_BASE_URL,
    HOMES,
    JEC,
    JEC_CATCH_ALL,
    LOG_DIRECTORIES,
)
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.structure import default_numbers

REGIONS = ("us", "eu")

DEFAULT_STATE_DIRECTORIES = {dialect: f"{home}/.local/state/alerta-opsgenie" for dialect, home in HOMES.items()}
"""The executor's own default for the user of each connector's packages."""


@dataclass(frozen=True)
class RenderOptions:
    """The values for a configuration; an empty text is not given.

    `alerta_key` goes into the script's environment, which other users of the host cannot see. Waiting actions are kept
    in `state_directory`; if the configuration names it, every user who starts the executor uses the same, root too.
    """

    dialect: str
    api_key: Secret
    alerta_url: str
    alerta_key: Secret | None = None
    alerta_key_file: str = ""
    region: str = "us"
    base_url: str = ""
    script: str = ""
    log_directory: str = ""
    state_directory: str = ""
    sources: tuple[str, ...] = ()
    ca_file: str = ""


def render_config(options: RenderOptions) -> dict[str, Any]:
    """Build the configuration. Raises `ConfigError` for a region that the dialect does not have."""
    is_jec, is_eu = options.dialect == JEC, options.region == "eu"
    if is_jec and is_eu:
        what = "eu is a region of Opsgenie; JSM has one host for all"
        raise ConfigError("--region", what, "leave --region out", usage=True)
    value = {
        "apiKey": options.api_key.reveal(),
        "baseUrl": options.base_url or (EU_BASE_URL if is_eu else DEFAULT_BASE_URLS[options.dialect]),
        "logLevel": "WARN",
        "globalArgs": _arguments(options),
        "globalFlags": {},
        "actionMappings": {name: _mapping(options) for name in (*DOCUMENTED_ACTIONS, *[JEC_CATCH_ALL] * is_jec)},
        "pollerConf": default_numbers("pollerConf"),
        "poolConf": default_numbers("poolConf"),
    }
    if options.alerta_key and not options.alerta_key_file:
        value["globalEnv"] = [f"{KEY_VARIABLE}={options.alerta_key.reveal()}"]
    return value


def _arguments(options: RenderOptions) -> list[str]:
    pairs = [(URL_OPTION, options.alerta_url), (KEY_FILE_OPTION, options.alerta_key_file)]
    pairs += [(STATE_OPTION, options.state_directory), *(("source", source) for source in options.sources)]
    pairs.append(("alertaCaFile", options.ca_file))
    return [part for name, value in pairs if value for part in (f"--{name}", value)]


def _mapping(options: RenderOptions) -> dict[str, Any]:
    logs = (options.log_directory or LOG_DIRECTORIES[options.dialect]).rstrip("/")
    script = f"{HOMES[options.dialect]}/{options.dialect}/scripts/oecAlertaExecutor.py"
    return {
        "filepath": options.script or script,
        "sourceType": "local",
        "env": [],
        "stderr": f"{logs}/oecAlertaExecutor-errors.log",
        "stdout": f"{logs}/oecAlertaExecutor.log",
    }
