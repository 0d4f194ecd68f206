"""The plugin's settings, from the environment and Alerta's configuration. They include those of Alerta's old plugin.

An invalid setting stops neither Alerta nor the sending of alerts: it is added to `problems`, which are logged once, and
its default is used.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from alerta_opsgenie.clients.alert_list import OPS_URL
from alerta_opsgenie.clients.connection import AddressError, read_address
from alerta_opsgenie.clients.opsgenie import BASE_URLS, OpsgenieClient, address_of, dialect_of
from alerta_opsgenie.core import reconcile, routing, wording
from alerta_opsgenie.core import task as relaying
from alerta_opsgenie.core.alarm_model import PRIORITIES
from alerta_opsgenie.core.people import People, people_of
from alerta_opsgenie.core.publish import Dialect, Policy
from alerta_opsgenie.plugin.database import Database
from alerta_opsgenie.plugin.directories import SPOOL, lock_directory, own_directory, spool_directory
from alerta_opsgenie.plugin.keys import HOW_TO_NAME_A_KEY, BridgeKeys, Key, read_bridge_keys
from alerta_opsgenie.plugin.settings_reader import Reader

WEBHOOK_HEADER = "X-Alerta-Opsgenie-Secret"
"""The header with the webhook's shared secret, unless OPSGENIE_WEBHOOK_HEADER names another."""


@dataclass(frozen=True)
class Settings:
    """All settings. `keys` has the keys of routes that have their own; `problems` lists the invalid settings.

    `close_acknowledges`: if Alerta's alarm model has no close, a close of the bridge becomes an acknowledge.
    `bridge_keys` are Alerta's API keys that may act for others. `webhook_customers` are the customers whose alerts the
    webhook's secret may change (empty: all). `timeout_seconds` is the time limit of one request to the vendor.
    `lock_directory` has the lock by which one worker of the host starts `plugin.sender_process`. `people` is a mapping,
    or the path of a file with it. `also` are the settings of the second product, while two run side by side; `product`
    is part of the names of JSM's tables and directory then. `reconcile_seconds` is the pause between two comparisons of
    both sides (0: none). `alert_link` is the URL of an alert's page at the vendor, with `{id}` in it (empty: no link).
    `heartbeat` is pinged each `heartbeat_seconds`. `ops_login` is `E-MAIL:TOKEN` for JSM's full API at `ops_url`.
    """

    policy: Policy = field(default_factory=Policy)
    url: str = BASE_URLS[Dialect.OPSGENIE]
    key: Key = field(default_factory=Key)
    keys: Mapping[str, Key] = field(default_factory=dict)
    spool_directory: str = SPOOL
    timeout_seconds: float = 10.0
    confirm: bool = True
    compare_seconds: float = 60.0
    in_database: bool = False
    lock_directory: str = ""
    ca_file: Optional[str] = None
    proxies: Optional[Mapping[str, str]] = None
    bridge_keys: BridgeKeys = field(default_factory=BridgeKeys)
    webhook_secret: Key = field(default_factory=Key)
    webhook_header: str = WEBHOOK_HEADER
    webhook_customers: Tuple[str, ...] = ()
    close_acknowledges: bool = False
    relay: relaying.Settings = field(default_factory=relaying.Settings)
    reconcile_seconds: float = reconcile.INTERVAL_SECONDS
    reconcile_policies: Mapping[str, str] = field(default_factory=lambda: reconcile.FIELDS)
    alert_link: str = ""
    heartbeat: str = ""
    heartbeat_seconds: float = 60.0
    people: Union[str, People] = field(default_factory=dict)
    ops_url: str = ""
    ops_login: Key = field(default_factory=Key)
    product: str = ""
    also: Optional["Settings"] = None
    problems: Tuple[str, ...] = ()

    @property
    def vendor(self) -> str:
        """The product's name in messages."""
        return "JSM" if self.policy.dialect is Dialect.JSM else "Opsgenie"

    @property
    def sends(self) -> bool:
        """Whether there is a key to send with."""
        return bool(self.key) or any(self.keys.values())

    def client(self) -> OpsgenieClient:
        """Return a client of the API, for one thread."""
        return OpsgenieClient(self.url, self.policy.dialect, ca_file=self.ca_file, environment=self.proxies)

    def key_of(self, route: str) -> Key:
        """Return the key of a route; the default key if the route is no longer configured."""
        return self.keys.get(route) or self.key


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
    configured = reader.text("OPSGENIE_SPOOL_DIR")
    spool, problem = (own_directory(configured or SPOOL), "") if in_database else spool_directory(configured)
    reader.problems += [problem] if problem else []
    settings = Settings(
        policy=policy,
        url=url,
        key=key,
        keys=keys,
        spool_directory=spool,
        lock_directory=lock_directory(config) if in_database else spool,
        timeout_seconds=reader.number("OPSGENIE_TIMEOUT", 10.0, 0.1),
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
        reconcile_policies=_reconcile_policies(reader),
        alert_link=reader.checked("OPSGENIE_ALERT_LINK", _alert_link, ""),
        heartbeat=reader.text("OPSGENIE_HEARTBEAT"),
        heartbeat_seconds=reader.number("OPSGENIE_HEARTBEAT_SECONDS", 60.0, 1.0),
        people=_people(reader),
        ops_url=reader.text("OPSGENIE_OPS_URL"),
        ops_login=_ops_login(reader),
    )
    settings = _with_jsm(reader, config, settings)
    reader.check_names()
    return replace(settings, problems=tuple(reader.problems))


