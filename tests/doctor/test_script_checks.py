"""The executor, its Python, its logs and its spool broken in each way; following the mend makes it well again."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.script_checks import look_into_spool
from alerta_opsgenie.journal import Spool
from alerta_opsgenie.setup.as_user import run_as
from tests.support.patient import Patient, follow, put_python

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def script_of(patient: Patient) -> Path:
    return Path(patient.layout.scripts) / "oecAlertaExecutor.py"


def test_a_script_that_is_not_there_fails(patient: Patient) -> None:
    script = script_of(patient)
    away = script.rename(script.with_name("away.py"))
    found = patient.worst("script")
    assert (found.level, found.mend) == ("fail", "alerta-opsgenie install --edge oec")
    away.rename(script)
    assert patient.worst("script").level == "ok"


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_script_that_others_can_change_fails(patient: Patient, mode: int) -> None:
    script_of(patient).chmod(mode)
    found = patient.worst("script")
    assert found.level == "fail"
    follow(found.mend)
    assert patient.worst("script").level == "ok"


@only_root
def test_a_script_that_the_user_cannot_read_fails(patient: Patient) -> None:
    script = script_of(patient)
    script.chmod(0o700)
    os.chown(script, 0, 0)
    found = patient.worst("script")
    assert (found.level, "cannot start" in found.what) == ("fail", True)
    follow(found.mend)
    assert patient.worst("script").level == "ok"


@only_root
def test_a_script_that_is_a_third_users_fails(patient: Patient) -> None:
    os.chown(script_of(patient), 1, 1)
    found = patient.worst("script")
    assert found.level == "fail"
    follow(found.mend)
    assert patient.worst("script").level == "ok"


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_mode_of_the_connectors_is_as_good_as_ours(patient: Patient, mode: int) -> None:
    script_of(patient).chmod(mode)
    assert patient.worst("script").level == "ok"


def test_no_python_on_the_services_path_fails_where_a_py_is_mapped(patient: Patient) -> None:
    empty = patient.directory / "empty"
    empty.mkdir()
    patient.ask(service_path=str(empty))
    found = patient.worst("python")
    assert (found.level, "map the actions to oecAlertaExecutor" in found.mend) == ("fail", True)


def test_mapping_to_the_name_without_py_mends_that(patient: Patient) -> None:
    """With `python3` alone on the PATH, as on Debian 12."""
    (Path(patient.search_path) / "python").unlink()
    assert patient.worst("python").level == "fail"
    text = patient.config.read_text().replace("oecAlertaExecutor.py", "oecAlertaExecutor")
    patient.config.write_text(text)
    assert [finding.level for finding in patient.findings("python", "script")] == ["ok", "ok"]


@pytest.mark.parametrize(("version", "word"), [("2.7.18", "2.7.18"), ("3.8.1", "3.9 or later")])
def test_a_python_that_is_too_old_fails(patient: Patient, version: str, word: str) -> None:
    python = Path(patient.search_path) / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\nprintf {version}\n")
    python.chmod(0o755)
    found = patient.worst("python")
    assert (found.level, word in found.what) == ("fail", True)
    python.unlink()
    (Path(patient.search_path) / "python3").unlink()
    put_python(Path(patient.search_path))
    assert patient.worst("python").level == "ok"


@only_root
def test_a_python_that_only_root_can_start_fails(patient: Patient) -> None:
    python = Path(patient.search_path) / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nprintf 3.11.0\n")
    python.chmod(0o711)  # a script must be read to be run
    found = patient.worst("python")
    assert found.level == "fail"
    follow(f"chmod 755 {python}")
    assert patient.worst("python").level == "ok"


def test_another_script_of_that_name_fails(patient: Patient) -> None:
    script = script_of(patient)
    ours = script.read_bytes()
    script.write_text("print('the old one')\n")
    found = patient.worst("executor")
    assert (found.level, "install --edge oec" in found.mend) == ("fail", True)
    script.write_bytes(ours)
    assert patient.worst("executor").level == "ok"


def test_another_version_of_it_is_warned_of(patient: Patient) -> None:
    script_of(patient).write_text("print('alerta-opsgenie 0.0.1')\n")
    assert patient.worst("executor").level == "warn"


def test_a_damaged_executor_fails_with_pythons_last_word(patient: Patient) -> None:
    script_of(patient).write_text("import a_library_that_is_not_there\n")
    found = patient.worst("executor")
    assert (found.level, "a_library_that_is_not_there" in found.what) == ("fail", True)


@only_root
def test_a_log_directory_that_the_user_cannot_write_fails(patient: Patient) -> None:
    os.chown(patient.layout.log_directory, 0, 0)
    found = patient.worst("script-logs")
    assert found.level == "fail"
    follow(found.mend)
    assert patient.worst("script-logs").level == "ok"


# -- the spool


def keep(patient: Patient, *, age_seconds: float, dead: bool = False) -> None:
    """Put an action into the patient's spool, as its user does."""
    entry = pwd.getpwnam(patient.layout.user)
    directory, now = patient.request.spool_directory, time.time()

    def work() -> None:
        with Spool(directory) as spool:
            spool.keep("key", "lane", 1, '{"secret": "message"}', now=now - age_seconds, kind="Close", reason="network")
            if dead:
                claimed = spool.claim(now, 60.0, "test")
                assert claimed is not None
                spool.bury(claimed, "unauthorized", "", now)

    run_as(entry.pw_uid, entry.pw_gid, work)


