"""All checks together, on a healthy installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alerta_opsgenie.doctor import checks
from alerta_opsgenie.doctor.checks import NAMES, Check
from alerta_opsgenie.doctor.finding import Finding
from alerta_opsgenie.doctor.installation import Installation
from tests.support.installed import Installed


def test_no_check_fails_on_a_healthy_installation(installed: Installed) -> None:
    """The warnings: this Alerta has no plugin, and the stand-in's queue does not exist."""
    installed.ask(unit_directories=())
    found = installed.findings(*(set(NAMES) - {"queue"}))
    assert [finding for finding in found if finding.level == "fail"] == []
    assert {finding.check for finding in found if finding.level == "warn"} == {"attribution"}


def test_the_checks_change_nothing(installed: Installed) -> None:
    from tests.support.trees import snapshot  # noqa: PLC0415

    before = snapshot(installed.directory)
    installed.findings()
    assert snapshot(installed.directory) == before


def test_each_warning_and_failure_has_advice(installed: Installed) -> None:
    installed.config.write_text("{}")
    installed.config.chmod(0o666)
    installed.stop_connector()
    problems = [finding for finding in installed.findings() if finding.level in {"warn", "fail"}]
    assert [finding for finding in problems if not finding.advice] == []


@pytest.mark.parametrize("content", ["{", "[]", '{"actionMappings": {"Close": 7}}'])
def test_no_check_raises_whatever_the_configuration_contains(installed: Installed, content: str) -> None:
    installed.config.write_text(content)
    found = installed.findings()
    assert any(finding.level == "fail" for finding in found)
    assert not [finding for finding in found if "check itself" in finding.what]


def test_an_exception_in_one_check_does_not_stop_the_others(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_inst: Installation) -> list[Finding]:
        raise RuntimeError

    monkeypatch.setattr(checks, "CHECKS", (Check("python", broken), *checks.CHECKS[:1]))
    assert [finding.level for finding in installed.findings()] == ["fail", "ok"]


def test_the_command_reports_the_same_and_shows_no_secret(installed: Installed, tmp_path: Path) -> None:
    """As a process, because root drops its rights in it permanently."""
    program = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()", "doctor"]
    where = ["--config", str(installed.config), "--log-dir", installed.layout.log_directory]
    more = ["--service-path", installed.search_path, "--json", "--send-test", "--bundle", str(tmp_path / "b.tar.gz")]
    done = subprocess.run([*program, *where, *more], capture_output=True, text=True, check=False, timeout=110)
    report = json.loads(done.stdout)
    assert report["user"] == installed.layout.user
    assert [one for one in report["findings"] if "check itself" in one["what"]] == []
    assert {one["check"] for one in report["findings"] if one["level"] == "fail"} <= {"queue", "end-of-opsgenie"}
    assert not [secret for secret in installed.installation().secrets() if secret in done.stdout + done.stderr]
    assert "Written: " in done.stderr
