"""One connector of this host: its configuration, user, process and services, read once, without changing anything.

A file that the connector's user can name (a key file, a log, a script) is never opened with root's rights: it could be
a link to a file of root's. So root first reads what only root can read, then becomes the connector's user permanently.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import pwd
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Mapping, NamedTuple

from alerta_opsgenie.agent.handover import state_directory
from alerta_opsgenie.core.secret import Secret, mask, redact_text
from alerta_opsgenie.doctor.units import DIRECTORIES, Unit, find_units
from alerta_opsgenie.setup.access import Access, our_mappings, read_access
from alerta_opsgenie.setup.layout import SERVICE_PATH, layout_for
from alerta_opsgenie.setup.processes import SERVICES, Process, is_connector, is_run_command, list_processes
from alerta_opsgenie.vendor import as_user
from alerta_opsgenie.vendor.as_user import RunAsError, run_as
from alerta_opsgenie.vendor.config import NATIVE, ActionMapping, EdgeConfig, guess_dialect
from alerta_opsgenie.vendor.document import Document, parse_document, read_bytes, syntax_of, unreadable
from alerta_opsgenie.vendor.location import NATIVE_PATH
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.safe_files import SafeFiles
from alerta_opsgenie.vendor.structure import read_structure

_OWN_SETTINGS = "alertaOpsgenie"
_MOST_LINKS = 40  # as Linux follows (path_resolution(7))

# Python imports these on first use. By then this process may no longer be allowed to read them (below /root).
_IMPORTED_LATE = (
    "encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_16", "encodings.utf_8_sig", "stringprep",
    "_strptime", "ssl", "hashlib", "random", "email.utils", "email.parser", "traceback", "gzip", "sqlite3", "yaml",
)  # fmt: skip


class SystemUser(NamedTuple):
    """A user of this host; `how` is why the connector is taken to run as this user."""

    name: str
    uid: int
    gid: int
    home: str
    how: str = ""

    @property
    def is_current_user(self) -> bool:
        """Whether this process runs as this user."""
        return os.geteuid() == self.uid


def user_by_name(name: str, how: str = "") -> SystemUser | None:
    """Return the user of this name, or None."""
    with contextlib.suppress(KeyError):
        return user_by_uid(pwd.getpwnam(name).pw_uid, how)
    return None


def user_by_uid(uid: int, how: str = "") -> SystemUser:
    """Return the user of this number. A user without a name, as in a container, has a group of the same number."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return SystemUser(str(uid), uid, uid, "/", how)
    return SystemUser(entry.pw_name, uid, entry.pw_gid, entry.pw_dir, how)


def _import_now() -> None:
    for name in _IMPORTED_LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def become(user: SystemUser) -> None:
    """If this process is root, become this user permanently. Raises OSError."""
    if os.geteuid() != 0 or user.uid == 0:
        return
    _import_now()
    as_user.become(user.uid, user.gid)
    os.chdir("/")
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    os.environ.update(HOME=user.home, USER=user.name, LOGNAME=user.name)


@dataclass(frozen=True)
class Request:
    """The options of the command line; an empty text is found out."""

    config_path: str
    dialect: str | None = None
    edge: str | None = None
    user: str = ""
    service_path: str = ""
    log_directory: str = ""
    state_directory: str = ""
    limit_seconds: float = 5.0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    proc: Path = Path("/proc")
    unit_directories: tuple[str, ...] = DIRECTORIES
    today: date | None = None


