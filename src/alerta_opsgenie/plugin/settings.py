"""The plugin's settings, from the environment and Alerta's configuration; those of the existing plugin as they are.

A setting that cannot be used never keeps Alerta from starting, nor alerts from being sent: it is named in `problems`,
which are logged once, and its default is taken.
"""

import ast
import contextlib
import difflib
import hashlib
import json
import math
import os
import re
import stat
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple, TypeVar, Union

from alerta_opsgenie.clients.alert_list import OPS_URL
from alerta_opsgenie.clients.connection import AddressError, read_address
from alerta_opsgenie.clients.opsgenie import BASE_URLS, address_of, dialect_of
from alerta_opsgenie.core import publish, reconcile, routing, wording
from alerta_opsgenie.core import relay as relaying
from alerta_opsgenie.core.alarm_model import PRIORITIES
from alerta_opsgenie.core.people import People, people_of
from alerta_opsgenie.core.publish import Dialect, Policy
from alerta_opsgenie.plugin.database import Database
from alerta_opsgenie.plugin.keys import HOW_TO_NAME_A_KEY, BridgeKeys, Key, read_bridge_keys

T = TypeVar("T")

SPOOL = "/var/lib/alerta-opsgenie/plugin"
"""Where what waits for Opsgenie is kept, unless OPSGENIE_SPOOL_DIR names a place."""

_MOST_TO_MAKE = 2  # /var/lib itself has to be there

WEBHOOK_HEADER = "X-Alerta-Opsgenie-Secret"
"""The header that the outgoing webhook carries the shared secret in, unless OPSGENIE_WEBHOOK_HEADER names one."""


@dataclass(frozen=True)
class Settings:
    """All of it. `keys` has a key for each route that has one of its own; `problems` say what could not be used.

    `close_acknowledges`: where Alerta's alarm model has no close, a close of the bridge's is an acknowledge.
    `bridge_keys` are the API keys of Alerta that may act for others. `webhook_customers` are the customers whose alerts
    the webhook's secret reaches (empty: all). `timeout_seconds` is the time limit of one request to Opsgenie, `senders`
    the number of requests at a time. `reconcile_seconds` is the pause between two comparisons of both sides (0: none).
    `alert_link` is the URL of an alert's page over there, with `{id}` in it (empty: no link). `heartbeat` names the one
    that is pinged each `heartbeat_seconds`. `ops_login` is `E-MAIL:TOKEN` for JSM's full API at `ops_url`.
    """

    policy: Policy = field(default_factory=Policy)
    url: str = BASE_URLS[Dialect.OPSGENIE]
    key: Key = field(default_factory=Key)
    keys: Mapping[str, Key] = field(default_factory=dict)
    spool_directory: str = SPOOL
    timeout_seconds: float = 10.0
    senders: int = 4
    confirm: bool = True
    compare_seconds: float = 60.0
    in_database: bool = False
    lock_directory: str = ""
    """Where the workers of a host agree on who sends: the outbox's directory, else one of this user alone."""
    ca_file: Optional[str] = None
    proxies: Optional[Mapping[str, str]] = None
    bridge_keys: BridgeKeys = field(default_factory=BridgeKeys)
    webhook_secret: Key = field(default_factory=Key)
    webhook_header: str = WEBHOOK_HEADER
    webhook_customers: Tuple[str, ...] = ()
    close_acknowledges: bool = False
    relay: relaying.Settings = field(default_factory=relaying.Settings)
    reconcile_seconds: float = reconcile.INTERVAL_SECONDS
    reconcile_limit: int = reconcile.LIMIT
    reconcile_policies: Mapping[str, str] = field(default_factory=lambda: reconcile.FIELDS)
    alert_link: str = ""
    heartbeat: str = ""
    heartbeat_seconds: float = 60.0
    people: Union[str, People] = field(default_factory=dict)
    """Who the vendor's ids are in Alerta: a mapping, or the path of a file that has it."""
    ops_url: str = ""
    ops_login: Key = field(default_factory=Key)
    problems: Tuple[str, ...] = ()

    @property
    def sends(self) -> bool:
        """Whether there is a key to send with."""
        return bool(self.key) or any(self.keys.values())

    def key_of(self, route: str) -> Key:
        """Give the key of a route; of one that is no longer configured, the general one."""
        return self.keys.get(route) or self.key