def drop_all(patient: Patient) -> None:
    entry = pwd.getpwnam(patient.layout.user)
    directory = patient.request.spool_directory

    def work() -> int:
        with Spool(directory) as spool:
            return spool.drop([one.id for one in spool.entries(None)])

    run_as(entry.pw_uid, entry.pw_gid, work)


@pytest.mark.parametrize(
    ("age_seconds", "dead", "level"), [(30.0, False, "warn"), (3600.0, False, "fail"), (30.0, True, "warn")]
)
def test_what_lies_in_the_spool_is_told_of(patient: Patient, age_seconds: float, dead: bool, level: str) -> None:
    keep(patient, age_seconds=age_seconds, dead=dead)
    found = patient.worst("spool")
    assert (found.level, "spool" in found.mend) == (level, True)
    drop_all(patient)
    assert patient.worst("spool").level == "ok"


@only_root
def test_looking_leaves_no_file_of_roots_in_the_spool(patient: Patient) -> None:
    """SQLite makes files beside its own when it opens it; root's would lock the connector out."""
    keep(patient, age_seconds=1.0)
    patient.findings("spool")
    owners = {path.stat().st_uid for path in Path(patient.request.spool_directory).rglob("*")}
    assert owners == {pwd.getpwnam(patient.layout.user).pw_uid}


@only_root
def test_a_spool_of_another_user_fails(patient: Patient) -> None:
    keep(patient, age_seconds=1.0)
    os.chown(patient.request.spool_directory, 0, 0)
    found = patient.worst("spool")
    assert found.level == "fail"
    follow(f"chown {patient.layout.user}: {patient.request.spool_directory}")
    assert patient.worst("spool").level == "warn"


def test_a_spool_that_others_can_read_fails(patient: Patient) -> None:
    keep(patient, age_seconds=1.0)
    Path(patient.request.spool_directory).chmod(0o755)
    found = patient.worst("spool")
    assert found.level == "fail"
    follow(found.mend)
    assert patient.worst("spool").level == "warn"


@only_root
def test_a_place_in_which_no_spool_can_be_made_fails(patient: Patient) -> None:
    os.chown(patient.layout.home, 0, 0)
    Path(patient.layout.home).chmod(0o755)
    assert patient.worst("spool").level == "fail"


def test_the_list_holds_no_messages(patient: Patient) -> None:
    keep(patient, age_seconds=1.0)
    entry = pwd.getpwnam(patient.layout.user)
    directory = patient.request.spool_directory
    held = run_as(entry.pw_uid, entry.pw_gid, lambda: look_into_spool(directory))
    assert (held["waiting"], held["entries"][0]["action"]) == (1, "Close")
    assert "message" not in str(held)


def test_an_unknown_user_is_a_failure_of_its_own(patient: Patient) -> None:
    patient.ask(user="no-such-user")
    assert patient.worst("spool").level == "fail"
    assert "--user" in patient.worst("spool").mend
