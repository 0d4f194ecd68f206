"""The Edge Connector's configuration: one format for OEC, JEC and the native connector.

https://support.atlassian.com/opsgenie/docs/configure-opsgenie-edge-connector/,
https://support.atlassian.com/jira-service-management-cloud/docs/configure-jira-edge-connector/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping
from urllib.parse import urlsplit

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.document import Document

OEC, JEC, NATIVE = "oec", "jec", "native"
"""Opsgenie's Edge Connector, Jira Service Management's, and this project's own, which reads either one's file."""

DIALECTS = (OEC, JEC)

DEFAULT_BASE_URLS: Mapping[str, str] = {OEC: "https://api.opsgenie.com", JEC: "https://api.atlassian.com"}
"""The Go connectors use these if the file has no baseUrl."""

EU_BASE_URL = "https://api.eu.opsgenie.com"
"""Opsgenie's European region; Jira Service Management has one host for all regions."""

DOCUMENTED_ACTIONS = ("Acknowledge", "AddNote", "Close", "AssignOwnership", "Snooze", "TakeOwnership", "UnAcknowledge")
"""The actions that the bridge's documentation maps."""

JEC_CATCH_ALL = "postActionToJEC"
"""The mapping of JSM's sample. It is not documented whether a plain JEC integration sends this name or the action's."""

EXECUTOR_NAMES = frozenset({"oecAlertaExecutor.py", "oecAlertaExecutor"})
"""The names under which our one-file executor is installed."""

HOMES: Mapping[str, str] = {OEC: "/home/opsgenie", JEC: "/home/jsm"}
LOG_DIRECTORIES: Mapping[str, str] = {OEC: "/var/log/opsgenie", JEC: "/var/log/jec"}
"""Where the vendor's packages put each connector and its logs."""

CONFIG_NAMES: Mapping[str, str] = {OEC: "config.json", JEC: "jec-config.json"}
"""The packages' file names of the configuration."""


@dataclass(frozen=True)
class ActionMapping:
    """The script for an action, and its arguments.

    `~/` in `filepath`, `stdout` and `stderr` is already expanded; the last two are empty if the connector does not keep
    the script's output. `flags` become `-name value`. `args` and `env` (`NAME=value`) may contain secrets.
    """

    name: str
    filepath: str
    source_type: str = "local"
    type: str = "custom"
    flags: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    args: tuple[str, ...] = field(default=(), repr=False)
    env: tuple[str, ...] = field(default=(), repr=False)
    stdout: str = ""
    stderr: str = ""

    @property
    def is_alerta_executor(self) -> bool:
        """Whether the script has the name of our executor."""
        return is_executor(self.filepath)


@dataclass(frozen=True)
class EdgeConfig:
    """A connector's configuration in effect; its repr shows no secrets.

    `base_url` is the file's, and scripts get it unchanged. `poller` and `pool` include the defaults. `own` is
    `alertaOpsgenie`, which only the native connector reads. `document` has all keys that a connector knows.
    """

    dialect: str
    api_key: Secret
    base_url: str
    mappings: Mapping[str, ActionMapping]
    log_level: str = "info"
    global_flags: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    global_args: tuple[str, ...] = field(default=(), repr=False)
    global_env: tuple[str, ...] = field(default=(), repr=False)
    poller: Mapping[str, int] = field(default_factory=dict)
    pool: Mapping[str, int] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict, repr=False)
    where: str = ""
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def api_root(self) -> str:
        """The base URL without a trailing slash and without JSM's integration path; requests add that path."""
        return normalise_base_url(self.base_url)

    def connector_args(self) -> tuple[str, ...]:
        """Return the arguments that the connector passes before `globalArgs`. The second is a secret."""
        url = "-opsgenieUrl" if self.dialect == OEC else "-jsmUrl"
        return ("-apiKey", self.api_key.reveal(), url, self.base_url, "-logLevel", self.log_level.upper())


def is_executor(path: object) -> bool:
    """Return whether the value of a mapping's `filepath` has the name of our executor."""
    return isinstance(path, str) and path.rpartition("/")[2] in EXECUTOR_NAMES


def normalise_base_url(url: str) -> str:
    """Return the base URL without what requests add again: a trailing slash, `/jsm/ops/integration`."""
    return url.strip().partition("/jsm/ops/integration")[0].rstrip("/")


def dialect_of_url(url: str) -> str | None:
    """Return `oec` or `jec` by the host of a base URL; None if the host is neither Opsgenie's nor Atlassian's."""
    try:
        host = f".{urlsplit(url).hostname or ''}".rstrip(".")
    except ValueError:
        return None
    if host.endswith((".atlassian.com", ".atlassian.net")):
        return JEC
    return OEC if host.endswith((".opsgenie.com", ".opsgenie.eu")) else None


def dialect_of_path(path: str) -> str | None:
    """Return the connector whose packages use this path (`/home/opsgenie/oec/...`, `.../jec-config.json`), or None."""
    return next((name for name in DIALECTS if re.search(f"(^|/){name}[/.-]", path)), None)


def guess_dialect(document: Document, environment: Mapping[str, str] | None = None) -> str:
    """Return a file's dialect by its base URL, the connectors' variables, its mappings or its path; else `oec`."""
    value = document.value
    base_url = value.get("baseUrl")
    by_url = dialect_of_url(base_url) if isinstance(base_url, str) else None
    if by_url:
        return by_url
    prefixes = {name.partition("_")[0].casefold() for name in environment or {} if name.startswith(("OEC_", "JEC_"))}
    if len(prefixes) == 1:
        return prefixes.pop()
    mappings = value.get("actionMappings")
    if isinstance(mappings, dict) and JEC_CATCH_ALL in mappings:
        return JEC
    return dialect_of_path(document.where) or OEC
