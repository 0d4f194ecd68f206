"""For real, as root: a user of its own is made, the connector's way is gone, and everything is taken away again."""

from __future__ import annotations

import grp
import json
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lab.alerta_server import AlertaServer
from lab.cloud import Queue

from alerta_opsgenie.cli.doctor import doctor
from alerta_opsgenie.cli.install import install
from alerta_opsgenie.cli.uninstall import uninstall
from alerta_opsgenie.doctor.subject import Request
from alerta_opsgenie.setup.as_user import run_as
from alerta_opsgenie.setup.layout import Layout, Places, layout_for
from alerta_opsgenie.setup.record import DIRECTORY
from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS, read_config
from alerta_opsgenie.vendor.runner import Host, run_messages
from tests.support.cloud import Running, running_cloud
from tests.support.console import Console
from tests.support.edge_messages import edge_message
from tests.support.patient import Patient, open_directory, put_python, remove_user
from tests.support.trees import hand_made, put, snapshot, vendor_layout

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make users")


@pytest.fixture(scope="module")
def opsgenie() -> Iterator[Running]:
    with running_cloud() as run:
        yield run


@dataclass
class Machine:
    """This very machine, with a directory and a user's name that are the test's own."""

    directory: Path
    user: str
    environment: dict[str, str]
    options: list[str]
    edge: str = "oec"

    def install(self, *more: str) -> Result:
        return CliRunner().invoke(install, [*self.options, "--yes", *more], env=self.environment)

    def uninstall(self, *more: str) -> Result:
        return CliRunner().invoke(uninstall, ["--edge", self.edge, "--user", self.user, "--yes", *more])

    @property
    def config(self) -> Path:
        return Path(self.layout.config)

    @property
    def layout(self) -> Layout:
        return layout_for(self.edge, Places(self.user, str(self.directory / "home"), str(self.directory / "log")))

    def doctor(self, *more: str) -> dict[str, Any]:
        # The fake connector is started by the test; its environment tells user and PATH.
        log = str(self.directory / "log")
        result = CliRunner().invoke(doctor, ["--config", str(self.config), "--log-dir", log, "--json", *more])
        return dict(json.loads(result.stdout))

    def state(self) -> Any:
        names = {entry.pw_name for entry in pwd.getpwall()}, {entry.gr_name for entry in grp.getgrall()}
        return (*names, snapshot(self.directory), Path(DIRECTORY).exists())

    def connector(self) -> Patient:
        """Something that goes by the connector's name, as its user, with its service's PATH."""
        return Patient(self.directory, self.layout, str(self.directory / "bin"), Request(str(self.config)))


@pytest.fixture
def machine(
    request: pytest.FixtureRequest, alerta: AlertaServer, alerta_key: str, opsgenie: Running
) -> Iterator[Machine]:
    """The machine for OEC, or for what the test says with `@for_edge`."""
    edge = getattr(request, "param", "oec")
    user = f"ao{secrets.token_hex(4)}"
    with open_directory() as directory:
        search_path = put_python(directory / "bin")
        if search_path is None:
            pytest.skip("no Python 3.9 or later that every user may start")
        add = opsgenie.cloud.add_jec if edge == "jec" else opsgenie.cloud.add_oec
        key = add(queues=(Queue("http://127.0.0.1:1/queue"),)).key
        environment = {"OEC_API_KEY": key, "JEC_API_KEY": key, "ALERTA_API_KEY": alerta_key}
        options = ["--edge", edge, "--user", user, "--home", str(directory / "home")]
        options += ["--log-dir", str(directory / "log"), "--service-path", search_path]
        options += ["--alerta-url", alerta.api_url, "--base-url", opsgenie.server.base_url]
        made = Machine(directory, user, environment, options, edge)
        try:
            yield made
        finally:
            made.uninstall("--purge")
            remove_user(user)


