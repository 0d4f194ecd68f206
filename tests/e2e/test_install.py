"""For real, as root: users are made, the connector's way is gone, and everything is taken away again.

Each test has an /etc, a /home and a /var of its own, so the documented places are used, and no other process of the
machine changes what is compared.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from alerta_opsgenie.setup.layout import Layout, layout_for
from alerta_opsgenie.vendor.as_user import run_as
from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS
from alerta_opsgenie.vendor.runner import ScriptHost
from alerta_opsgenie.vendor.structure import read_config
from tests.support.cloud import Running, running_cloud
from tests.support.console import Console
from tests.support.edge_messages import edge_message, run_messages
from tests.support.installed import put_python
from tests.support.own_host import may_have_own_host, own_host
from tests.support.trees import hand_made, put, snapshot, vendor_layout

pytestmark = pytest.mark.skipif(not may_have_own_host(), reason="only root can make users and a mount namespace")

PROGRAMS = {"oec": "OpsgenieEdgeConnector", "jec": "JiraEdgeConnector", "native": "alerta-opsgenie"}


@pytest.fixture(scope="module")
def opsgenie() -> Iterator[Running]:
    with running_cloud() as run:
        yield run


@dataclass
class Installation:
    """One installation on a host of the test's own."""

    edge: str
    user: str
    search_path: str
    environment: dict[str, str]
    targets: tuple[str, ...]

    @property
    def place(self) -> list[str]:
        return ["--edge", self.edge, *(["--user", self.user] if self.user else [])]

    @property
    def layout(self) -> Layout:
        return layout_for(self.edge, self.user)

    def install(self, *more: str) -> Result:
        options = ["--service-path", self.search_path, "--command", "/opt/alerta-opsgenie/bin/alerta-opsgenie"]
        return CliRunner().invoke(install, [*self.place, *options, *self.targets, "--yes", *more], env=self.environment)

    def uninstall(self, *more: str) -> Result:
        return CliRunner().invoke(uninstall, [*self.place, "--yes", *more])

    def doctor(self, *more: str) -> dict[str, Any]:
        log = ["--log-dir", self.layout.log_directory] if self.layout.log_directory else []
        arguments = ["--config", self.layout.config, *log, "--json", "--skip", "queue", *more]  # there is no queue here
        # In a child process: it gives up root's rights for good.
        said: str = run_as(0, 0, lambda: CliRunner().invoke(doctor, arguments).output)
        return dict(json.loads(said))

    @contextmanager
    def running(self, *arguments: str, program: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """Something that goes by the connector's name, as its user, with its service's PATH."""
        entry = pwd.getpwnam(self.layout.user)
        process = subprocess.Popen(
            [program or PROGRAMS[self.edge], "-c", "echo ready; read line", *arguments],
            executable="/bin/sh",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": self.search_path, "HOME": self.layout.home},
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=[],
        )
        assert process.stdout is not None
        process.stdout.readline()
        with process:
            yield process
            process.kill()


Make = Callable[..., Installation]


@pytest.fixture
def make(alerta: AlertaServer, alerta_key: str, opsgenie: Running) -> Iterator[Make]:
    """Makes installations on a host of the test's own."""
    with own_host():
        search_path = put_python(Path("/var/bin"))
        if search_path is None:
            pytest.skip("no Python 3.9 or later that every user may start")

        def made(edge: str = "oec", user: str = "") -> Installation:
            add = opsgenie.cloud.add_jec if edge == "jec" else opsgenie.cloud.add_oec
            key = add(queues=(Queue("http://127.0.0.1:1/queue"),)).key
            environment = {"OEC_API_KEY": key, "JEC_API_KEY": key, "ALERTA_API_KEY": alerta_key}
            targets = ("--alerta-url", alerta.api_url, "--base-url", opsgenie.server.base_url)
            return Installation(edge, user, search_path, environment, targets)

        yield made


def state() -> Any:
    """Users, groups, and every file with its owner and content; modes are ours to set."""
    found = {path: snapshot(Path(path)) for path in ("/home", "/var/lib", "/var/log", "/etc/systemd")}
    files = {f"{top}/{name}": (entry[0], *entry[2:]) for top, below in found.items() for name, entry in below.items()}
    return {entry.pw_name for entry in pwd.getpwall()}, {entry.gr_name for entry in grp.getgrall()}, files


def prepare(tree: Callable[[Path], None]) -> None:
    """What the vendor's package leaves: its user, who owns its directories."""
    subprocess.run(["useradd", "--system", "--user-group", "opsgenie"], check=True, capture_output=True)
    tree(Path("/"))
    for top in ("/home/opsgenie", "/var/log/opsgenie"):
        for path in (Path(top), *Path(top).rglob("*")):
            shutil.chown(path, "opsgenie", "opsgenie")


def failures(report: dict[str, Any]) -> list[Any]:
    return [finding for finding in report["findings"] if finding["level"] == "fail"]


@pytest.mark.parametrize("before", ["nothing", "the vendor's layout", "an older set-up"])
def test_installed_well_at_work_and_gone_without_a_trace(make: Make, console: Console, before: str) -> None:
    trees = {"the vendor's layout": vendor_layout, "an older set-up": hand_made}
    if before in trees:
        prepare(trees[before])
    was, oec = state(), make()
    first = oec.install("--force")
    assert first.exit_code == 0, first.output
    Path(oec.layout.log_directory).chmod(0o744)  # as OEC does at each of its starts
    again = oec.install()
    assert "Nothing to do" in again.stdout, again.output

    with oec.running() as process:
        own_log = Path(oec.layout.log_directory, f"oec{process.pid}.log")
        own_log.write_text("INFO[2026-01-05T10:00:00Z] OEC version is 1.1.4\n")
        report = oec.doctor("--send-test")
        own_log.unlink()
    assert failures(report) == []
    assert report["user"] == "opsgenie"
    trial = [finding["what"] for finding in report["findings"] if finding["check"] == "send-test"]
    assert trial[0].startswith("acknowledged, as the connector would have done it")
    assert console.call("GET", "/alerts?resource=alerta-opsgenie-doctor")["alerts"] == []

    undone = oec.uninstall()
    assert undone.exit_code == 0, undone.output
    assert undone.stdout.splitlines()[-1] == "Undone.", undone.output
    log = Path(oec.layout.logs[0])
    if log.exists():
        assert log.read_text().startswith("an old line\n")  # what happened since is in it, too
        log.write_text("an old line\n")
    assert state() == was


def test_the_move_is_looked_at_as_both_connectors_users(make: Make) -> None:
    """OEC's configuration is converted and put in place for JEC's user; doctor looks at each as its own user."""
    oec, jec = make(), make("jec")
    assert oec.install().exit_code == 0
    done = jec.install("--from", oec.layout.config)
    assert done.exit_code == 0, done.output
    placed = Path(jec.layout.config)
    assert (placed.owner(), placed.stat().st_mode & 0o777) == ("jec", 0o600)
    with oec.running(), jec.running():
        log = ["--only", "jsm-configuration", "--only", "jsm-connector", "--only", "from-opsgenie"]
        arguments = ["--move", "--json", "--service-path", jec.search_path, *log]
        said: str = run_as(0, 0, lambda: CliRunner().invoke(doctor, arguments).output)
    report = json.loads(said)
    failing = [finding["what"] for finding in failures(report)]
    assert all(what.startswith("queue: ") for what in failing), failing  # there is no queue here
    what = [finding["what"] for finding in report["findings"]]
    assert "vendor: Jira Service Management accepts the key" in what
    assert any(one.startswith("process: JiraEdgeConnector runs as jec") for one in what), what
    assert any("OpsgenieEdgeConnector runs" in one for one in what), what


def test_all_documented_actions_flow_as_the_connectors_user(make: Make, console: Console) -> None:
    oec = make()
    assert oec.install().exit_code == 0
    config = read_config(oec.layout.config, dialect="oec", environment={"HOME": oec.layout.home})
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
    host = ScriptHost(environment={"PATH": oec.search_path, "HOME": oec.layout.home}, working_directory="/")
    user = pwd.getpwnam("opsgenie")

    def work() -> list[str]:
        return [result.failure + result.stderr for result in run_messages(config, messages, 4, host=host)]

    assert run_as(user.pw_uid, user.pw_gid, work) == [""] * len(messages)
    assert console.status(messages[0]["alert"]["alias"]) == "ack"
    assert {path.stat().st_uid for path in Path(oec.layout.state_directory).rglob("*")} == {user.pw_uid}


def test_the_users_group_and_home_are_as_asked_and_nobody_can_log_in(make: Make) -> None:
    oec = make(user="staging")
    assert oec.install().exit_code == 0
    entry = pwd.getpwnam("staging")
    assert (grp.getgrgid(entry.pw_gid).gr_name, entry.pw_dir) == ("staging", "/home/staging")
    assert entry.pw_shell.endswith(("nologin", "false"))


def test_a_user_that_was_there_before_stays(make: Make) -> None:
    oec = make(user="mallory")
    assert oec.install().exit_code == 0
    assert oec.uninstall().stdout.splitlines()[-1] == "Undone."
    assert pwd.getpwnam("mallory")


def test_a_user_with_files_of_its_own_left_is_left_too_until_they_are_gone(make: Make) -> None:
    oec = make()
    assert oec.install().exit_code == 0
    log = put(Path("/"), "var/log/opsgenie/oec1.log", "the connector's own")
    result = oec.uninstall()
    assert "left user opsgenie" in result.stdout
    assert log.exists()
    assert pwd.getpwnam("opsgenie")
    log.unlink()
    assert oec.uninstall().stdout.splitlines()[-1] == "Undone."
    assert "opsgenie" not in {entry.pw_name for entry in pwd.getpwall()}


def test_nothing_is_removed_under_a_running_connector(make: Make) -> None:
    oec = make()
    assert oec.install().exit_code == 0
    was = state()
    with oec.running():
        refused = oec.uninstall()
    assert refused.exit_code == 1, refused.output
    assert "the connector still runs as opsgenie" in refused.stderr
    assert state() == was


def test_an_agent_that_the_connector_has_left_behind_is_ended(make: Make) -> None:
    oec = make()
    assert oec.install().exit_code == 0
    with oec.running("--agent", oec.layout.state_directory, program="oecAlertaExecutor.py") as agent:
        assert oec.uninstall().stdout.splitlines()[-1] == "Undone."
        assert agent.wait(60) == -signal.SIGTERM


def test_jec_is_installed_well_at_work_and_gone(make: Make) -> None:
    was, jec = state(), make("jec")
    assert jec.install().exit_code == 0
    with jec.running() as process:
        own_log = Path(jec.layout.log_directory, f"jec{process.pid}.log")
        own_log.write_text("INFO[2026-01-05T10:00:00Z] JEC version is 1.1.4\n")
        report = jec.doctor("--dialect", "jec", "--send-test")
        own_log.unlink()
    assert report["edge"] == "jec"
    assert failures(report) == []
    assert jec.uninstall().stdout.splitlines()[-1] == "Undone."
    assert state() == was


def test_the_native_connector_gets_its_user_directories_and_unit_and_all_go_again(make: Make) -> None:
    was, native = state(), make("native")
    done = native.install()
    assert done.exit_code == 0, done.output
    user = pwd.getpwnam("alerta-opsgenie")
    status = Path(native.layout.config).stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, user.pw_gid, 0o640)
    assert "User=alerta-opsgenie" in Path(native.layout.unit).read_text()
    # It does not run, and its program is not where the unit has it.
    report = native.doctor("--edge", "native", "--skip", "process", "--skip", "service", "--user", "alerta-opsgenie")
    assert failures(report) == []
    undone = native.uninstall()
    assert undone.stdout.splitlines()[-1] == "Undone.", undone.output
    assert not Path(native.layout.config).parent.exists()
    assert state() == was


@pytest.mark.parametrize("edge", ["oec", "native"])
def test_staging_beside_production_comes_and_goes_and_production_is_untouched(make: Make, edge: str) -> None:
    production, staging = make(edge), make(edge, "alerta-staging")
    assert production.install().exit_code == 0
    was = state()
    done = staging.install()
    assert done.exit_code == 0, done.output
    with production.running(), staging.running():
        again = production.install()
        assert "Nothing to do" in again.stdout, again.output
        assert "the connector still runs as alerta-staging" in staging.uninstall().stderr
    with production.running():
        assert staging.uninstall().stdout.splitlines()[-1] == "Undone."
    assert state() == was
    assert os.stat(production.layout.state_directory).st_mode & 0o777 == 0o700  # noqa: PTH116
