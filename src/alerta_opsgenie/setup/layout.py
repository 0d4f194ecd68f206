"""What lies where, who owns it, and with which mode: OEC's and JEC's documented layouts, and our own connector's.

https://support.atlassian.com/opsgenie/docs/configure-opsgenie-edge-connector/ and
https://support.atlassian.com/jira-service-management-cloud/docs/configure-jira-edge-connector/ name the homes. The
users are those that the vendor's packages make. With another user, every place and name is derived from that user.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from alerta_opsgenie.setup.host import SetupError
from alerta_opsgenie.vendor.config import CONFIG_NAMES, HOMES, JEC, LOG_DIRECTORIES, NATIVE, OEC

EDGES = (OEC, JEC, NATIVE)

SERVICE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of a service whose unit sets none (systemd.exec(5))."""

SCRIPT_MODE = 0o755
STARTED_SCRIPT_MODE = 0o700
"""What both Go connectors set a script's mode to when they start (conf/reader.go)."""

PACKAGE = "alerta-opsgenie"
_USERS = {OEC: "opsgenie", JEC: "jec", NATIVE: PACKAGE}
_HOMES = {**HOMES, NATIVE: f"/var/lib/{PACKAGE}"}
_UNITS = "/etc/systemd/system"
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PLACE = re.compile(r"(?:/(?!\.\.?/)[A-Za-z0-9._+@-]+){2,}/")  # it also stands in a unit, where a blank would end it


@dataclass(frozen=True)
class Ownership:
    """The owner of a file, by name."""

    user: str
    group: str

    def __str__(self) -> str:
        return f"{self.user}:{self.group}"


ROOT = Ownership("root", "root")


@dataclass(frozen=True)
class Directory:
    """A directory of the layout."""

    path: str
    ownership: Ownership
    mode: int


@dataclass(frozen=True)
class Layout:
    """One connector's places, as the running system names them.

    `scripts` and `log_directory` are empty for the native connector. `unit` is the native connector's service, or the
    agent's beside OEC and JEC.
    """

    edge: str
    user: str
    group: str
    home: str
    config: str
    key_file: str
    scripts: str
    log_directory: str
    state_directory: str
    unit: str
    directories: tuple[Directory, ...]
    config_ownership: Ownership
    config_mode: int

    @property
    def ownership(self) -> Ownership:
        """The connector's own user and group."""
        return Ownership(self.user, self.group)

    @property
    def unit_name(self) -> str:
        """The unit, as `systemctl` names it."""
        return self.unit.rpartition("/")[2]

    @property
    def logs(self) -> tuple[str, ...]:
        """The logs that the connector writes for our executor."""
        names = ("oecAlertaExecutor.log", "oecAlertaExecutor-errors.log")
        return tuple(f"{self.log_directory}/{name}" for name in names) if self.log_directory else ()

    @property
    def own_places(self) -> tuple[str, ...]:
        """What no other installation may use."""
        return tuple(place for place in (self.home, self.log_directory, self.state_directory, self.config) if place)


@dataclass(frozen=True)
class Places:
    """What a person wants otherwise; an empty text stands for the documented place."""

    user: str = ""
    home: str = ""
    log_directory: str = ""


def instance_name(user: str) -> str:
    """Name an installation by its user, so that its files are never taken for another program's."""
    return user if user.startswith(PACKAGE) else f"{PACKAGE}-{user}"


def layout_for(edge: str, places: Places | None = None) -> Layout:
    """Give the layout of `oec`, `jec` or `native`. Raises `SetupError` for a user or place that cannot be meant."""
    wanted = places or Places()
    user, usual = wanted.user or _USERS[edge], wanted.user in {"", _USERS[edge]}
    if not _USER_NAME.fullmatch(user) or user == "root":
        raise SetupError(f"--user {user} is no user for a connector", "give a name like alerta-staging", usage=True)
    other_home = f"/var/lib/{instance_name(user)}" if edge == NATIVE else f"/home/{user}"
    home = _place("--home", wanted.home, _HOMES[edge] if usual else other_home)
    if edge == NATIVE:
        return _native(user, home)
    logs = LOG_DIRECTORIES[edge] if usual else f"/var/log/{instance_name(user)}"
    return _go_connector(edge, user, home, _place("--log-dir", wanted.log_directory, logs))


def _place(option: str, given: str, usual: str) -> str:
    place = (given or usual).rstrip("/")
    if not _PLACE.fullmatch(f"{place}/"):
        what = f"{option} {given} is not a whole path of a directory of its own"
        raise SetupError(what, f"give one like {usual}", usage=True)
    return place


def _go_connector(edge: str, user: str, home: str, logs: str) -> Layout:
    base, own = f"{home}/{edge}", Ownership(user, user)
    state = f"{home}/.local/state/{PACKAGE}"
    modes = {home: 0o750, base: 0o750, f"{base}/conf": 0o700, f"{base}/scripts": 0o755}
    modes |= {f"{base}/output": 0o750} if edge == OEC else {}
    modes |= {f"{home}/.local": 0o700, f"{home}/.local/state": 0o700, state: 0o700, logs: 0o755}
    agent = f"{PACKAGE}-agent" if user == _USERS[OEC] else f"{PACKAGE}-agent-{user}"
    return Layout(
        edge=edge,
        user=user,
        group=user,
        home=home,
        config=f"{base}/conf/{CONFIG_NAMES[edge]}",
        key_file=f"{base}/conf/alerta.key",
        scripts=f"{base}/scripts",
        log_directory=logs,
        state_directory=state,
        unit=f"{_UNITS}/{agent}.service",
        directories=tuple(Directory(path, own, mode) for path, mode in modes.items()),
        config_ownership=own,
        config_mode=0o600,
    )


def _native(user: str, home: str) -> Layout:
    directory, own, shared = f"/etc/{instance_name(user)}", Ownership(user, user), Ownership("root", user)
    state = f"{home}/spool"
    return Layout(
        edge=NATIVE,
        user=user,
        group=user,
        home=home,
        config=f"{directory}/config.json",
        key_file=f"{directory}/alerta.key",
        scripts="",
        log_directory="",
        state_directory=state,
        unit=f"{_UNITS}/{instance_name(user)}.service",
        directories=(Directory(directory, shared, 0o750), Directory(home, own, 0o700), Directory(state, own, 0o700)),
        config_ownership=shared,
        config_mode=0o640,
    )
