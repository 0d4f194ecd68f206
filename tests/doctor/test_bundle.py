"""The archive for a bug report."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.doctor.bundle import open_bundle, write_bundle
from tests.doctor.test_script_checks import keep
from tests.support.installed import Installed


def write(installed: Installed, path: Path, report: Any = None) -> dict[str, str]:
    """Write the archive as the command does, and give its parts."""
    with open_bundle(str(path)) as file:
        installed.as_user(lambda inst: write_bundle(file, inst, report))
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            part = archive.extractfile(member)
            assert part is not None
            found[member.name.partition("/")[2]] = part.read().decode()
        return found


def executor_log(installed: Installed) -> Path:
    return Path(installed.layout.log_directory) / "oecAlertaExecutor.log"


def test_it_holds_what_helps_and_no_secret(installed: Installed, tmp_path: Path) -> None:
    secrets = installed.installation().secrets()
    executor_log(installed).write_text(f"a line with {secrets[0]} and Authorization: Key another-secret-key\n")
    keep(installed, age_seconds=5.0)
    parts = write(installed, tmp_path / "b.tar.gz", {"findings": [f"planted {secrets[1]}"]})
    assert {"doctor.json", "versions.json", "config.json", "spool.json", "logs/oecAlertaExecutor.log"} <= set(parts)
    text = "\n".join(parts.values())
    assert not [secret for secret in (*secrets, "another-secret-key") if secret in text]
    assert "message" not in parts["spool.json"]
    (target,) = json.loads(parts["spool.json"]).values()
    assert [action["kind"] for action in target["actions"]] == ["Close"]
    assert json.loads(parts["versions.json"])["alerta-opsgenie"]


def test_a_password_in_the_url_of_a_proxy_is_hidden_wherever_it_stands(installed: Installed, tmp_path: Path) -> None:
    installed.change(lambda value: value.update(globalEnv=["HTTPS_PROXY=http://user:hunter2@proxy.example.com:3128"]))
    executor_log(installed).write_text("using http://user:hunter2@proxy.example.com:3128\n")
    assert "hunter2" not in "\n".join(write(installed, tmp_path / "b.tar.gz").values())


def test_it_is_its_makers_alone_and_replaces_nothing(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    write(installed, path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        open_bundle(str(path))


def test_only_the_last_lines_of_a_log_go_in(installed: Installed, tmp_path: Path) -> None:
    executor_log(installed).write_text("".join(f"line {number}\n" for number in range(1000)))
    assert write(installed, tmp_path / "b.tar.gz")["logs/oecAlertaExecutor.log"].count("\n") == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more rights than the user")
def test_a_file_of_roots_that_a_mapping_names_is_not_in_it(installed: Installed, tmp_path: Path) -> None:
    """Root runs it, and the connector's user writes the configuration."""
    secret = tmp_path / "of-root"
    secret.write_text("roots-own-words\n")
    secret.chmod(0o600)
    installed.change(lambda value: value["actionMappings"]["Close"].update(stdout=str(secret)))
    installed.change(lambda value: value["actionMappings"]["Acknowledge"].update(stdout=str(secret)))
    log = executor_log(installed)
    log.unlink(missing_ok=True)
    log.symlink_to(secret)
    assert "roots-own-words" not in "\n".join(write(installed, tmp_path / "b.tar.gz").values())