def _with_jsm(reader: Reader, config: Mapping[str, Any], settings: Settings) -> Settings:
    """Add JSM as the second product, with one key. With OPSGENIE_ALSO_JSM_PRIMARY it is the first one."""
    key, is_first = reader.key("OPSGENIE_ALSO_JSM_KEY"), reader.flag("OPSGENIE_ALSO_JSM_PRIMARY")
    url = _base_url(reader, "OPSGENIE_ALSO_JSM_URL", Dialect.JSM)
    if not key:
        if is_first:
            reader.problems.append("OPSGENIE_ALSO_JSM_PRIMARY: set OPSGENIE_ALSO_JSM_KEY or OPSGENIE_ALSO_JSM_KEY_FILE")
        return settings
    if settings.policy.dialect is Dialect.JSM:
        reader.problems.append("OPSGENIE_ALSO_JSM_KEY: OPSGENIE_URL is JSM's already, so nothing is sent twice")
        return settings
    # One key is one route: if the key is throttled, all its requests pause.
    routes = tuple(route._replace(name=routing.DEFAULT) for route in settings.policy.routes)
    policy = settings.policy._replace(dialect=Dialect.JSM, routes=routes)
    spool = str(Path(settings.spool_directory) / "jsm")
    lock = lock_directory(config, "jsm") if settings.in_database else spool
    jsm = replace(
        settings, policy=policy, url=url, key=key, keys={}, product="jsm", spool_directory=spool, lock_directory=lock
    )
    opsgenie = replace(settings, ops_login=Key(), ops_url="")  # JSM has that API
    if not opsgenie.sends:
        return jsm
    first, second = (jsm, opsgenie) if is_first else (opsgenie, jsm)
    return replace(first, also=replace(second, alert_link=""))


def _reconcile_policies(reader: Reader) -> Mapping[str, str]:
    name = "OPSGENIE_RECONCILE_POLICIES"
    wanted = reader.structure(name, dict, {})
    return reader.attempt(name, lambda: reconcile.read_policies(wanted), reconcile.FIELDS)


def _people(reader: Reader) -> Union[str, People]:
    name = "OPSGENIE_PEOPLE"
    value = reader.raw(name, "")
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return value.strip()
    none: People = {}
    wanted = reader.structure(name, dict, {})
    return reader.attempt(name, lambda: people_of(wanted.items()), none)


