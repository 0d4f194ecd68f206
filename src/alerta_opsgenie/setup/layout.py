"""Paths, owners and modes of an installation: OEC's and JEC's documented layouts, and our connector's.

https://support.atlassian.com/opsgenie/docs/configure-opsgenie-edge-connector/ and
https://support.atlassian.com/jira-service-management-cloud/docs/configure-jira-edge-connector/ name the homes. The
users are those that the vendor's packages make. For another user, all paths and names are derived from that user.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from alerta_opsgenie.setup.host import SetupError
from alerta_opsgenie.vendor.config import CONFIG_NAMES, HOMES, JEC, LOG_DIRECTORIES, NATIVE, OEC

EDGES = (OEC, JEC, NATIVE)

SERVICE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of a service whose unit sets none (systemd.exec(5))."""

SCRIPT_MODE = 0o755
STARTED_SCRIPT_MODE = 0o700
"""Both Go connectors set a script's mode to this when they start (conf/reader.go)."""

PACKAGE = "alerta-opsgenie"
_USERS = {OEC: "opsgenie", JEC: "jec", NATIVE: PACKAGE}
_HOMES = {**HOMES, NATIVE: f"/var/lib/{PACKAGE}"}
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_PLACE = re.compile(r"(?:/(?!\.\.?/)[A-Za-z0-9._+@-]+){2,}/")  # also used in a unit file, where a space would end it

# The connector's user will own the directory, so it must not be one that other programs use.
_OF_THE_SYSTEM = re.compile(
    r"/(?:bin|boot|dev|etc|lib\w*|proc|run|sbin|sys|usr)/[^/]+"
    r"|/var/(?:backups|cache|lib|local|lock|log|mail|opt|run|spool|tmp|www)"
)


class Ownership(NamedTuple):
    """The owner of a file, by name."""

    user: str
    group: str

    def __str__(self) -> str:
        return f"{self.user}:{self.group}"


ROOT = Ownership("root", "root")


class Directory(NamedTuple):
    """A directory of the layout."""

    path: str
    ownership: Ownership
    mode: int


@dataclass(frozen=True)
class Layout:
    """The paths of one connector on the running system.

    `scripts` and `log_directory` are empty for the native connector. `unit` is the native connector's service; for OEC
    and JEC, the agent's.
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
        """The unit's name for `systemctl`."""
        return self.unit.rpartition("/")[2]

    @property
    def logs(self) -> tuple[str, ...]:
        """The logs that the connector writes for our executor."""
        names = ("oecAlertaExecutor.log", "oecAlertaExecutor-errors.log")
        return tuple(f"{self.log_directory}/{name}" for name in names) if self.log_directory else ()

    @property
    def own_places(self) -> tuple[str, ...]:
        """The paths that no other installation may use."""
        return tuple(place for place in (self.home, self.log_directory, self.state_directory, self.config) if place)


def layout_for(edge: str, user: str = "", home: str = "", log_directory: str = "") -> Layout:
    """Return the layout of `oec`, `jec` or `native`; empty texts are replaced by the documented user and paths.

    Raises `SetupError` for a user or path that cannot be used.
    """
    usual, user = user in {"", _USERS[edge]}, user or _USERS[edge]
    if not _USER_NAME.fullmatch(user) or user == "root":
        raise SetupError(f"--user {user} is no user for a connector", "give a name like alerta-staging", usage=True)
    # Names contain the package's name, so that its files are not mistaken for another program's.
    instance = user if user.startswith(PACKAGE) else f"{PACKAGE}-{user}"
    own = Ownership(user, user)
    other_home = f"/var/lib/{instance}" if edge == NATIVE else f"/home/{user}"
    home = _place("--home", home, _HOMES[edge] if usual else other_home)
    if edge == NATIVE:
        base, scripts, logs, unit, state = f"/etc/{instance}", "", "", instance, f"{home}/spool"
        config, shared = f"{base}/config.json", Ownership("root", user)
        directories = [Directory(base, shared, 0o750), Directory(home, own, 0o700), Directory(state, own, 0o700)]
    else:
        logs = _place("--log-dir", log_directory, LOG_DIRECTORIES[edge] if usual else f"/var/log/{instance}")
        base, scripts, state = f"{home}/{edge}", f"{home}/{edge}/scripts", f"{home}/.local/state/{PACKAGE}"
        unit = f"{PACKAGE}-agent" if user == _USERS[OEC] else f"{PACKAGE}-agent-{user}"
        config, shared = f"{base}/conf/{CONFIG_NAMES[edge]}", own
        modes = {home: 0o750, base: 0o750, f"{base}/conf": 0o700, scripts: 0o755}
        modes |= {f"{base}/output": 0o750} if edge == OEC else {}
        modes |= {f"{home}/.local": 0o700, f"{home}/.local/state": 0o700, state: 0o700, logs: 0o755}
        directories = [Directory(path, own, mode) for path, mode in modes.items()]
    return Layout(
        edge=edge,
        user=user,
        group=user,
        home=home,
        config=config,
        key_file=f"{config.rpartition('/')[0]}/alerta.key",
        scripts=scripts,
        log_directory=logs,
        state_directory=state,
        unit=f"/etc/systemd/system/{unit}.service",
        directories=tuple(directories),
        config_ownership=shared,
        config_mode=0o640 if edge == NATIVE else 0o600,
    )


def _place(option: str, given: str, usual: str) -> str:
    place = (given or usual).rstrip("/")
    if not _PLACE.fullmatch(f"{place}/") or _OF_THE_SYSTEM.fullmatch(place):
        what = f"{option} {given} is not an absolute path of a directory of its own"
        raise SetupError(what, f"give one like {usual}", usage=True)
    return place
