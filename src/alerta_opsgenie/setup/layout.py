"""What lies where, whose it is, and with which mode: OEC's and JEC's documented layouts, and our own connector's.

https://support.atlassian.com/opsgenie/docs/configure-opsgenie-edge-connector/ and
https://support.atlassian.com/jira-service-management-cloud/docs/configure-jira-edge-connector/ name the homes, the
users are those that the vendor's packages make.
"""

from __future__ import annotations

from dataclasses import dataclass

from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC
from alerta_opsgenie.vendor.location import NATIVE_PATH

EDGES = (OEC, JEC, NATIVE)

STATE_DIRECTORY = "/var/lib/alerta-opsgenie"
"""Where the native connector keeps what it could not deliver."""

UNIT_NAME = "alerta-opsgenie.service"

SERVICE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of a service whose unit sets none (systemd.exec(5))."""

SCRIPT_MODE = 0o755
STARTED_SCRIPT_MODE = 0o700
"""What both Go connectors set a script's mode to when they start (conf/reader.go)."""

_PRIVATE_FILE = 0o600
_GROUP_FILE = 0o640


@dataclass(frozen=True)
class Ownership:
    """Whose a file is, by name."""

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
    """One connector's places. All paths are as the running system sees them, without a staging root.

    `scripts` and `log_directory` are empty where the connector needs none; so is `unit`, the service's own file.
    `spool` is where actions wait that could not be delivered.
    """

    edge: str
    user: str
    group: str
    home: str
    config: str
    key_file: str
    scripts: str
    log_directory: str
    spool: str
    unit: str
    directories: tuple[Directory, ...]
    config_ownership: Ownership
    config_mode: int

    @property
    def ownership(self) -> Ownership:
        """The connector's own user and group."""
        return Ownership(self.user, self.group)

    @property
    def base(self) -> str:
        """The directory that holds configuration and scripts."""
        return self.scripts.rpartition("/")[0] or self.config.rpartition("/")[0]


@dataclass(frozen=True)
class Places:
    """Where a person wants it otherwise; an empty text is the documented place."""

    user: str = ""
    home: str = ""
    log_directory: str = ""


def layout_for(edge: str, places: Places | None = None) -> Layout:
    """Give the layout of `oec`, `jec` or `native`."""
    wanted = places or Places()
    return _native(wanted) if edge == NATIVE else _go_connector(edge, wanted)


def _go_connector(edge: str, wanted: Places) -> Layout:
    user = wanted.user or {OEC: "opsgenie", JEC: "jec"}[edge]
    home = (wanted.home or {OEC: "/home/opsgenie", JEC: "/home/jsm"}[edge]).rstrip("/")
    logs = (wanted.log_directory or {OEC: "/var/log/opsgenie", JEC: "/var/log/jec"}[edge]).rstrip("/")
    base, own = f"{home}/{edge}", Ownership(user, user)
    directories = [
        Directory(home, own, 0o750),
        Directory(base, own, 0o750),
        Directory(f"{base}/conf", own, 0o700),
        Directory(f"{base}/scripts", own, 0o755),
    ]
    if edge == OEC:
        directories.append(Directory(f"{base}/output", own, 0o750))
    return Layout(
        edge=edge,
        user=user,
        group=user,
        home=home,
        config=f"{base}/conf/{'config' if edge == OEC else 'jec-config'}.json",
        key_file=f"{base}/conf/alerta.key",
        scripts=f"{base}/scripts",
        log_directory=logs,
        spool=f"{home}/.local/state/alerta-opsgenie",
        unit="",
        directories=(*directories, Directory(logs, own, 0o755)),
        config_ownership=own,
        config_mode=_PRIVATE_FILE,
    )


def _native(wanted: Places) -> Layout:
    user = wanted.user or "alerta-opsgenie"
    state = (wanted.home or STATE_DIRECTORY).rstrip("/")
    # Another user's installation stands beside the usual one, so it gets a directory and a unit of its own.
    config = NATIVE_PATH if user == "alerta-opsgenie" else f"/etc/{user}/config.json"
    directory = config.rpartition("/")[0]
    shared = Ownership("root", user)
    return Layout(
        edge=NATIVE,
        user=user,
        group=user,
        home=state,
        config=config,
        key_file=f"{directory}/alerta.key",
        scripts="",
        log_directory="",
        spool=f"{state}/spool",
        unit=f"/etc/systemd/system/{user}.service",
        directories=(Directory(directory, shared, 0o750), Directory(state, Ownership(user, user), 0o700)),
        config_ownership=shared,
        config_mode=_GROUP_FILE,
    )
