"""The archive for a bug report."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.bundle import write_bundle
from tests.doctor.test_script_checks import keep
from tests.support.patient import Patient


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
        return found


def test_it_holds_what_helps_and_no_secret(patient: Patient, tmp_path: Path) -> None:
    subject = patient.subject()
    secrets = subject.secrets()
    log = Path(patient.layout.log_directory)
    (log / "oecAlertaExecutor.log").write_text(f"a line with {secrets[0]} and Authorization: Key another-secret-key\n")
    keep(patient, age_seconds=5.0)
    write_bundle(str(tmp_path / "b.tar.gz"), subject, {"findings": [f"planted {secrets[1]}"]})
    parts = contents(tmp_path / "b.tar.gz")
    assert {"doctor.json", "versions.json", "config.json", "spool.json", "logs/oecAlertaExecutor.log"} <= set(parts)
    text = "\n".join(parts.values())
    assert not [secret for secret in (*secrets, "another-secret-key") if secret in text]
    assert "message" not in parts["spool.json"]
    assert json.loads(parts["spool.json"])["waiting"] == 1
    assert json.loads(parts["versions.json"])["alerta-opsgenie"]


def test_it_is_its_makers_alone_and_replaces_nothing(patient: Patient, tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    write_bundle(str(path), patient.subject(), {})
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_bundle(str(path), patient.subject(), {})


def test_a_configuration_that_cannot_be_read_is_no_hindrance(patient: Patient, tmp_path: Path) -> None:
    patient.config.write_text("{")
    write_bundle(str(tmp_path / "b.tar.gz"), patient.subject(), {})
    assert "not JSON" in contents(tmp_path / "b.tar.gz")["config.json"]


def test_only_the_last_lines_of_a_log_go_in(patient: Patient, tmp_path: Path) -> None:
    log = Path(patient.layout.log_directory) / "oecAlertaExecutor.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    write_bundle(str(tmp_path / "b.tar.gz"), patient.subject(), {})
    assert contents(tmp_path / "b.tar.gz")["logs/oecAlertaExecutor.log"].count("\n") == 200