class Reader:
    """Reads single settings: the environment goes first, as it does in Alerta; `problems` collects what is wrong."""

    def __init__(self, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._config = config
        self._environment = environment
        self._known: Set[str] = set()
        self.problems: List[str] = []

    def raw(self, name: str, default: Any = None) -> Any:
        """Give a setting as it is; an empty one in the environment does not count."""
        self._known.add(name)
        value = self._environment.get(name) or self._config.get(name)
        return default if value is None else value

    def text(self, name: str, default: str = "") -> str:
        """Read a text."""
        return str(self.raw(name, default)).strip()

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read a truth value."""
        value = self.raw(name, default)
        return value.lower() in ("yes", "on", "true", "t", "1") if isinstance(value, str) else bool(value)

    def number(self, name: str, default: float, least: float) -> float:
        """Read a number."""
        return self.checked(name, lambda value: max(least, _finite(value)), default)

    def names(self, name: str) -> Tuple[str, ...]:
        """Read a list of names: a list, one text with commas, or the list as JSON or Python text."""
        value = self.raw(name)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{", "("):
            value = self.structure(name, list, [])
        return self.attempt(name, lambda: routing.read_names(value), ())

    def structure(self, name: str, kind: type, default: Any) -> Any:
        """Read a list or a dict, which the environment has as JSON or as Python text."""
        value = self.raw(name)
        if value is None or value == "":
            return default
        if isinstance(value, str):
            value = self._parsed(name, value, default)
        if kind is list and isinstance(value, tuple):
            value = list(value)
        if isinstance(value, kind):
            return value
        self.problems.append(f"{name}: expected a {kind.__name__}")
        return default

    def _parsed(self, name: str, text: str, default: Any) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass  # people copy the Python of alertad.conf into the environment
        try:
            return ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            self.problems.append(f"{name}: can be read neither as JSON nor as Python")
            return default

    def checked(self, name: str, read: Callable[[Any], T], default: T) -> T:
        """Read a setting by a function that raises ValueError for what it cannot use."""
        value = self.raw(name)
        if value is None or value == "":
            return default
        return self.attempt(name, lambda: read(value), default)

    def attempt(self, name: str, read: Callable[[], T], default: T) -> T:
        """Do something that raises ValueError for a setting that cannot be used."""
        try:
            return read()
        except (ValueError, TypeError) as error:
            text = str(error)
            self.problems.append(text if text.startswith(name) else f"{name}: {text}")
            return default

    def key(self, name: str) -> Key:
        """Read a secret, from the setting itself or from the file that `NAME_FILE` names."""
        path, text = self.text(f"{name}_FILE"), self.text(name)
        return Key(path=path) if path else Key(text)

    def check_names(self) -> None:
        """Name the settings that look like ours and that nobody reads. To be called when all are read."""
        for name in sorted({*self._environment, *self._config} - self._known):
            if "GENIE_" in name:
                nearest = difflib.get_close_matches(name, sorted(self._known), 1, cutoff=0.5)
                advice = f"; did you mean {nearest[0]}?" if nearest else ""
                self.problems.append(f"{name}: there is no such setting{advice}")


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no number to count with")
    return number


def read_settings(config: Mapping[str, Any], environment: Optional[Mapping[str, str]] = None) -> Settings:
    """Read all settings."""
    reader = Reader(config, os.environ if environment is None else environment)
    key = reader.key("OPSGENIE_SERVICE_KEY")
    routes, keys = _routes(reader)
    url, dialect = _url(reader)
    policy = _policy(reader, dialect, routes)
    proxy = reader.text("OPSGENIE_PROXY")
    secret, customers = _webhook_secret(reader)
    in_database = _in_database(reader, config)
    spool = reader.text("OPSGENIE_SPOOL_DIR") or (SPOOL if in_database else _default_spool(reader))
    settings = Settings(
        policy=policy,
        url=url,
        key=key,
        keys=keys,
        spool_directory=spool,
        lock_directory=_lock_directory(config) if in_database else spool,
        timeout_seconds=reader.number("OPSGENIE_TIMEOUT", 10.0, 0.1),
        senders=int(reader.number("OPSGENIE_SENDERS", 4, 1)),
        confirm=reader.flag("OPSGENIE_CONFIRM", default=True),
        in_database=in_database,
        compare_seconds=reader.number("OPSGENIE_COMPARE_SECONDS", 60.0, 1.0),
        ca_file=reader.text("OPSGENIE_CA_FILE") or None,
        proxies={"https_proxy": proxy, "http_proxy": proxy} if proxy else None,
        bridge_keys=_bridge_keys(reader),
        webhook_secret=secret,
        webhook_header=reader.text("OPSGENIE_WEBHOOK_HEADER") or WEBHOOK_HEADER,
        webhook_customers=customers,
        close_acknowledges=reader.flag("OPSGENIE_CLOSE_ACKNOWLEDGES"),
        relay=_relay(reader, policy),
        reconcile_seconds=reader.checked("OPSGENIE_RECONCILE", reconcile.read_interval, reconcile.INTERVAL_SECONDS),
        reconcile_limit=int(reader.number("OPSGENIE_RECONCILE_LIMIT", reconcile.LIMIT, 1)),
        reconcile_policies=_reconcile_policies(reader),
        alert_link=reader.checked("OPSGENIE_ALERT_LINK", _alert_link, ""),
        heartbeat=reader.text("OPSGENIE_HEARTBEAT"),
        heartbeat_seconds=reader.number("OPSGENIE_HEARTBEAT_SECONDS", 60.0, 1.0),
        people=_people(reader),
        ops_url=reader.text("OPSGENIE_OPS_URL"),
        ops_login=_ops_login(reader),
    )
    reader.check_names()
    return replace(settings, problems=tuple(reader.problems))


def _reconcile_policies(reader: Reader) -> Mapping[str, str]:
    name = "OPSGENIE_RECONCILE_POLICIES"
    wanted = reader.structure(name, dict, {})
    return reader.attempt(name, lambda: reconcile.read_policies(wanted), reconcile.FIELDS)


def _people(reader: Reader) -> Union[str, People]:
    name = "OPSGENIE_PEOPLE"
    value = reader.raw(name, "")
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return value.strip()
    nobody: People = {}
    wanted = reader.structure(name, dict, {})
    return reader.attempt(name, lambda: people_of(wanted.items()), nobody)


def _ops_login(reader: Reader) -> Key:
    """Read the login for JSM's full API, which is of no use without its URL."""
    login, url = reader.key("OPSGENIE_OPS_LOGIN"), reader.text("OPSGENIE_OPS_URL")
    if not login:
        return login
    try:
        read_address(url, "JSM", OPS_URL)
    except AddressError as error:
        reader.problems.append(f"OPSGENIE_OPS_URL: {error}")
        return Key()
    return login


def _in_database(reader: Reader, config: Mapping[str, Any]) -> bool:
    """Whether the outbox is in Alerta's own database: where that is PostgreSQL, unless the settings say otherwise."""
    can, wanted = Database.is_for(config), reader.checked("OPSGENIE_OUTBOX", _outbox, "")
    if wanted == "database" and not can:
        reader.problems.append("OPSGENIE_OUTBOX: Alerta's database is not PostgreSQL, so the outbox is on the disk")
    return can and wanted != "disk"


def _alert_link(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"https?://[^\s<>\"']*\{id\}[^\s<>\"']*", text):
        raise ValueError("expected the URL of an alert's page, with {id} in it")
    return text


def _outbox(value: Any) -> str:
    if value not in ("database", "disk"):
        raise ValueError(f"{value!r} is neither database nor disk")
    return str(value)


def _bridge_keys(reader: Reader) -> BridgeKeys:
    name = "OPSGENIE_BRIDGE_KEY"
    keys = reader.attempt(name, lambda: read_bridge_keys(reader.names(name)), BridgeKeys())
    if reader.text("OPSGENIE_BRIDGE_USER"):
        reader.problems.append(
            "OPSGENIE_BRIDGE_USER lends no names any more, for anybody can register a login;"
            f" take it out, and {HOW_TO_NAME_A_KEY}"
        )
    return keys


def _webhook_secret(reader: Reader) -> Tuple[Key, Tuple[str, ...]]:
    """Read the webhook's secret, and the customers that it is bound to; empty: it reaches everybody's alerts."""
    secret, name = reader.key("OPSGENIE_WEBHOOK_SECRET"), "OPSGENIE_WEBHOOK_CUSTOMERS"
    customers = reader.names(name)
    if reader.raw(name) and not customers:
        reader.problems.append(f"{name}: names no customer, so the webhook's secret is not taken")
        return Key(), ()
    if secret and not customers and reader.flag("CUSTOMER_VIEWS"):
        reader.problems.append(
            f"OPSGENIE_WEBHOOK_SECRET reaches the alerts of all customers: name those it is for in {name}, or '*'"
        )
    return secret, () if "*" in customers else customers


def _routes(reader: Reader) -> Tuple[Tuple[routing.Route, ...], Dict[str, Key]]:
    """Read the routes, ours first, and the key of each that has one."""
    routes: List[routing.Route] = []
    keys: Dict[str, Key] = {}
    readers = (("OPSGENIE_ROUTES", routing.read_route), ("SERVICE_KEY_MATCHERS", routing.read_matcher))
    for name, read in readers:
        for number, entry in enumerate(reader.structure(name, list, [])):
            route = reader.attempt(name, lambda: read(number, entry), None)  # noqa: B023 - called at once
            if route is None:
                continue
            routes.append(route)
            if entry.get("api_key_file") or entry.get("api_key"):
                keys[route.name] = Key(str(entry.get("api_key") or ""), path=str(entry.get("api_key_file") or ""))
    return tuple(routes), keys


def _url(reader: Reader) -> Tuple[str, Dialect]:
    wanted = reader.checked("OPSGENIE_DIALECT", lambda value: Dialect(str(value).lower()), None)
    url = reader.text("OPSGENIE_URL") or BASE_URLS[wanted or Dialect.OPSGENIE]
    dialect = wanted or dialect_of(url)
    try:
        address_of(url, dialect)
    except AddressError as error:
        reader.problems.append(f"OPSGENIE_URL: {error}")
        url = BASE_URLS[dialect]
    return url, dialect


def _policy(reader: Reader, dialect: Dialect, routes: Tuple[routing.Route, ...]) -> Policy:
    return Policy(
        dialect=dialect,
        extra_calls=reader.flag("OPSGENIE_EXTRA_CALLS"),
        source=reader.text("OPSGENIE_ALERT_SOURCE") or Policy().source,
        teams=reader.names("OPSGENIE_TEAMS"),
        priorities=_priorities(reader),
        default_priority=reader.checked("OPSGENIE_DEFAULT_SEVERITY", _priority, "P3"),
        send_warn=reader.flag("OPSGENIE_SEND_WARN"),
        environments=reader.names("OPSGENIE_SEND_ENVIRONMENTS"),
        normal=_normal(reader),
        on_delete=reader.checked("OPSGENIE_ON_DELETE", _on_delete, "close"),
        update_repeats=reader.flag("OPSGENIE_UPDATE_REPEATS"),
        dashboard_url=reader.text("DASHBOARD_URL"),
        templates=_templates(reader),
        attributes=reader.names("OPSGENIE_ATTRIBUTES"),
        actions=reader.names("OPSGENIE_ACTIONS"),
        routes=routes,
    )


def _priorities(reader: Reader) -> Dict[str, str]:
    name = "OPSGENIE_SEVERITY_MAP"
    wanted = reader.structure(name, dict, PRIORITIES)
    read = {str(severity): reader.attempt(name, lambda: _priority(value), "") for severity, value in wanted.items()}  # noqa: B023
    return {severity.lower(): priority for severity, priority in read.items() if priority}


def _priority(value: Any) -> str:
    return routing.read_priority("OPSGENIE_SEVERITY_MAP", value)


def _normal(reader: Reader) -> Tuple[str, ...]:
    own = reader.text("DEFAULT_NORMAL_SEVERITY")
    return (*Policy().normal, *([own.lower()] if own else []))


def _on_delete(value: Any) -> str:
    if value not in publish.ON_DELETE:
        raise ValueError(f"OPSGENIE_ON_DELETE: {value!r} is none of {', '.join(sorted(publish.ON_DELETE))}")
    return str(value)


def _wording_of(version: Any) -> wording.Templates:
    found = wording.EARLIER.get(str(version))
    if found is None:
        raise ValueError(f"{version!r} is none of {', '.join(wording.EARLIER)}")
    return found


def _templates(reader: Reader) -> wording.Templates:
    """Read the templates; where one is not set, the wording of the version that OPSGENIE_COMPATIBLE names."""
    earlier = reader.checked("OPSGENIE_COMPATIBLE", _wording_of, wording.Templates())

    def read(name: str, default: str = "") -> str:
        return reader.checked(name, lambda value: wording.check_template(name, str(value)), default)

    tags = "OPSGENIE_TAGS_TEMPLATES"
    wanted = reader.structure(tags, list, [])
    checked = [reader.attempt(tags, lambda: wording.check_template(tags, str(tag)), "") for tag in wanted]  # noqa: B023
    return wording.Templates(
        message=read("OPSGENIE_MESSAGE_TEMPLATE", earlier.message),
        description=read("OPSGENIE_DESCRIPTION_TEMPLATE"),
        entity=read("OPSGENIE_ENTITY_TEMPLATE", earlier.entity),
        tags=tuple(tag for tag in checked if tag),
    )


def _relay(reader: Reader, policy: Policy) -> relaying.Settings:
    """Read how the webhook acts on Alerta."""
    sources = reader.names("OPSGENIE_ACCEPT_SOURCES") or (policy.source,)
    on_delete = reader.text("OPSGENIE_WEBHOOK_ON_DELETE") or "close"
    if on_delete not in relaying.ON_DELETE:
        reader.problems.append(f"OPSGENIE_WEBHOOK_ON_DELETE: none of {', '.join(sorted(relaying.ON_DELETE))}")
        on_delete = "close"
    return relaying.Settings(
        sources=frozenset(sources),
        own_names=frozenset({policy.source.lower()}),
        all_notes=reader.flag("OPSGENIE_ALL_NOTES"),
        on_delete=on_delete,
        custom_actions=reader.structure("OPSGENIE_CUSTOM_ACTIONS", dict, {}),
    )


def _default_spool(reader: Reader) -> str:
    """Take the usual place if it can be had, else one that may not outlive the host's next start."""
    usual = Path(SPOOL)
    nearest = next(place for place in (usual, *usual.parents) if place.is_dir())
    if len(usual.parts) - len(nearest.parts) <= _MOST_TO_MAKE and os.access(nearest, os.W_OK | os.X_OK):
        return SPOOL
    fallback = _fallback()
    unset = f"OPSGENIE_SPOOL_DIR is not set and {SPOOL} cannot be written"
    if not _is_ours_alone(fallback):
        reader.problems.append(f"{unset}; {fallback} is not used, because it is not a directory of this user alone")
        return SPOOL
    reader.problems.append(
        f"{unset}: what waits for Opsgenie is kept in {fallback}, which may be emptied when the host restarts"
    )
    return str(fallback)


def _fallback(ending: str = "") -> Path:
    return Path(tempfile.gettempdir()) / f"alerta-opsgenie-plugin-{os.getuid()}{ending}"


def _lock_directory(config: Mapping[str, Any]) -> str:
    """Give a directory of this user for this Alerta, which need not outlive the host's next start."""
    name = f"{config.get('DATABASE_URL')} {config.get('DATABASE_NAME')} {config.get('DATABASE_SCHEMA')}"
    directory = _fallback(f"-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:12]}")
    return str(directory) if _is_ours_alone(directory) else SPOOL


def _is_ours_alone(directory: Path) -> bool:
    """Make a directory below one that everybody can write to; False where somebody else was there first.

    A link counts as somebody else's. With the sticky bit on the directory above, nobody else can replace it later.
    """
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        status, parent = directory.lstat(), directory.parent.stat()
    except OSError:
        return False
    open_to_all = parent.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not parent.st_mode & stat.S_ISVTX
    is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return is_private and not open_to_all
