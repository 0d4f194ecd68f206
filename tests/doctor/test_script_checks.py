"""The executor and what it needs, broken in each way; following the advice makes it well again."""

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
from tests.support.installed import Installed, follow, put_python

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def script_of(installed: Installed) -> Path:
    return Path(installed.layout.scripts) / "oecAlertaExecutor.py"


def test_a_script_that_is_not_there_fails(installed: Installed) -> None:
    script = script_of(installed)
    away = script.rename(script.with_name("away.py"))
    found = installed.worst("script")
    assert (found.level, found.advice) == ("fail", "alerta-opsgenie install --edge oec")
    away.rename(script)
    assert installed.worst("script").level == "ok"


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_script_that_others_can_change_fails(installed: Installed, mode: int) -> None:
    script_of(installed).chmod(mode)
    found = installed.worst("script")
    assert found.level == "fail"
    follow(found.advice)
    assert installed.worst("script").level == "ok"


@only_root
def test_a_script_that_the_user_cannot_read_fails(installed: Installed) -> None:
    script = script_of(installed)
    script.chmod(0o700)
    os.chown(script, 0, 0)
    found = installed.worst("script")
    assert (found.level, "cannot start" in found.what) == ("fail", True)
    follow(found.advice)
    assert installed.worst("script").level == "ok"


@only_root
def test_a_script_that_is_a_third_users_fails(installed: Installed) -> None:
    os.chown(script_of(installed), 1, 1)
    found = installed.worst("script")
    assert found.level == "fail"
    follow(found.advice)
    assert installed.worst("script").level == "ok"


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_mode_of_the_connectors_is_as_good_as_ours(installed: Installed, mode: int) -> None:
    script_of(installed).chmod(mode)
    assert installed.worst("script").level == "ok"


def test_no_python_on_the_services_path_fails_where_a_py_is_mapped(installed: Installed) -> None:
    empty = installed.directory / "empty"
    empty.mkdir()
    installed.ask(service_path=str(empty))
    found = installed.worst("python")
    assert (found.level, f"map the actions to {script_of(installed).with_suffix('')}" in found.advice) == ("fail", True)


def test_mapping_to_the_name_without_py_mends_that(installed: Installed) -> None:
    """With `python3` alone on the PATH, as on Debian 12."""
    (Path(installed.search_path) / "python").unlink()
    assert installed.worst("python").level == "fail"
    text = installed.config.read_text().replace("oecAlertaExecutor.py", "oecAlertaExecutor")
    installed.config.write_text(text)
    assert [finding.level for finding in installed.findings("python", "script")] == ["ok", "ok"]


@pytest.mark.parametrize(("version", "word"), [("2.7.18", "2.7.18"), ("3.8.1", "3.9 or later")])
def test_a_python_that_is_too_old_fails(installed: Installed, version: str, word: str) -> None:
    python = Path(installed.search_path) / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\nprintf {version}\n")
    python.chmod(0o755)
    found = installed.worst("python")
    assert (found.level, word in found.what) == ("fail", True)
    python.unlink()
    (Path(installed.search_path) / "python3").unlink()
    put_python(Path(installed.search_path))
    assert installed.worst("python").level == "ok"


@only_root
def test_a_python_that_only_root_can_start_fails(installed: Installed) -> None:
    python = Path(installed.search_path) / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nprintf 3.11.0\n")
    python.chmod(0o711)  # a script must be read to be run
    found = installed.worst("python")
    assert found.level == "fail"
    follow(f"chmod 755 {python}")
    assert installed.worst("python").level == "ok"


def test_another_script_of_that_name_fails(installed: Installed) -> None:
    script = script_of(installed)
    ours = script.read_bytes()
    script.write_text("print('the old one')\n")
    found = installed.worst("executor")
    assert (found.level, "install --edge oec" in found.advice) == ("fail", True)
    script.write_bytes(ours)
    assert installed.worst("executor").level == "ok"


def test_another_version_of_it_is_warned_of(installed: Installed) -> None:
    script_of(installed).write_text("print('alerta-opsgenie 0.0.1')\n")
    assert installed.worst("executor").level == "warn"


def test_a_damaged_executor_fails_with_pythons_last_word(installed: Installed) -> None:
    script_of(installed).write_text("import a_library_that_is_not_there\n")
    found = installed.worst("executor")
    assert (found.level, "a_library_that_is_not_there" in found.what) == ("fail", True)


