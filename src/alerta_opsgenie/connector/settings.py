"""The connector's configuration: the Edge Connector's file, with the arguments of our executor."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from alerta_opsgenie.agent.deliverer import WORKERS
from alerta_opsgenie.agent.options import Options, UsageError, read_options, split
from alerta_opsgenie.clients.alerta import address_of
from alerta_opsgenie.page.site import SHORTEST_TOKEN
from alerta_opsgenie.vendor.arguments import mapping_arguments
from alerta_opsgenie.vendor.config import NATIVE, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.structure import read_config

DEFAULT_WORKERS = WORKERS  # Alerts delivered at once
DEFAULT_LISTEN = "127.0.0.1:7070"  # The port of OEC's metrics (`-oec-metrics 7070`)


@dataclass(frozen=True)
class ConnectorSettings:
    """The native connector's own settings, the object `alertaOpsgenie` (docs/reference/settings.md)."""

    workers: int = DEFAULT_WORKERS
    listen: str = DEFAULT_LISTEN
    heartbeat_seconds: int = 60
    script_limit_seconds: int = 300
    log_level: str = "info"
    transport: str = "auto"
    page: str = "on"
    page_token_file: str = "off"  # noqa: S105 - a path

    @property
    def most_in_flight(self) -> int:
        """The largest number of messages in flight."""
        return 4 * self.workers


LOG_LEVELS = ("error", "warn", "info", "debug")

_SETTINGS: Mapping[str, tuple[str, Sequence[Any]]] = {
    "workers": ("workers", range(1, 257)),
    "listen": ("listen", ()),
    "heartbeatIntervalInSeconds": ("heartbeat_seconds", range(86_401)),
    "scriptTimeLimitInSeconds": ("script_limit_seconds", range(1, 12 * 3600 + 1)),
    "logLevel": ("log_level", LOG_LEVELS),
    "transport": ("transport", ("auto", "sqs", "channel")),
    "page": ("page", ("on", "off")),
    "pageTokenFile": ("page_token_file", ()),
}
"""For each setting of the file its field in `ConnectorSettings`, and the allowed values; empty: any text."""


@dataclass(frozen=True)
class Plan:
    """A configuration ready for use. `mapping_options`: by mapping of our executor; `options`: for the rest."""

    config: EdgeConfig
    options: Options
    mapping_options: Mapping[str, Options]
    settings: ConnectorSettings
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)
    page_token: str = field(repr=False, default="")

    def each_alerta(self) -> list[Options]:
        """Return one set of options for each Alerta and key."""
        every = (self.options, *self.mapping_options.values())
        return list({(one.alerta_url, one.alerta_key, one.ca_file): one for one in every}.values())

    def secrets(self) -> list[str]:
        """Return the secrets, which must never be shown."""
        keys = [options.alerta_key for options in self.each_alerta()]
        return [self.config.api_key.reveal(), *keys, *filter(None, [self.page_token])]


def read_plan(
    path: str, *, dialect: str | None = None, environment: Mapping[str, str] | None = None,
    people_file: str | None = None, overrides: Mapping[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """Read a configuration for the native connector. Raises `ConfigError` and `AddressError`.

    `people_file` and `overrides` (fields of `ConnectorSettings`; None: not given) are from the command line and
    override the file.
    """
    given = os.environ if environment is None else environment
    config = read_config(path, dialect=dialect, environment=given, target=NATIVE)
    ours = [mapping for mapping in config.mappings.values() if mapping.is_alerta_executor]
    mapping_options = {mapping.name: _options(config, mapping, given, people_file) for mapping in ours}
    options = next(iter(mapping_options.values())) if mapping_options else _options(config, None, given, people_file)
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    settings = replace(_read_settings(config), **chosen)
    plan = Plan(config, options, mapping_options, settings, given, _read_token(config, settings.page_token_file))
    _check(plan)
    return plan


def _options(
    config: EdgeConfig, mapping: ActionMapping | None, environment: Mapping[str, str], people_file: str | None
) -> Options:
    arguments, variables = mapping_arguments(config, mapping)
    try:
        found, notes = split(arguments)
        options = read_options(found, notes, {**environment, **variables})
    except UsageError as error:
        where = f"{config.where}: $.actionMappings.{mapping.name}" if mapping else f"{config.where}: $.globalArgs"
        raise ConfigError(where, str(error), "put it into globalArgs, then: alerta-opsgenie config check") from None
    return options._replace(people_file=people_file or options.people_file)


def _check(plan: Plan) -> None:
    """Raise `AddressError` for an invalid URL, `ConfigError` where mappings have different state directories."""
    for options in plan.each_alerta():
        address_of(options.alerta_url)
    first = next(iter(plan.mapping_options), "")
    for name, options in plan.mapping_options.items():
        if options.spool_directory != plan.options.spool_directory:
            what = f"the state directory (--spoolDir) of {name!r} differs from that of {first!r}"
            raise ConfigError(f"{plan.config.where}: $.actionMappings", what, "put it into globalArgs once")


def _read_settings(config: EdgeConfig) -> ConnectorSettings:
    values: dict[str, Any] = {}
    for name, value in config.own.items():
        if name not in _SETTINGS:
            known = ", ".join(_SETTINGS)
            raise _setting_error(config, name, "is no setting of the native connector", f"it has {known}")
        attribute, choices = _SETTINGS[name]
        kind = int if isinstance(choices, range) else str
        # The exact type: true is no number.
        if type(value) is not kind or (choices and value not in choices):
            wanted = f"one of {', '.join(choices)}" if choices and kind is str else "a text"
            wanted = f"a whole number from {choices[0]} to {choices[-1]}" if kind is int else wanted
            raise _setting_error(config, name, "cannot be used", f"write {wanted}")
        values[attribute] = value
    return ConnectorSettings(**values)


def _read_token(config: EdgeConfig, path: str) -> str:
    if path == "off":
        return ""
    try:
        with Path(path).open(encoding="ascii") as file:
            token = file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = f"the file {path} cannot be read: {getattr(error, 'strerror', None) or 'it holds no token'}"
        raise _setting_error(config, "pageTokenFile", why, "see its owner and mode: ls -la") from None
    if len(token) < SHORTEST_TOKEN or not token.isprintable() or " " in token:
        why = f"the file {path} holds no token of {SHORTEST_TOKEN} characters or more"
        raise _setting_error(config, "pageTokenFile", why, f"openssl rand -hex 16 > {path}")
    return token


def _setting_error(config: EdgeConfig, name: str, what: str, advice: str) -> ConfigError:
    return ConfigError(f"{config.where}: $.alertaOpsgenie.{name}", what, advice)


def parse_listen(text: str) -> tuple[str, int] | None:
    """Return host and port of HOST:PORT; None for `off`. Raises `UsageError`."""
    if text == "off":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004
        raise UsageError(f"{text[:60]!r} is no address to listen at: give HOST:PORT (127.0.0.1:7070) or off")
    return host.strip("[]") or "127.0.0.1", int(port)
