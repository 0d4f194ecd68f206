"""The archive for a bug report, and the captures of messages and responses in it."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alerta_opsgenie.cli import doctor as command
from alerta_opsgenie.cli.doctor import doctor
from alerta_opsgenie.doctor.bundle import capture, open_bundle, write_bundle
from alerta_opsgenie.vendor.as_user import run_as
from tests.doctor.test_script_checks import keep
from tests.support.installed import Installed


def write(installed: Installed, path: Path, report: Any = None) -> dict[str, str]:
    """Write the archive as the command does; return its parts."""
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


def test_the_archive_has_the_findings_and_no_secret(installed: Installed, tmp_path: Path) -> None:
    secrets = installed.installation().secrets()
    executor_log(installed).write_text(f"a line with {secrets[0]} and Authorization: Key another-secret-key\n")
    keep(installed, age_seconds=5.0)
    parts = write(installed, tmp_path / "b.tar.gz", {"findings": [f"planted {secrets[1]}"]})
    assert {"doctor.json", "versions.json", "config.json", "spool.json", "logs/oecAlertaExecutor.log"} <= set(parts)
    text = "\n".join(parts.values())
    assert not [secret for secret in (*secrets, "another-secret-key") if secret in text]
    assert "message" not in parts["spool.json"]
    (target,) = json.loads(parts["spool.json"]).values()
    assert [action["kind"] for action in target] == ["Close"]
    assert json.loads(parts["versions.json"])["alerta-opsgenie"]


def test_a_password_in_a_proxy_url_is_hidden_everywhere(installed: Installed, tmp_path: Path) -> None:
    installed.change(lambda value: value.update(globalEnv=["HTTPS_PROXY=http://user:hunter2@proxy.example.com:3128"]))
    executor_log(installed).write_text("using http://user:hunter2@proxy.example.com:3128\n")
    assert "hunter2" not in "\n".join(write(installed, tmp_path / "b.tar.gz").values())


def test_the_archive_has_mode_0600_and_replaces_no_file(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    write(installed, path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        open_bundle(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more rights than the user")
def test_a_file_of_roots_that_a_mapping_names_is_not_in_the_archive(installed: Installed, tmp_path: Path) -> None:
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


# -- Captures: from the connector's own log, shown before they are written

PAYLOADS = Path(__file__).parents[1] / "payloads"
LINE = "\x1b[36mINFO\x1b[0m[2026-01-05T10:00:00.123456789+01:00] Message body: {body}  \x1b[36mmessageId\x1b[0m=4711"


def log_messages(installed: Installed, *names: str) -> None:
    """Write messages into the connector's log of them, in the form of logrus's coloured formatter."""
    bodies = [json.dumps(json.loads((PAYLOADS / f"{name}.json").read_text())) for name in names]
    log = Path(installed.layout.log_directory) / "oecQueueMessages-us-1-4711.log"
    log.write_text("\n".join(["INFO started", *(LINE.format(body=body) for body in bodies), "Message body: {", ""]))


def test_captures_are_the_newest_message_of_each_action_and_responses_without_names(installed: Installed) -> None:
    log_messages(installed, "Acknowledge.oec", "Close.oec", "Acknowledge.oec", "CustomAction.oec")
    found = installed.as_user(capture)
    assert {"Acknowledge.oec-captured.json", "Close.oec-captured.json", "CustomAction.oec-captured.json"} <= set(found)
    assert {"api.credentials.oec-captured.json", "api.list.oec-captured.json"} <= set(found)
    text = "\n".join(found.values())
    assert not [name for name in ("jane.doe", "web01", "Disk usage", "127.0.0.1") if name in text]
    token = json.loads(found["api.credentials.oec-captured.json"])["Token"]
    place = token["queueProperties"][0]
    assert place["queueConfiguration"]["queueUrl"].startswith("https://example.com/")
    assert place["assumeRoleResult"]["credentials"]["secretAccessKey"] == "***"


def test_a_quoted_message_is_read(installed: Installed) -> None:
    """As logrus's formatters without colours write it."""
    body = json.dumps(json.loads((PAYLOADS / "Close.oec.json").read_text()))
    log = Path(installed.layout.log_directory) / "oecQueueMessages-us-1-4711.log"
    log.write_text(f"time=x level=info msg={json.dumps(f'Message body: {body}')} messageId=4711\n")
    assert json.loads(installed.as_user(capture)["Close.oec-captured.json"])["action"] == "Close"


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False)])
def test_captures_are_shown_and_written_only_after_consent(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, written: bool
) -> None:
    log_messages(installed, "Close.oec")
    monkeypatch.setattr(command, "is_interactive", lambda: True)
    path = tmp_path / "b.tar.gz"

    def run() -> list[str]:
        layout = installed.layout
        arguments = ["--config", layout.config, "--log-dir", layout.log_directory, "--only", "config"]
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
