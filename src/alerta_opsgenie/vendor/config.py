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
"""What the Go connectors take where the file has no baseUrl."""

EU_BASE_URL = "https://api.eu.opsgenie.com"
"""Opsgenie's European region; Jira Service Management has one host for all regions."""

DOCUMENTED_ACTIONS = ("Acknowledge", "AddNote", "Close", "AssignOwnership", "Snooze", "TakeOwnership", "UnAcknowledge")
"""The actions that the bridge's documentation maps."""

JEC_CATCH_ALL = "postActionToJEC"
"""The mapping of JSM's own sample. Whether a plain JEC integration asks for it or for the action is not documented."""

EXECUTOR_NAMES = frozenset({"oecAlertaExecutor.py", "oecAlertaExecutor"})
"""The names under which our one-file executor is installed."""

HOMES: Mapping[str, str] = {OEC: "/home/opsgenie", JEC: "/home/jsm"}
LOG_DIRECTORIES: Mapping[str, str] = {OEC: "/var/log/opsgenie", JEC: "/var/log/jec"}
"""Where the vendor's packages put each connector and its logs."""

CONFIG_NAMES: Mapping[str, str] = {OEC: "config.json", JEC: "jec-config.json"}
"""How the packages call the configuration."""


@dataclass(frozen=True)
class ActionMapping:
    """Which script is started for an action, and how.

    `filepath`, `stdout` and `stderr` are paths with `~/` already followed; the last two are empty where the connector
    does not keep what the script writes. `flags` become `-name value`. `args` and `env` (`NAME=value`) may
    hold secrets.
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
        """Whether the script is our own executor, by its name."""
        return is_executor(self.filepath)


@dataclass(frozen=True)
class EdgeConfig:
    """A connector's configuration in effect; its repr shows no secrets.

    `base_url` is as the file has it and scripts are given it, `poller` and `pool` have the defaults filled in, `own` is
    `alertaOpsgenie`, which only the native connector reads, and `document` is all that a connector knows of the file.
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
        """The base URL without a trailing slash and without JSM's integration path, which requests add themselves."""
        return normalise_base_url(self.base_url)

    def connector_args(self) -> tuple[str, ...]:
        """Give the arguments that the connector puts before the file's own `globalArgs`; the second is a secret."""
        url = "-opsgenieUrl" if self.dialect == OEC else "-jsmUrl"
        return ("-apiKey", self.api_key.reveal(), url, self.base_url, "-logLevel", self.log_level.upper())


def is_executor(path: object) -> bool:
    """Whether what a mapping's `filepath` holds is our own executor, by its name."""
    return isinstance(path, str) and path.rpartition("/")[2] in EXECUTOR_NAMES


def normalise_base_url(url: str) -> str:
    """Strip what people add to a base URL and requests would add again: a trailing slash, `/jsm/ops/integration`."""
    return url.strip().partition("/jsm/ops/integration")[0].rstrip("/")


def dialect_of_url(url: str) -> str | None:
    """Say whose API a base URL is, by its host: `oec`, `jec`, or None for a host that is neither vendor's."""
    try:
        host = f".{urlsplit(url).hostname or ''}".rstrip(".")
    except ValueError:
        return None
    if host.endswith((".atlassian.com", ".atlassian.net")):
        return JEC
    return OEC if host.endswith((".opsgenie.com", ".opsgenie.eu")) else None


def dialect_of_path(path: str) -> str | None:
    """Say which connector's packages put a file there (`/home/opsgenie/oec/...`, `.../jec-config.json`), if they do."""
    return next((name for name in DIALECTS if re.search(f"(^|/){name}[/.-]", path)), None)


def guess_dialect(document: Document, environment: Mapping[str, str] | None = None) -> str:
    """Decide whose file this is: by its base URL, the connectors' variables, its mappings or its path; else OEC's."""
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
