"""An installed bridge without faults, of a user who is not root, and functions that break it.

Everything lies in a directory of its own, and is the unprivileged user's: `nobody` for a root that runs the tests, else
whoever does.
"""

from __future__ import annotations

import functools
import getpass
import grp
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from alerta_opsgenie.agent import client
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.doctor.checks import NAMES, run_checks
from alerta_opsgenie.doctor.finding import LEVELS, Finding
from alerta_opsgenie.doctor.installation import Installation, Request
from alerta_opsgenie.setup.connector_config import Existing, make_config
from alerta_opsgenie.setup.host import Host
from alerta_opsgenie.setup.interpreter import build_executor, find_interpreter
from alerta_opsgenie.setup.layout import SERVICE_PATH, Layout, Ownership, layout_for
from alerta_opsgenie.setup.plan import Contents, make_plan
from alerta_opsgenie.setup.processes import PROGRAMS
from alerta_opsgenie.setup.record import Record
from alerta_opsgenie.vendor.as_user import run_as
from alerta_opsgenie.vendor.render import RenderOptions


def plain_user() -> tuple[str, str]:
    """A user and group without rights that the tests may use."""
    name = "nobody" if os.geteuid() == 0 else getpass.getuser()
    return name, grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter, unlike pytest's; its path is short."""
    directory = Path(tempfile.mkdtemp(prefix="ao-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def put_python(directory: Path, name: str = "python") -> str | None:
    """Return a PATH with a Python that every user may start; None if this machine has none."""
    user, _ = plain_user()
    entry = pwd.getpwnam(user)
    found = find_interpreter("python3", SERVICE_PATH, (entry.pw_uid, entry.pw_gid))
    if found is None or not found.is_usable:
        return None
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    for called in (name, "python3"):
        (directory / called).symlink_to(Path(found.path).resolve())
    return str(directory)


@dataclass
class Installed:
    """One installation of OEC (or JEC) in which nothing fails until a test breaks it."""

    directory: Path
    layout: Layout
    search_path: str
    request: Request
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return Path(self.layout.config)

    def change(self, alter: Callable[[dict[str, Any]], None]) -> None:
        """Change the configuration in its file."""
        value = json.loads(self.config.read_text())
        alter(value)
        self.config.write_text(json.dumps(value))

    def ask(self, **changes: Any) -> None:
        """Ask the doctor otherwise from now on."""
        self.request = replace(self.request, **changes)

    def installation(self) -> Installation:
        return Installation(self.request)

    def as_user(self, work: Callable[[Installation], Any]) -> Any:
        """Do something as the command does it: root gathers, then becomes the connector's user. Gives JSON."""
        inst = self.installation()

        def drop_and_work() -> Any:
            inst.drop_rights()
            return work(inst)

        return run_as(os.geteuid(), os.getegid(), drop_and_work)

    def findings(self, *names: str) -> list[Finding]:
        """What the named checks (or all) find now."""
        return [Finding(*row) for row in self.as_user(lambda inst: [*run_checks(inst, names or NAMES)])]

    def worst(self, *names: str) -> Finding:
        """The first of the worst findings of these checks."""
        return max(self.findings(*names), key=lambda finding: LEVELS.index(finding.level))

    def start_connector(self, *arguments: str, name: str = "", user: str = "", **environment: str) -> int:
        """Start something that goes by the connector's name, as its user; gives the process id."""
        entry = pwd.getpwnam(user or self.layout.user)
        extra: dict[str, Any] = {}
        if os.geteuid() == 0:
            extra = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        process = subprocess.Popen(
            [name or PROGRAMS[self.layout.edge], "-c", "read line", *arguments],
            executable="/bin/sh",
            stdin=subprocess.PIPE,
            env={"PATH": self.search_path, "HOME": self.layout.home, **environment},
            **extra,
        )
        self.running.append(process)
        edge = self.layout.edge
        log = Path(self.layout.log_directory) / f"{edge}{process.pid}.log"
        log.write_text(f"INFO[2026-01-05T10:00:00Z] {edge.upper()} version is 1.1.4\n")
        return process.pid

    def end_agent(self) -> None:
        """End the agent that an executor has started."""
        directory = self.request.state_directory
        entry = pwd.getpwnam(self.layout.user)
        run_as(entry.pw_uid, entry.pw_gid, lambda: client.ask_to_retire(directory).decode())

    def stop_connector(self) -> None:
        while self.running:
            process = self.running.pop()
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()


def install_oec(directory: Path, *, alerta_url: str, alerta_key: str, base_url: str, api_key: str) -> Installed:
    """Install OEC's layout there, whole and well, and start its connector."""
    user, group = plain_user()
    search_path = put_python(directory / "bin") or ""
    layout = _owned(layout_for("oec", user, str(directory / "home"), str(directory / "log")), group)
    wanted = RenderOptions("oec", Secret(api_key), alerta_url, base_url=base_url)
    executor = _executor(str(Path(search_path, "python").resolve()))
    contents = Contents(executor, make_config(layout, wanted, Existing()), Secret(alerta_key), "")
    host = Host()
    for change in make_plan(host, layout, Record(Host(str(directory)), "oec", user), contents):
        change.do()  # without a record, which would be root's own
    request = Request(
        config_path=layout.config,
        user=user,
        service_path=search_path,
        log_directory=layout.log_directory,
        unit_directories=(str(directory / "units"),),
        state_directory=str(directory / "home/.local/state/alerta-opsgenie"),
        environment={},
        today=date(2026, 1, 5),
    )
    installed = Installed(directory, layout, search_path, request)
    installed.start_connector()
    return installed


@functools.cache
def _executor(python: str) -> bytes:
    """Build the executor once for all installations."""
    place = str(Path(python).parent)
    return build_executor(find_interpreter(Path(python).name, place), place)


def _owned(layout: Layout, group: str) -> Layout:
    own = Ownership(layout.user, group)
    directories = tuple(directory._replace(ownership=own) for directory in layout.directories)
    unit = f"{layout.home}-agent.service"  # never among the machine's own
    return replace(layout, group=group, directories=directories, config_ownership=own, unit=unit)


def follow(advice: str) -> None:
    """Type an advice that is a command, as it is printed."""
    ended = subprocess.run(["sh", "-c", advice], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{advice}: {ended.stderr}"