@dataclass(frozen=True)
class Installation:
    """One connector: its configuration, its user, its process. Everything is read on first use.

    Root calls `drop_rights` before it opens any file that the connector's user can name.
    """

    request: Request

    @property
    def path(self) -> str:
        """The configuration's path."""
        return self.request.config_path

    def drop_rights(self, other: SystemUser | None = None) -> None:
        """Read what only root can read, then become the connector's user, or `other`, permanently. Raises OSError.

        If that user is not known, or is root, become a user who can write the configuration: that user names the files.
        """
        _ = self.config, self.unit, self.service_environment
        user = other or self.user
        if (user is None or user.uid == 0) and self.document is not None:
            user = self._find_writer()
        if user is not None:
            become(user)

    def _find_writer(self) -> SystemUser:
        """Return a user who can change the configuration; if this process is not root, its own user. Raises OSError.

        If the path is a link of root's, follow it, and return a user who can change any of the links or their target.
        """
        if os.geteuid() != 0:
            return user_by_uid(os.geteuid())
        files, path = SafeFiles(), Path(self.path)
        for _ in range(_MOST_LINKS):
            uid = files.find_writer(str(path))
            if uid:
                return user_by_uid(uid)
            if not path.is_symlink():
                break
            path = Path(os.path.normpath(path.parent / path.readlink()))
        if str(path) != os.path.realpath(self.path):
            raise OSError(errno.ELOOP, "a directory of its path is a link: name the real path")
        return user_by_uid(0)

    # -- the configuration

    @property
    def document(self) -> Document | None:
        """The configuration as plain values; None if it cannot be read, see `error`."""
        return self._loaded if isinstance(self._loaded, Document) else None

    @property
    def error(self) -> ConfigError | None:
        """Why the configuration cannot be read."""
        return self._loaded if isinstance(self._loaded, ConfigError) else None

    @cached_property
    def _loaded(self) -> Document | ConfigError:
        """Read the file as a user who can change it. The child returns JSON; latin-1 can encode any byte."""
        _import_now()
        try:
            owner = self._find_writer()
            text = run_as(owner.uid, owner.gid, lambda: read_bytes(self.path).decode("latin-1"))
            return parse_document(text.encode("latin-1"), syntax=syntax_of(self.path), where=self.path)
        except ConfigError as error:
            return error
        except (OSError, ValueError) as error:
            return unreadable(self.path, error)

    @cached_property
    def dialect(self) -> str:
        """The vendor's API that it uses: `oec` or `jec`."""
        return self.request.dialect or guess_dialect(self.document or Document({}, "json", self.path))

    @cached_property
    def edge(self) -> str:
        """The connector: `oec`, `jec` or `native`."""
        if self.request.edge:
            return self.request.edge
        usual = self.path == NATIVE_PATH or (self.path.startswith("/etc/") and self.path.endswith("/config.json"))
        named = self.document is not None and _OWN_SETTINGS in self.document.value
        started = any(self._is_run(process.arguments) for process in self.processes)
        return NATIVE if usual or named or started or self._native_unit else self.dialect

    def _is_run(self, command: tuple[str, ...]) -> bool:
        return is_run_command(command) and self._is_named_in(command)

    def _is_named_in(self, command: tuple[str, ...]) -> bool:
        named = Process(0, 0, 0, command).option("--config")
        return bool(named) and os.path.realpath(named) == os.path.realpath(self.path)

    @cached_property
    def config(self) -> EdgeConfig:
        """The configuration in effect; if there are problems, its valid parts."""
        document = self.document or Document({}, "json", self.path)
        return read_structure(document, dialect=self.dialect, environment=self.environment, target=self.edge)[0]

    @property
    def environment(self) -> dict[str, str]:
        """The environment with which the connector reads its configuration."""
        return {**self.process_environment, "HOME": self.user.home if self.user else ""}

    @cached_property
    def accesses(self) -> list[Access]:
        """The settings that each mapping passes to our executor; if none starts it, those common to all mappings."""
        mappings: list[ActionMapping | None] = [*our_mappings(self.config)] or [None]
        return [read_access(self.config, mapping, self.service_environment) for mapping in mappings]

    @property
    def access(self) -> Access:
        """The settings of the first of those mappings."""
        return self.accesses[0]

    @property
    def mapping(self) -> ActionMapping | None:
        """The first mapping that starts our executor."""
        return next(iter(our_mappings(self.config)), None)

    @cached_property
    def alerta_key(self) -> tuple[Secret, str]:
        """Alerta's key, or an empty one and the reason."""
        return self.access.read_key()

    def secrets(self) -> list[str]:
        """Return the keys, which must never be shown."""
        return [key.reveal() for key in (self.alerta_key[0], self.config.api_key) if key]

    def redact(self, line: str) -> str:
        """Return a line without known secrets, and without texts that look like secrets."""
        return redact_text(mask(line, self.secrets()))

    # -- the connector

    @cached_property
    def processes(self) -> list[Process]:
        """All visible processes of the host."""
        return list(list_processes(self.request.proc))

    @cached_property
    def units(self) -> list[Unit]:
        """All services of the host."""
        return list(find_units(self.request.unit_directories))

    @cached_property
    def process(self) -> Process | None:
        """The connector's process: it has the connector's name, and its user can read the configuration."""
        found = [process for process in self.processes if is_connector(process, self.edge)]
        if self.edge == NATIVE:
            found = [one for one in found if self._is_run(one.arguments) or not one.option("--config")]
        return next((process for process in found if self._may_be_trusted(process)), None)

    def _may_be_trusted(self, process: Process) -> bool:
        # Any user can start a program of that name; only the connector's user can read the connector's keys.
        if os.geteuid() != 0 or process.uid == 0:
            return True
        try:
            return bool(run_as(process.uid, process.gid, lambda: os.access(self.path, os.R_OK)))
        except RunAsError:
            return False

    @property
    def process_environment(self) -> Mapping[str, str]:
        """The connector's environment, if its process can be read."""
        return (self.process.environment if self.process else None) or {}

    @cached_property
    def _native_unit(self) -> Unit | None:
        return next((unit for unit in self.units if self._is_run(unit.command)), None)

    @cached_property
    def unit(self) -> Unit:
        """The connector's service; an empty one if there is none."""
        # Our unit has the name of its configuration's directory (`setup.layout`).
        names = {f"{name}.service" for name in (Path(self.path).parent.name, SERVICES[self.edge])}
        usual = next((unit for unit in self.units if unit.name in names), None)
        return (self._native_unit if self.edge == NATIVE else None) or usual or Unit()

    @property
    def own_unit(self) -> Unit:
        """Our own service: the native connector's; for OEC and JEC, the agent's; an empty one if there is none."""
        if self.edge == NATIVE:
            return self.unit
        agents = (unit for unit in self.units if "agent" in unit.command[1:4] and self._is_named_in(unit.command))
        return next(agents, Unit())

    @cached_property
    def user(self) -> SystemUser | None:
        """The connector's user: by option, of its process, of its unit, or the configuration's owner."""
        if self.process is not None and not self.request.user:
            return user_by_uid(self.process.uid, "its process's user")
        usual = layout_for(NATIVE).user if self.edge == NATIVE else ""
        named = {"the user of --user": self.request.user, "its unit's user": self.unit.user, "the usual user": usual}
        for how, name in named.items():
            if name:
                return user_by_name(name, how)
        try:
            return user_by_uid(Path(self.path).lstat().st_uid, "the configuration's owner")
        except OSError:
            return None

    @property
    def search_path(self) -> str:
        """The PATH of the connector's service: by option, of its process, of its unit, or the default."""
        known = (environment.get("PATH") for environment in (self.process_environment, self.unit.environment))
        return self.request.service_path or next(filter(None, known), SERVICE_PATH)

    @cached_property
    def service_environment(self) -> Mapping[str, str]:
        """The environment with which the connector starts scripts, as far as it is known."""
        home = {"HOME": self.user.home} if self.user else {}
        return {**self.unit.environment, **home, **self.process_environment, "PATH": self.search_path}

    @property
    def service(self) -> str:
        """The name of the connector's service for systemctl."""
        return (self.unit.name or SERVICES[self.edge]).removesuffix(".service")

    @property
    def install_command(self) -> str:
        """The command that corrects the connector's files."""
        return f"alerta-opsgenie install --edge {self.edge}"

    @property
    def log_directory(self) -> str:
        """The directory of the connector's own logs."""
        return self.request.log_directory or layout_for(self.edge).log_directory

    @cached_property
    def state_directory(self) -> str:
        """The state directory of this connector's executor."""
        given = self.request.state_directory or self.access.state_directory
        return given or state_directory([], {**self.service_environment, **self.access.variables})