def _ops_login(reader: Reader) -> Key:
    """Read the login for JSM's full API, which needs a URL too."""
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
    """Whether the outbox is in Alerta's database: if that is PostgreSQL and OPSGENIE_OUTBOX is not `disk`."""
    can, wanted = Database.is_for(config), reader.choice("OPSGENIE_OUTBOX", ("database", "disk"), "")
    if wanted == "database" and not can:
        reader.problems.append("OPSGENIE_OUTBOX: Alerta's database is not PostgreSQL, so the outbox is on the disk")
    return can and wanted != "disk"


def _alert_link(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"https?://[^\s<>\"']*\{id\}[^\s<>\"']*", text):
        raise ValueError("expected the URL of an alert's page, with {id} in it")
    return text


def _bridge_keys(reader: Reader) -> BridgeKeys:
    name = "OPSGENIE_BRIDGE_KEY"
    keys = reader.attempt(name, lambda: read_bridge_keys(reader.names(name)), BridgeKeys())
    if reader.text("OPSGENIE_BRIDGE_USER"):
        reader.problems.append(
            "OPSGENIE_BRIDGE_USER has no effect any more, because anybody can register a login;"
            f" remove it, and {HOW_TO_NAME_A_KEY}"
        )
    return keys


def _webhook_secret(reader: Reader) -> Tuple[Key, Tuple[str, ...]]:
    """Read the webhook's secret, and the customers whose alerts it may change (empty: all)."""
    secret, name = reader.key("OPSGENIE_WEBHOOK_SECRET"), "OPSGENIE_WEBHOOK_CUSTOMERS"
    customers = reader.names(name)
    if reader.raw(name) and not customers:
        reader.problems.append(f"{name}: names no customer, so the webhook's secret is not used")
        return Key(), ()
    if secret and not customers and reader.flag("CUSTOMER_VIEWS"):
        reader.problems.append(
            f"OPSGENIE_WEBHOOK_SECRET reaches the alerts of all customers: name those it is for in {name}, or '*'"
        )
    return secret, () if "*" in customers else customers


def _routes(reader: Reader) -> Tuple[Tuple[routing.Route, ...], Dict[str, Key]]:
    """Read the routes, those of OPSGENIE_ROUTES first, and the key of each that has one."""
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
    dialect = wanted or dialect_of(reader.text("OPSGENIE_URL") or BASE_URLS[Dialect.OPSGENIE])
    return _base_url(reader, "OPSGENIE_URL", dialect), dialect


def _base_url(reader: Reader, name: str, dialect: Dialect) -> str:
    url = reader.text(name) or BASE_URLS[dialect]
    try:
        address_of(url, dialect)
    except AddressError as error:
        reader.problems.append(f"{name}: {error}")
        return BASE_URLS[dialect]
    return url


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
        normal=(*Policy().normal, *filter(None, [reader.text("DEFAULT_NORMAL_SEVERITY").lower()])),
        on_delete=reader.choice("OPSGENIE_ON_DELETE", relaying.ON_DELETE, "close"),
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


def _wording_of(version: Any) -> wording.Templates:
    found = wording.EARLIER_TEMPLATES.get(str(version))
    if found is None:
        raise ValueError(f"{version!r} is none of {', '.join(wording.EARLIER_TEMPLATES)}")
    return found


def _templates(reader: Reader) -> wording.Templates:
    """Read the templates. The default is that of the version that OPSGENIE_COMPATIBLE names."""
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
    """Read the settings of the webhook's relay."""
    sources = reader.names("OPSGENIE_ACCEPT_SOURCES") or (policy.source,)
    return relaying.Settings(
        sources=frozenset(sources),
        own_names=frozenset({policy.source.lower()}),
        all_notes=reader.flag("OPSGENIE_ALL_NOTES"),
        on_delete=reader.choice("OPSGENIE_WEBHOOK_ON_DELETE", relaying.ON_DELETE, "close"),
        custom_actions=reader.structure("OPSGENIE_CUSTOM_ACTIONS", dict, {}),
    )
