"""What the checks look at: one connector of this host, gathered once, without changing anything."""

from __future__ import annotations

import grp
import os
import pwd
import re
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Mapping

from alerta_opsgenie.agent.options import spool_directory
from alerta_opsgenie.doctor.processes import SERVICES, Process, is_connector, list_processes
from alerta_opsgenie.setup.layout import SERVICE_PATH, layout_for
from alerta_opsgenie.setup.told import Told, our_mapping, read_told
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import NATIVE, ActionMapping, EdgeConfig, guess_dialect
from alerta_opsgenie.vendor.document import Document, load_document
from alerta_opsgenie.vendor.location import NATIVE_PATH
from alerta_opsgenie.vendor.problems import ConfigError, Problem
from alerta_opsgenie.vendor.secret import Secret
from alerta_opsgenie.vendor.structure import read_structure

_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_SETTING = re.compile(r"^\s*(?P<name>User|Environment|EnvironmentFile)\s*=\s*(?P<value>.*?)\s*$", re.MULTILINE)
_VARIABLE = re.compile(r'"?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>[^"\s]*|[^"]*(?="))"?')
_LARGEST_KEY_CHARACTERS = 4096


@dataclass(frozen=True)
class Person:
    """The user as whom the connector runs; `how` says from what that is known."""

    name: str
    uid: int
    gid: int
    home: str
    how: str


@dataclass(frozen=True)
class Request:
    """What the doctor was asked to look at; empty texts are found out."""

    config_path: str
    dialect: str | None = None
    edge: str = ""
    user: str = ""
    service_path: str = ""
    log_directory: str = ""
    spool_directory: str = ""
    limit_seconds: float = 5.0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    proc: Path = Path("/proc")
    today: date | None = None


