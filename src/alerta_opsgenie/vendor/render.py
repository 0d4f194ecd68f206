"""A configuration made from options: the documented one, complete and with the right keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.arguments import KEY_FILE_OPTION, KEY_OPTION, KEY_VARIABLE, STATE_OPTION, URL_OPTION
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
    """What a configuration is made of.

    `alerta_key` goes into the script's environment (`key_in="env"`), where other users of the host do not see it, or
    into its arguments as the documentation has it (`"args"`); with `alerta_key_file` the script is only told the path.
    `state_directory` is where actions wait: written down, it is the same for whoever starts the executor, root
    included; left out, it is in the home of that user. `workers` is the number of scripts that may run at once.
    """

    dialect: str
    api_key: Secret
    alerta_url: str
    alerta_key: Secret | None = None
    alerta_key_file: str = ""
    key_in: str = "env"
    region: str = "us"
    base_url: str = ""
    script: str = ""
    log_directory: str = ""
    state_directory: str = ""
    log_level: str = "WARN"
    workers: int = 12
    actions: tuple[str, ...] = DOCUMENTED_ACTIONS


def base_url_for(dialect: str, region: str) -> str:
    """Give the API's base URL. Raises `ConfigError` for a region that the dialect does not have."""
    if region == "eu" and dialect == JEC:
        raise ConfigError(
            "--region", "eu is a region of Opsgenie; JSM has one host for all", "leave --region out", usage=True
        )
    return EU_BASE_URL if region == "eu" else DEFAULT_BASE_URLS[dialect]


def render_config(options: RenderOptions) -> dict[str, Any]:
    """Build the configuration. Raises `ConfigError` where the options do not make one."""
    if not options.actions:
        raise ConfigError("--action", "names no action", "leave it out for the documented ones", usage=True)
    if options.alerta_key_file and options.alerta_key:
        raise ConfigError("Alerta's key", "is given twice, itself and as a file", "give one of the two", usage=True)
    names = options.actions
    if options.dialect == JEC and JEC_CATCH_ALL not in names:
        names = (*names, JEC_CATCH_ALL)
    pool = default_numbers("poolConf")
    pool["maxNumberOfWorker"] = options.workers
    pool["minNumberOfWorker"] = min(pool["minNumberOfWorker"], options.workers)
    return {
        "apiKey": options.api_key.reveal(),
        "baseUrl": options.base_url or base_url_for(options.dialect, options.region),
        "logLevel": options.log_level,
        "globalArgs": _arguments(options),
        "globalFlags": {},
        **({"globalEnv": [_key_variable(options)]} if _key_variable(options) else {}),
        "actionMappings": {name: _mapping(options) for name in names},
        "pollerConf": default_numbers("pollerConf"),
        "poolConf": pool,
    }


def _arguments(options: RenderOptions) -> list[str]:
    arguments = [f"--{URL_OPTION}", options.alerta_url]
    if options.alerta_key_file:
        arguments += [f"--{KEY_FILE_OPTION}", options.alerta_key_file]
    elif options.alerta_key and options.key_in == "args":
        arguments += [f"--{KEY_OPTION}", options.alerta_key.reveal()]
    return [*arguments, *([f"--{STATE_OPTION}", options.state_directory] if options.state_directory else [])]


def _key_variable(options: RenderOptions) -> str:
    if options.alerta_key and options.key_in == "env" and not options.alerta_key_file:
        return f"{KEY_VARIABLE}={options.alerta_key.reveal()}"
    return ""


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