def for_edge(edge: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("machine", [edge], indirect=True)


def _relocate(machine: Machine, tree: Any) -> None:
    """Put a tree of before into the test's own home: the trees are made for the documented one."""
    staged = machine.directory / "staged"
    tree(staged)
    shutil.copytree(staged / "home/opsgenie", machine.directory / "home")
    shutil.copytree(staged / "var/log/opsgenie", machine.directory / "log")
    shutil.rmtree(staged)


@pytest.mark.parametrize("before", ["nothing", "the vendor's layout", "an older set-up"])
def test_installed_well_at_work_and_gone_without_a_trace(machine: Machine, console: Console, before: str) -> None:
    trees = {"the vendor's layout": vendor_layout, "an older set-up": hand_made}
    if before in trees:
        _relocate(machine, trees[before])
    state = machine.state()
    first = machine.install("--force", "--tidy")
    assert first.exit_code == 0, first.output
    again = machine.install()
    assert "Nothing to do" in again.stdout, again.output

    connector = machine.connector()
    connector.start_connector()
    try:
        report = machine.doctor("--send-test")
    finally:
        connector.stop_connector()
    assert [finding for finding in report["findings"] if finding["level"] == "fail"] == []
    assert report["user"] == machine.user
    trial = [finding["what"] for finding in report["findings"] if finding["check"] == "send-test"]
    assert trial[0].startswith("acknowledged, as the connector would have done it")
    assert console.call("GET", "/alerts?resource=alerta-opsgenie-doctor")["alerts"] == []

    for log in (machine.directory / "log").glob("oec[0-9]*.log"):
        if "4711" not in log.name:
            log.unlink()  # the fake connector's own
    undone = machine.uninstall()
    assert undone.exit_code == 0, undone.output
    assert undone.stdout.splitlines()[-1] == "Undone.", undone.output
    log = machine.directory / "log/oecAlertaExecutor.log"
    if log.exists():
        assert log.read_text().startswith("an old line\n")  # what happened since is in it, too
        log.write_text("an old line\n")
    assert machine.state() == state


def test_all_documented_actions_flow_as_the_connectors_user(machine: Machine, console: Console) -> None:
    assert machine.install().exit_code == 0
    config = read_config(machine.config, dialect="oec", environment={"HOME": str(machine.directory / "home")})
    extra: dict[str, dict[str, Any]] = {
        "Snooze": {"snoozedUntil": 4102444800000},
        "AddNote": {"note": "on it"},
        "AssignOwnership": {"owner": "bob@example.com"},
    }
    messages = []
    for number, action in enumerate(DOCUMENTED_ACTIONS):
        alert_id = console.create_alert()["id"]
        about = {
            "alias": alert_id,
            "source": "Alerta",
            "username": "alice@example.com",
            "updatedAt": time.time_ns() + number,
        }
        messages.append(edge_message(action, alert={**about, **extra.get(action, {})}, requestId=f"request-{number}"))
    environment = {"PATH": str(machine.directory / "bin"), "HOME": str(machine.directory / "home")}
    user = pwd.getpwnam(machine.user)

    def work() -> list[str]:
        results = run_messages(config, messages, 4, host=Host(environment=environment, working_directory="/"))
        return [result.failure + result.stderr for result in results]

    assert run_as(user.pw_uid, user.pw_gid, work) == [""] * len(messages)
    assert console.status(messages[0]["alert"]["alias"]) == "ack"
    spool = machine.directory / "home/.local/state/alerta-opsgenie"
    assert {path.stat().st_uid for path in spool.rglob("*")} == {user.pw_uid}


def test_the_users_group_and_home_are_as_asked_and_nobody_can_log_in(machine: Machine) -> None:
    assert machine.install().exit_code == 0
    entry = pwd.getpwnam(machine.user)
    assert grp.getgrgid(entry.pw_gid).gr_name == machine.user
    assert entry.pw_dir == str(machine.directory / "home")
    assert entry.pw_shell.endswith(("nologin", "false"))


def test_a_user_that_was_there_before_stays(machine: Machine) -> None:
    subprocess.run(["useradd", "--system", "--user-group", machine.user], check=True, capture_output=True)
    assert machine.install().exit_code == 0
    assert machine.uninstall().exit_code == 0
    assert pwd.getpwnam(machine.user)


def test_a_user_with_files_of_its_own_left_is_left_too(machine: Machine) -> None:
    assert machine.install().exit_code == 0
    log = put(machine.directory, "log/oec1.log", "the connector's own")
    result = machine.uninstall()
    assert f"left user {machine.user}" in result.stdout
    assert log.exists()
    assert pwd.getpwnam(machine.user)


@for_edge("jec")
def test_jec_is_installed_well_at_work_and_gone(machine: Machine) -> None:
    state = machine.state()
    assert machine.install().exit_code == 0
    connector = machine.connector()
    connector.start_connector()
    try:
        report = machine.doctor("--dialect", "jec", "--send-test")
    finally:
        connector.stop_connector()
    assert report["edge"] == "jec"
    assert [finding for finding in report["findings"] if finding["level"] == "fail"] == []
    for log in (machine.directory / "log").glob("jec[0-9]*.log"):
        log.unlink()
    assert machine.uninstall().stdout.splitlines()[-1] == "Undone."
    assert machine.state() == state


@for_edge("native")
def test_the_native_connector_gets_its_user_directories_and_unit_and_all_go_again(machine: Machine) -> None:
    state, unit = machine.state(), Path(machine.layout.unit)
    done = machine.install("--command", "/opt/alerta-opsgenie/bin/alerta-opsgenie")
    assert done.exit_code == 0, done.output
    try:
        user = pwd.getpwnam(machine.user)
        status = machine.config.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, user.pw_gid, 0o640)
        assert f"User={machine.user}" in unit.read_text()
        log_checks = ("--skip", "process", "--user", machine.user, "--send-test")
        report = machine.doctor("--edge", "native", *log_checks)
        assert [finding for finding in report["findings"] if finding["level"] == "fail"] == []
        assert [finding["check"] for finding in report["findings"]].count("send-test") == 3
    finally:
        undone = machine.uninstall()
    assert undone.stdout.splitlines()[-1] == "Undone.", undone.output
    assert not unit.exists()
    assert not machine.config.parent.exists()
    assert machine.state() == state
