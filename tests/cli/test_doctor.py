"""`alerta-opsgenie doctor` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alerta_opsgenie.cli.doctor import doctor
from alerta_opsgenie.doctor.checks import NAMES
from tests.support.edge_messages import edge_document

OFFLINE = ("vendor", "queue", "sources", "alerta", "alerta-key", "attribution", "open-access", "plugin")
SECRET = "an-alerta-key-0123456789"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, [*arguments], env=dict.fromkeys(("OEC_CONF_LOCAL_FILEPATH", "HTTP_PROXY")))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    value = edge_document(globalEnv=[f"ALERTA_API_KEY={SECRET}"])
    value["globalArgs"] = value["globalArgs"][:2]
    path.write_text(json.dumps(value))
    path.chmod(0o600)
    return path


def test_a_finding_is_a_line_with_the_result_and_one_with_the_advice(config: Path) -> None:
    result = run("--config", str(config), "--only", "process")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("fail  process: no OpsgenieEdgeConnector runs")
    assert "systemctl start oec" in lines[1]
    assert lines[-1] == "0 ok, 0 skip, 0 warn, 1 fail"


@pytest.mark.parametrize(("mode", "code"), [(0o600, 0), (0o644, 1)])
def test_the_worst_finding_determines_the_exit_code(config: Path, mode: int, code: int) -> None:
    config.chmod(mode)
    assert run("--config", str(config), "--only", "config", "--only", "config-access").exit_code == code


def test_json_is_one_object_with_every_finding(config: Path) -> None:
    skipped = [part for name in OFFLINE for part in ("--skip", name)]
    result = run("--config", str(config), "--json", *skipped)
    report = json.loads(result.stdout)
    assert report["level"] == "fail"
    assert report["edge"] == "oec"
    assert {finding["check"] for finding in report["findings"]} <= set(NAMES) - set(OFFLINE)
    assert all(set(finding) == {"check", "level", "what", "advice"} for finding in report["findings"])
    assert SECRET not in result.output


def test_without_an_installation_the_advice_is_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding is in the JSON, too."""
    nowhere = "/nowhere/config.json"
    monkeypatch.setattr("alerta_opsgenie.vendor.location.NATIVE_PATH", nowhere)
    monkeypatch.setattr("alerta_opsgenie.vendor.location.PACKAGE_PATHS", {"oec": nowhere, "jec": nowhere})
    monkeypatch.setenv("HOME", "/nowhere")
    assert "alerta-opsgenie install" in run().stdout
    result = run("--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["level"], report["config"]) == (1, "fail", None)
    assert report["findings"][0]["advice"].startswith("alerta-opsgenie install;")
