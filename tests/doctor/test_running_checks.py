"""The connector at work, broken in each way; following the mend makes it well again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alerta_opsgenie.doctor.running_checks import redact_line
from tests.support.patient import Patient, follow

NEVER = "00000000-0000-4000-8000-000000000000"


def log_line(patient: Patient, level: str, text: str, *, age_seconds: float = 0.0) -> None:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age_seconds))
    log = Path(patient.layout.log_directory) / "oecAlertaExecutor.log"
    with log.open("a") as file:
        file.write(f"{when} {level} {text}\n")


def test_a_connector_that_does_not_run_fails_and_starting_it_mends_that(patient: Patient) -> None:
    patient.stop_connector()
    found = patient.worst("process")
    assert (found.level, "systemctl start oec" in found.mend) == ("fail", True)
    patient.start_connector()
    assert patient.worst("process").level == "ok"


def test_its_version_is_read_from_its_log(patient: Patient) -> None:
    assert "version 1.1.4" in patient.worst("connector-log").what


def test_a_connector_without_a_log_is_warned_of(patient: Patient) -> None:
    for log in Path(patient.layout.log_directory).glob("oec*.log"):
        log.unlink()
    assert patient.worst("connector-log").level == "warn"


def test_the_last_success_is_told(patient: Patient) -> None:
    assert "no action has come through yet" in patient.worst("last-success").what
    log_line(patient, "INFO", f"applied Close {NEVER} by alice@example.com: done (12 ms)")
    found = patient.worst("last-success")
    assert (found.level, "reached Alerta at" in found.what) == ("ok", True)


def test_a_last_action_that_failed_is_warned_of_until_one_succeeds(patient: Patient) -> None:
    log_line(patient, "ERROR", f"rejected Close {NEVER} by alice@example.com: no-such-alert (9 ms)")
    assert patient.worst("last-success").level == "warn"
    log_line(patient, "INFO", f"applied Close {NEVER} by alice@example.com: done (12 ms)")
    assert patient.worst("last-success").level == "ok"


def test_a_failure_of_long_ago_is_not_told_of(patient: Patient) -> None:
    log_line(patient, "ERROR", "rejected Close: bad-alias (9 ms)", age_seconds=3 * 86400)
    assert [finding for finding in patient.findings("last-success") if finding.level != "ok"] == []


def test_a_key_on_a_command_line_is_warned_of(patient: Patient, alerta_key: str) -> None:
    patient.stop_connector()
    patient.start_connector(alerta_key)
    found = patient.worst("secrets")
    assert found.level == "warn"
    assert alerta_key not in found.what + found.mend
    patient.stop_connector()
    patient.start_connector()
    assert patient.worst("secrets").level == "ok"


def test_the_vendors_own_way_to_pass_its_key_is_not_held_against_anybody(patient: Patient) -> None:
    key = patient.subject().config
    assert key is not None
    patient.start_connector("-apiKey", key.api_key.reveal(), name="oecAlertaExecutor.py")
    assert patient.worst("secrets").level == "ok"


def test_a_copy_of_the_configuration_that_others_can_read_fails(patient: Patient) -> None:
    copy = patient.config.with_name("config.json.bak")
    copy.write_text(patient.config.read_text())
    copy.chmod(0o644)
    found = patient.worst("secrets")
    assert (found.level, str(copy) in found.what) == ("fail", True)
    follow(found.mend)
    assert patient.worst("secrets").level == "ok"


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: GenieKey {secret}",
        "Authorization: Key {secret}",
        "started with -alertaApiKey {secret} --source Alerta",
        "anything {other} at all",
    ],
)
def test_lines_of_logs_lose_their_secrets(patient: Patient, line: str) -> None:
    subject = patient.subject()
    text = redact_line(line.format(secret="an-unknown-secret", other=subject.secrets()[0]), subject)
    assert "an-unknown-secret" not in text
    assert subject.secrets()[0] not in text
