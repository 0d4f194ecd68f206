"""Problems of the executor are found, and following the advice corrects them."""

from __future__ import annotations

import os
import pwd
import time
import uuid
from pathlib import Path

import pytest

from alerta_opsgenie.agent.state import journal_of, prepare, target_name, targets
from alerta_opsgenie.journal import New
from alerta_opsgenie.vendor.as_user import run_as
from tests.support.installed import Installed

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


# -- the state directory


def keep(installed: Installed, *, age_seconds: float, dead: bool = False, url: str = "") -> None:
    """Put an action into the installed's journal, as its user does."""
    entry = pwd.getpwnam(installed.layout.user)
    directory, now = installed.request.state_directory, time.time()
    name = target_name(url or installed.installation().access.url)

    def work() -> None:
        prepare(directory)
        journal = journal_of(directory, name)
        new = New(f"{uuid.uuid4().hex}", str(uuid.uuid4()), 1, "Close", '{"secret": "message"}')
        (action,) = journal.append([new], now - age_seconds)
        if dead:
            journal.dead(action, now, "unauthorized", "")

    run_as(entry.pw_uid, entry.pw_gid, work)


def drop_all(installed: Installed) -> None:
    entry = pwd.getpwnam(installed.layout.user)
    directory = installed.request.state_directory

    def work() -> None:
        for name in targets(directory):
            journal = journal_of(directory, name)
            journal.drop([action.id for state in ("waiting", "dead") for action in journal.actions(state)])

    run_as(entry.pw_uid, entry.pw_gid, work)


@pytest.mark.parametrize(
    ("age_seconds", "dead", "level"), [(30.0, False, "warn"), (3600.0, False, "fail"), (30.0, True, "warn")]
)
def test_waiting_and_dead_are_reported(installed: Installed, age_seconds: float, dead: bool, level: str) -> None:
    keep(installed, age_seconds=age_seconds, dead=dead)
    found = installed.worst("spool")
    assert (found.level, "spool list" in found.advice) == (level, True)
    drop_all(installed)
    assert installed.worst("spool").level == "ok"


def test_waiting_actions_for_an_alerta_that_is_no_longer_configured_fail(installed: Installed) -> None:
    """They are not delivered by waiting longer."""
    keep(installed, age_seconds=30.0, url="https://old.example.com/api")
    found = installed.worst("spool")
    new = installed.installation().access.url
    assert found.level == "fail"
    assert f"spool retarget https://old.example.com/api {new}" in found.advice


@only_root
def test_the_check_leaves_no_file_of_roots_in_the_state_directory(installed: Installed) -> None:
    """SQLite makes more files when it opens a database; the connector could not use root's."""
    keep(installed, age_seconds=1.0)
    installed.findings("spool")
    owners = {path.stat().st_uid for path in Path(installed.request.state_directory).rglob("*")}
    assert owners == {pwd.getpwnam(installed.layout.user).pw_uid}


def test_no_advice_changes_a_directory_that_is_not_ours(installed: Installed) -> None:
    installed.ask(state_directory="/tmp")
    found = installed.worst("spool")
    assert (found.level, "chmod" in found.advice, "chown" in found.advice) == ("fail", False, False)


@only_root
def test_for_a_log_in_a_system_directory_the_advice_changes_only_the_file(installed: Installed) -> None:
    """Other programs may use the directory."""
    installed.change(lambda value: value["actionMappings"]["Acknowledge"].update(stdout="/var/log/alerta-test.log"))
    found = [finding for finding in installed.findings("script-logs") if finding.level == "fail"]
    assert [finding.advice for finding in found] == [
        f"install -o {installed.layout.user} -m 640 /dev/null /var/log/alerta-test.log"
    ]


# -- our own connector's service


@pytest.mark.parametrize(("command", "level"), [("run", "fail"), ("agent", "warn")])
def test_a_service_whose_program_does_not_start_as_its_user_is_reported(
    installed: Installed, command: str, level: str
) -> None:
    """For example an environment below /root, or one without the extra."""
    name = "bridge.service" if command == "run" else installed.layout.unit_name
    units = installed.directory / "units"
    units.mkdir()
    program = installed.directory / "alerta-opsgenie"
    unit = f"[Service]\nUser={installed.layout.user}\nExecStart={program} {command} --config {installed.config}\n"
    (units / name).write_text(unit)
    assert installed.worst("service").level == level
    program.write_text("#!/bin/sh\necho 'error: run needs the library aiohttp, which is not installed' >&2; exit 1\n")
    program.chmod(0o755)
    found = installed.worst("service")
    assert (found.level, "the library aiohttp" in found.what) == (level, True)
    program.write_text("#!/bin/sh\nexit 0\n")
    assert installed.worst("service").level == "ok"
