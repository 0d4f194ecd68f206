"""Captures of the last messages and answers: from the connector's own log, shown before they are written."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from alerta_opsgenie.cli import doctor as command
from alerta_opsgenie.cli.doctor import doctor
from alerta_opsgenie.doctor.captures import capture
from alerta_opsgenie.vendor.as_user import run_as
from tests.support.patient import Patient

PAYLOADS = Path(__file__).parents[1] / "payloads"
LINE = "\x1b[36mINFO\x1b[0m[2026-01-05T10:00:00.123456789+01:00] Message body: {body}  \x1b[36mmessageId\x1b[0m=4711"


def log_messages(patient: Patient, *names: str) -> None:
    """Write messages into the connector's log of them, in the form of logrus's coloured formatter."""
    bodies = [json.dumps(json.loads((PAYLOADS / f"{name}.json").read_text())) for name in names]
    log = Path(patient.layout.log_directory) / "oecQueueMessages-us-1-4711.log"
    log.write_text("\n".join(["INFO started", *(LINE.format(body=body) for body in bodies), "Message body: {", ""]))


def test_the_newest_message_of_each_action_and_the_answers_are_captured_without_names(patient: Patient) -> None:
    log_messages(patient, "Acknowledge.oec", "Close.oec", "Acknowledge.oec", "CustomAction.oec")
    found = patient.as_user(capture)
    assert {"Acknowledge.oec-captured.json", "Close.oec-captured.json", "CustomAction.oec-captured.json"} <= set(found)
    assert {"api.credentials.oec-captured.json", "api.list.oec-captured.json"} <= set(found)
    text = "\n".join(found.values())
    assert not [name for name in ("jane.doe", "web01", "Disk usage", "127.0.0.1") if name in text]
    token = json.loads(found["api.credentials.oec-captured.json"])["Token"]
    place = token["queueProperties"][0]
    assert place["queueConfiguration"]["queueUrl"].startswith("https://example.com/")
    assert place["assumeRoleResult"]["credentials"]["secretAccessKey"] == "***"


def test_a_message_in_quotes_is_read_too(patient: Patient) -> None:
    """As logrus's formatters without colours write it."""
    body = json.dumps(json.loads((PAYLOADS / "Close.oec.json").read_text()))
    log = Path(patient.layout.log_directory) / "oecQueueMessages-us-1-4711.log"
    log.write_text(f"time=x level=info msg={json.dumps(f'Message body: {body}')} messageId=4711\n")
    assert json.loads(patient.as_user(capture)["Close.oec-captured.json"])["action"] == "Close"


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False)])
def test_they_are_shown_and_written_only_if_somebody_agrees(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, written: bool
) -> None:
    log_messages(patient, "Close.oec")
    monkeypatch.setattr(command, "is_interactive", lambda: True)
    path = tmp_path / "b.tar.gz"

    def run() -> list[str]:
        arguments = ["--config", patient.layout.config, "--log-dir", patient.layout.log_directory, "--only", "config"]
        result = CliRunner().invoke(doctor, [*arguments, "--bundle", str(path), "--captures"], input=answer)
        return [str(result.exit_code), result.stderr]

    code, said = run_as(os.geteuid(), os.getegid(), run)
    assert code == "0", said
    assert '"action": "Close"' in said
    with tarfile.open(path) as archive:
        assert any("/captures/" in name for name in archive.getnames()) is written


def test_without_a_terminal_nothing_is_captured(tmp_path: Path) -> None:
    result = CliRunner().invoke(doctor, ["--captures", "--bundle", str(tmp_path / "b.tar.gz")])
    assert (result.exit_code, "on a terminal" in result.output) == (2, True)
    assert not (tmp_path / "b.tar.gz").exists()
