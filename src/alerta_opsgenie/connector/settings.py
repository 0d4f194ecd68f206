"""What the connector was told: the Edge Connector's configuration, and in it the arguments of our executor.

The executor's arguments keep their meaning (`agent.options`), wherever a mapping would have been given them
from: `globalFlags`, `globalArgs`, its own flags and args, `globalEnv` and its own env.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from typing import Any, Mapping

from alerta_opsgenie.agent.options import Options, UsageError, read_options, split
from alerta_opsgenie.core.message import Message, action_names
from alerta_opsgenie.core.relay import Settings
from alerta_opsgenie.vendor.arguments import environment_pairs
from alerta_opsgenie.vendor.config import NATIVE, ActionMapping, EdgeConfig, read_config
from alerta_opsgenie.vendor.problems import ConfigError

DEFAULT_WORKERS = 12
"""Alerts at work at once: more brings nothing in front of Alerta's usual two to four processes (bench/connector.py)."""

DEFAULT_LISTEN = "127.0.0.1:7070"
"""Where OEC serves its metrics when it is told to (`-oec-metrics 7070`)."""


@dataclass(frozen=True)
class Own:
    """The native connector's own settings, the object `alertaOpsgenie` of the configuration.

    `hold_messages` is how many messages are taken from a queue before the first of them is done (0: four for each
    worker). `listen` is HOST:PORT for metrics and health, `off` for none.
    """

    workers: int = DEFAULT_WORKERS
    hold_messages: int = 0
    listen: str = DEFAULT_LISTEN
    heartbeat_seconds: int = 60
    script_limit_seconds: int = 300

    @property
    def most_held(self) -> int:
        """How many messages of a queue are in our hands at the most."""
        return self.hold_messages or 4 * self.workers


_OWN_KEYS: Mapping[str, tuple[str, int, int]] = {
    "workers": ("workers", 1, 256),
    "holdMessages": ("hold_messages", 0, 10_000),
    "heartbeatIntervalInSeconds": ("heartbeat_seconds", 0, 86_400),
    "scriptTimeLimitInSeconds": ("script_limit_seconds", 1, 12 * 3600),
}


@dataclass(frozen=True)
class Plan:
    """A configuration ready for use. `relays` are the settings of each mapping that our executor stands behind."""

    config: EdgeConfig
    options: Options
    relays: Mapping[str, Settings]
    own: Own
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)

    def settings_of(self, message: Message) -> Settings:
        """Give the settings by which a message that was kept is relayed."""
        found = (self.relays[name] for name in reversed(action_names(message)) if name in self.relays)
        return next(found, self.options.settings)

    def secrets(self) -> list[str]:
        """Give what must never be shown."""
        return [self.config.api_key.reveal(), self.options.alerta_key]


def read_plan(
    path: str,
    *,
    dialect: str | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Plan:
    """Read a configuration for the native connector. Raises `ConfigError` and `UsageError`.

    `overrides` are fields of `Own` from the command line; None stands for one that was not given.
    """
    given = os.environ if environment is None else environment
    config = read_config(path, dialect=dialect, environment=given, target=NATIVE)
    ours = [mapping for mapping in config.mappings.values() if mapping.is_alerta_executor]
    options = {mapping.name: _options(config, mapping, given) for mapping in ours}
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    return Plan(
        config=config,
        options=_the_one(config, options) if options else _options(config, None, given),
        relays={name: found.settings for name, found in options.items()},
        own=replace(_read_own(config), **chosen),
        environment=given,
    )


def _options(config: EdgeConfig, mapping: ActionMapping | None, environment: Mapping[str, str]) -> Options:
    """Read what the executor behind a mapping would be told; without a mapping, what any would be."""
    flags = (*config.global_flags, *(mapping.flags if mapping else ()))
    arguments = [f"--{name}={value}" for name, value in flags]
    arguments += [*config.global_args, *(mapping.args if mapping else ())]
    variables = environment_pairs((*config.global_env, *(mapping.env if mapping else ())))
    found, notes = split(arguments)
    found["drain"] = []  # there is no message among them
    return read_options(found, notes, {**environment, **variables})


def _the_one(config: EdgeConfig, options: Mapping[str, Options]) -> Options:
    """Give what all mappings have in common: one process serves one Alerta, with one key and one spool."""
    (first_name, first), *others = options.items()
    for name, other in others:
        for label, attribute in (
            ("Alerta's URL", "alerta_url"),
            ("Alerta's key", "alerta_key"),
            ("the CA file", "ca_file"),
            ("the spool's directory", "spool_directory"),
        ):
            if getattr(first, attribute) != getattr(other, attribute):
                raise ConfigError(
                    f"{config.where}: $.actionMappings",
                    f"{label} differs between {first_name!r} and {name!r}, and one connector serves one Alerta",
                    "put it into globalArgs once, or run a connector for each Alerta",
                )
    return first


def _read_own(config: EdgeConfig) -> Own:
    values: dict[str, Any] = {}
    for name, value in config.own.items():
        if name == "listen" and isinstance(value, str):
            values["listen"] = value
            continue
        if name not in _OWN_KEYS:
            known = ", ".join(["listen", *_OWN_KEYS])
            raise _own_error(config, name, "is no setting of the native connector", f"it has {known}")
        attribute, least, most = _OWN_KEYS[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _own_error(config, name, "cannot be used", f"write a whole number from {least} to {most}")
        values[attribute] = value
    return Own(**values)


def _own_error(config: EdgeConfig, name: str, what: str, mend: str) -> ConfigError:
    return ConfigError(f"{config.where}: $.alertaOpsgenie.{name}", what, mend)


def parse_listen(text: str) -> tuple[str, int] | None:
    """Read HOST:PORT; None for `off`. Raises `UsageError`."""
    if text == "off":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004
        raise UsageError(f"{text[:60]!r} is no place to listen: give HOST:PORT (127.0.0.1:7070) or off")
    return host.strip("[]") or "127.0.0.1", int(port)


OVERRIDES = tuple(one.name for one in fields(Own))
"""What the command line can set for `read_plan`."""