@only_root
def test_a_log_directory_that_the_user_cannot_write_fails(installed: Installed) -> None:
    os.chown(installed.layout.log_directory, 0, 0)
    found = installed.worst("script-logs")
    assert found.level == "fail"
    follow(found.advice)
    assert installed.worst("script-logs").level == "ok"


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
        (action,) = journal.append([new], now - age_seconds, claim=dead)
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
def test_what_waits_or_is_dead_is_reported(installed: Installed, age_seconds: float, dead: bool, level: str) -> None:
    keep(installed, age_seconds=age_seconds, dead=dead)
    found = installed.worst("spool")
    assert (found.level, "spool list" in found.advice) == (level, True)
    drop_all(installed)
    assert installed.worst("spool").level == "ok"


def test_what_waits_for_an_alerta_that_is_named_no_more_fails_with_the_way_to_move_it(installed: Installed) -> None:
    """Version 1 said: actions wait, the oldest for 30 s."""
    keep(installed, age_seconds=30.0, url="https://old.example.com/api")
    found = installed.worst("spool")
    new = installed.installation().access.url
    assert found.level == "fail"
    assert f"spool retarget https://old.example.com/api {new}" in found.advice


@only_root
def test_looking_leaves_no_file_of_roots_there(installed: Installed) -> None:
    """SQLite makes files beside its own when it opens it; root's would lock the connector out."""
    keep(installed, age_seconds=1.0)
    installed.findings("spool")
    owners = {path.stat().st_uid for path in Path(installed.request.state_directory).rglob("*")}
    assert owners == {pwd.getpwnam(installed.layout.user).pw_uid}


@only_root
def test_a_state_directory_of_another_user_fails(installed: Installed) -> None:
    keep(installed, age_seconds=1.0)
    os.chown(installed.request.state_directory, 0, 0)
    Path(installed.request.state_directory).chmod(0o755)
    found = installed.worst("spool")
    assert found.level == "fail"
    follow(found.advice)
    assert installed.worst("spool").level == "warn"


def test_a_state_directory_that_others_can_write_fails(installed: Installed) -> None:
    keep(installed, age_seconds=1.0)
    Path(installed.request.state_directory).chmod(0o777)
    found = installed.worst("spool")
    assert found.level == "fail"
    follow(found.advice)
    assert installed.worst("spool").level == "warn"


def test_a_directory_that_is_not_ours_is_never_advised_to_be_changed(installed: Installed) -> None:
    installed.ask(state_directory="/tmp")
    found = installed.worst("spool")
    assert (found.level, "chmod" in found.advice, "chown" in found.advice) == ("fail", False, False)


@only_root
def test_a_log_in_a_directory_of_the_systems_is_made_alone(installed: Installed) -> None:
    """Version 1 advised to give the whole directory away."""
    installed.change(lambda value: value["actionMappings"]["Acknowledge"].update(stdout="/var/log/alerta-test.log"))
    found = [finding for finding in installed.findings("script-logs") if finding.level == "fail"]
    assert [finding.advice for finding in found] == [
        f"install -o {installed.layout.user} -m 640 /dev/null /var/log/alerta-test.log"
    ]


@only_root
def test_a_place_in_which_no_state_directory_can_be_made_fails(installed: Installed) -> None:
    os.chown(installed.layout.home, 0, 0)
    Path(installed.layout.home).chmod(0o755)
    installed.ask(state_directory=f"{installed.layout.home}/elsewhere")
    found = installed.worst("spool")
    assert found.level == "fail"
    follow(found.advice)
    assert installed.worst("spool").level == "ok"


def test_an_unknown_user_is_a_failure_of_its_own(installed: Installed) -> None:
    installed.ask(user="no-such-user")
    assert installed.worst("spool").level == "fail"
    assert "--user" in installed.worst("spool").advice


# -- our own connector's service


@pytest.mark.parametrize(("command", "level"), [("run", "fail"), ("agent", "warn")])
def test_a_service_whose_program_does_not_start_as_its_user_is_told_of(
    installed: Installed, command: str, level: str
) -> None:
    """Version 1 never looked: an environment below /root, or one without the extra, was ok."""
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