@dataclass(frozen=True)
class Subject:
    """One connector: its configuration, its user, its process. Everything is read when it is first asked for."""

    request: Request

    @property
    def path(self) -> str:
        """The configuration's path."""
        return self.request.config_path

    # -- the configuration

    @cached_property
    def _loaded(self) -> tuple[Document | None, ConfigError | None]:
        try:
            return load_document(self.path), None
        except ConfigError as error:
            return None, error

    @property
    def document(self) -> Document | None:
        """The configuration as plain values; None where it cannot be read."""
        return self._loaded[0]

    @property
    def trouble(self) -> ConfigError | None:
        """Why the configuration cannot be read."""
        return self._loaded[1]

    @cached_property
    def dialect(self) -> str:
        """Whose API it is for: `oec` or `jec`."""
        if self.request.dialect:
            return self.request.dialect
        return guess_dialect(self.document or Document({}, "json", self.path))

    @cached_property
    def edge(self) -> str:
        """Which connector it is: `oec`, `jec` or `native`."""
        if self.request.edge:
            return self.request.edge
        if self.path == NATIVE_PATH or (self.path.startswith("/etc/") and self.path.endswith("/config.json")):
            return NATIVE
        return self.dialect

    @cached_property
    def config(self) -> EdgeConfig | None:
        """The configuration in effect; where there are problems, as much of it as is sound."""
        if self.document is None:
            return None
        environment = {**self.process_environment, "HOME": self.person.home if self.person else ""}
        return read_structure(self.document, dialect=self.dialect, environment=environment, target=self.edge)[0]

    @cached_property
    def problems(self) -> list[Problem]:
        """All that is wrong with the configuration."""
        if self.document is None:
            return []
        environment = {**self.process_environment, "HOME": self.person.home if self.person else ""}
        return check_config(self.document, dialect=self.dialect, target=self.edge, environment=environment)

    @cached_property
    def mapping(self) -> ActionMapping | None:
        """The first mapping that starts our executor."""
        return our_mapping(self.config) if self.config else None

    @cached_property
    def told(self) -> Told:
        """What our executor is told about Alerta."""
        return read_told(self.config, self.mapping, self.service_environment) if self.config else Told()

    @cached_property
    def alerta_key(self) -> tuple[Secret, str]:
        """Alerta's key, and why there is none."""
        if self.told.key:
            return self.told.key, ""
        if not self.told.key_file:
            return Secret(""), "no key is given"
        try:
            with Path(self.told.key_file).open(encoding="ascii") as file:
                return Secret(file.read(_LARGEST_KEY_CHARACTERS).strip()), ""
        except OSError as error:
            return Secret(""), f"{self.told.key_file} cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            return Secret(""), f"{self.told.key_file} does not hold a key"

    def secrets(self) -> list[str]:
        """Give all that must never be shown."""
        known = [self.alerta_key[0].reveal(), self.config.api_key.reveal() if self.config else ""]
        return [secret for secret in known if secret]

    # -- the connector

    @cached_property
    def processes(self) -> list[Process]:
        """All processes of the host that can be seen."""
        return list(list_processes(self.request.proc))

    @cached_property
    def process(self) -> Process | None:
        """The connector's process."""
        return next((process for process in self.processes if is_connector(process, self.edge)), None)

    @property
    def process_environment(self) -> Mapping[str, str]:
        """The connector's environment, as far as it can be known from its process."""
        return (self.process.environment if self.process else None) or {}

    @cached_property
    def unit(self) -> Mapping[str, str]:
        """What the service's unit sets: its `User`, and variables by name."""
        # Our own unit is named as the directory of its configuration (`setup.layout`).
        names = [Path(self.path).parent.name] if self.edge == NATIVE else []
        texts = (
            _read_text(Path(place) / f"{name}.service") for name in (*names, SERVICES[self.edge]) for place in _UNITS
        )
        return _read_unit(next((text for text in texts if text), ""))

    @cached_property
    def person(self) -> Person | None:
        """The connector's user: as asked for, its process's, its unit's, or the configuration's owner."""
        if self.request.user:
            return _person_of_name(self.request.user, "as you say")
        if self.process is not None:
            return _person_of_number(self.process.uid, "its process's user")
        if self.unit.get("User"):
            return _person_of_name(self.unit["User"], "its unit's user")
        if self.edge == NATIVE:
            return _person_of_name(layout_for(NATIVE).user, "the usual user")
        try:
            return _person_of_number(Path(self.path).stat().st_uid, "the configuration's owner")
        except OSError:
            return None

    @cached_property
    def search_path(self) -> tuple[str, str]:
        """The PATH that the connector's service has, and from what that is known."""
        if self.request.service_path:
            return self.request.service_path, "as you say"
        running = self.process_environment
        if running.get("PATH"):
            return running["PATH"], "its process's"
        if self.unit.get("PATH"):
            return self.unit["PATH"], "its unit's"
        return SERVICE_PATH, "a service's usual one"

    @cached_property
    def service_environment(self) -> Mapping[str, str]:
        """The environment in which the connector starts scripts, as far as it is known."""
        running = self.process_environment
        variables = {name: value for name, value in self.unit.items() if name != "User"}
        home = {"HOME": self.person.home} if self.person else {}
        return {**variables, **home, **running, "PATH": self.search_path[0]}

    @property
    def log_directory(self) -> str:
        """Where the connector's own logs are."""
        return self.request.log_directory or layout_for(self.edge).log_directory

    @cached_property
    def spool_directory(self) -> str:
        """Where the executor of this connector keeps what it could not deliver."""
        given = self.request.spool_directory or self.told.spool_directory
        return given or spool_directory({**self.service_environment, **self.told.variables})


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _read_unit(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in _SETTING.finditer(text):
        if setting["name"] == "User":
            found["User"] = setting["value"]
        elif setting["name"] == "EnvironmentFile":
            lines = _read_text(Path(setting["value"].lstrip("-"))).splitlines()
            found.update({match["name"]: match["value"] for line in lines if (match := _VARIABLE.match(line.strip()))})
        else:
            found.update({match["name"]: match["value"] for match in _VARIABLE.finditer(setting["value"])})
    return found


def _person_of_name(name: str, how: str) -> Person | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Person(name, entry.pw_uid, entry.pw_gid, entry.pw_dir, how)


def _person_of_number(uid: int, how: str) -> Person | None:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Person(str(uid), uid, uid, "/", how)
    return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, how)


def group_name(gid: int) -> str:
    """Name a group; by its number where it has no name."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def user_name(uid: int) -> str:
    """Name a user; by the number where there is no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
