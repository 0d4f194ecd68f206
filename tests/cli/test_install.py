"""`alerta-opsgenie install` and `uninstall` on the command line, into a staging tree."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alerta_opsgenie.cli.install import install
from alerta_opsgenie.cli.uninstall import uninstall
from alerta_opsgenie.setup.layout import EDGES, layout_for
from tests.support.trees import OLD_ALERTA_KEY, hand_made, put, snapshot, vendor_layout

API_KEY = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
ALERTA_KEY = "an-alerta-key-0123456789"
SECRETS = {"OEC_API_KEY": API_KEY, "JEC_API_KEY": API_KEY, "ALERTA_API_KEY": ALERTA_KEY}
URL = ("--alerta-url", "https://alerta.example.com/api")
CONFIG = "home/opsgenie/oec/conf/config.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "var/lib").mkdir(parents=True)
    return made


def run(root: Path | None, *arguments: str, edge: str = "oec", env: dict[str, str] | None = None) -> Result:
    place = ["--root", str(root)] if root else []
    environment = {**dict.fromkeys((*SECRETS, "ALERTA_API_URL")), **(SECRETS if env is None else env)}
    return CliRunner().invoke(install, ["--edge", edge, *place, *arguments], env=environment)


def undo(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(uninstall, ["--edge", "oec", "--root", str(root), *arguments])


def assert_told(result: Result, code: int) -> None:
    """Check that an error is one line with the problem and one with the advice, without a traceback."""
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.strip().splitlines()) == 2
    assert result.stderr.strip().splitlines()[1].startswith("  try: ")


def test_without_owner_a_note_says_that_all_files_of_an_image_are_roots(root: Path) -> None:
    assert "All of it is root's" in run(root, *URL, "--yes").output
    assert "root's" not in run(root, *URL, "--yes", "--owner", "990:990").output


def test_no_secret_is_shown(root: Path) -> None:
    hand_made(root)
    texts = [run(root, *URL, *more).output for more in (["--dry-run"], ["--yes"], ["--yes", "--force"], ["--yes"])]
    texts.append(undo(root, "--yes").output)
    for secret in (API_KEY, ALERTA_KEY, OLD_ALERTA_KEY, "11111111-2222-3333-4444-555555555555"):
        assert not [text for text in texts if secret in text]


def test_a_dry_run_shows_the_plan_and_changes_nothing(root: Path) -> None:
    vendor_layout(root)
    before = snapshot(root)
    result = run(root, *URL, "--dry-run")
    assert result.exit_code == 0
    assert "oecAlertaExecutor.py opsgenie:opsgenie 0755" in result.stdout
    assert snapshot(root) == before


def test_a_second_run_needs_no_options_and_has_nothing_to_do(root: Path) -> None:
    run(root, *URL, "--yes")
    again = run(root, env={})
    assert again.exit_code == 0, again.output
    assert "Nothing to do" in again.stdout


def test_an_edited_configuration_is_replaced_only_with_force_and_the_difference_is_shown(root: Path) -> None:
    hand_made(root)
    before = (root / CONFIG).read_bytes()
    refused = run(root, *URL, "--yes")
    assert_told(refused, 2)
    assert "--force" in refused.stderr
    assert '-    "--alertaApiKey"' in refused.stdout.replace("      ", "", 1) or "--alertaApiKeyFile" in refused.stdout
    assert (root / CONFIG).read_bytes() == before
    forced = run(root, *URL, "--yes", "--force")
    assert forced.exit_code == 0, forced.output
    copies = list((root / CONFIG).parent.glob("config.json.*.bak"))
    assert [copy.read_bytes() for copy in copies] == [before]


def test_keep_config_installs_the_rest_and_warns_about_another_state_directory(root: Path) -> None:
    hand_made(root)
    config = root / CONFIG
    odd = '"--spoolDir", "/srv/x\\nExecStart=/bin/sh", "--source"'
    config.write_text(config.read_text().replace('"--source"', odd))
    before = config.read_bytes()
    result = run(root, *URL, "--yes", "--keep-config")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1), result.output
    assert "warning: the configuration names the state directory" in result.stderr
    assert config.read_bytes() == before
    assert (root / "home/opsgenie/oec/scripts/oecAlertaExecutor").exists()
    assert "ExecStart=/bin/sh" not in (root / "etc/systemd/system/alerta-opsgenie-agent.service").read_text()


def test_secrets_are_read_from_files_and_options_are_written_into_the_configuration(
    root: Path, tmp_path: Path
) -> None:
    api_key, alerta_key = (put(tmp_path, name, f"{key}\n") for name, key in (("api", API_KEY), ("alerta", ALERTA_KEY)))
    files = ("--api-key-file", str(api_key), "--alerta-key-file", str(alerta_key))
    more = ("--source", "Alerta-EU", "--alerta-ca-file", "/etc/ssl/ours.pem", "--region", "eu")
    assert run(root, *URL, *files, *more, "--yes", env={}).exit_code == 0
    value = json.loads((root / CONFIG).read_text())
    assert (value["apiKey"], value["baseUrl"]) == (API_KEY, "https://api.eu.opsgenie.com")
    assert value["globalArgs"][-4:] == ["--source", "Alerta-EU", "--alertaCaFile", "/etc/ssl/ours.pem"]


@pytest.mark.parametrize("edge", EDGES)
def test_the_configuration_names_the_users_state_directory(root: Path, edge: str) -> None:
    assert run(root, *URL, "--yes", "--user", "staging", edge=edge).exit_code == 0
    layout = layout_for(edge, "staging")
    arguments = json.loads((root / layout.config.lstrip("/")).read_text())["globalArgs"]
    assert arguments[arguments.index("--spoolDir") + 1] == layout.state_directory
    assert (root / layout.state_directory.lstrip("/")).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("arguments", "env", "word"),
    [
        ((), SECRETS, "--alerta-url"),
        (URL, {}, "ALERTA_API_KEY"),
        (URL, {"OEC_API_KEY": ALERTA_KEY, "ALERTA_API_KEY": API_KEY}, "swapped"),
        (URL, {"OEC_API_KEY": ALERTA_KEY, "ALERTA_API_KEY": ALERTA_KEY}, "the same text"),
        ((*URL, "--home", "/etc"), SECRETS, "--home"),
        (("--alerta-url", "alerta.example.com"), SECRETS, "--alerta-url"),
        ((*URL, "--api-key-file", "/no/such/file"), SECRETS, "cannot be read"),
        ((*URL, "--owner", "opsgenie"), SECRETS, "--owner 990:990"),
        ((*URL, "--dialect", "jec"), SECRETS, "--dialect"),
        ((*URL, "--base-url", "ftp://x"), SECRETS, "baseUrl"),
        (URL, SECRETS, "--yes"),
    ],
)
def test_a_missing_or_wrong_option_is_reported_in_two_lines_and_nothing_is_changed(
    root: Path, arguments: tuple[str, ...], env: dict[str, str], word: str
) -> None:
    before = snapshot(root)
    result = run(root, *arguments, env=env)
    assert_told(result, 1 if word == "baseUrl" else 2)
    assert word in result.stderr
    assert snapshot(root) == before


def test_only_root_can_set_up_a_host_and_an_image_directory_must_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert_told(run(tmp_path / "none", *URL, "--yes"), 2)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = run(None, *URL, "--yes")
    assert_told(result, 2)
    assert "sudo" in result.stderr


def test_uninstall_asks_first_and_refuses_without_an_installation(root: Path) -> None:
    before = snapshot(root)
    assert_told(undo(root, "--yes"), 2)
    assert snapshot(root) == before
    run(root, *URL, "--yes")
    before = snapshot(root)
    assert_told(undo(root), 2)
    assert undo(root, "--dry-run").exit_code == 0
    assert snapshot(root) == before


def test_on_a_terminal_missing_values_are_asked_for_and_no_secret_is_shown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("keys", "install"):
        monkeypatch.setattr(f"alerta_opsgenie.cli.{module}.is_interactive", lambda: True)
    answers = ("https://alerta.example.com/api", ALERTA_KEY, API_KEY, "y", "")
    place, unset = ["--edge", "oec", "--root", str(root)], dict.fromkeys((*SECRETS, "ALERTA_API_URL"))
    result = CliRunner().invoke(install, place, input="\n".join(answers), env=unset)
    assert result.exit_code == 0, result.output
    questions = ("URL of Alerta's API", "Alerta's API key:", "integration's API key:", "Do it?")
    places = [result.output.index(question) for question in questions]
    assert places == sorted(places)
    assert API_KEY not in result.output
    assert ALERTA_KEY not in result.output
    assert json.loads((root / CONFIG).read_text())["apiKey"] == API_KEY


OLD = f"/{CONFIG}"
JEC_CONFIG = "home/jsm/jec/conf/jec-config.json"


def moved(root: Path, *arguments: str) -> Result:
    """Install JSM's connector from the hand-made configuration of Opsgenie's, which also maps another script."""
    hand_made(root)
    config = json.loads((root / CONFIG).read_text())
    config["globalArgs"] += ["--source", "Grafana"]
    config["actionMappings"]["Rotate"] = {"filepath": "/home/opsgenie/oec/scripts/rotate.sh", "sourceType": "local"}
    (root / CONFIG).write_text(json.dumps(config))
    (root / CONFIG).chmod(0o600)
    key = put(root.parent, "integration.key", API_KEY)
    return run(root, *URL, "--from", OLD, "--api-key-file", str(key), *arguments, edge="jec", env={})


def test_another_connectors_configuration_is_converted_and_written_with_its_mode(root: Path) -> None:
    result = moved(root, "--yes")
    assert result.exit_code == 0, result.output
    made = json.loads((root / JEC_CONFIG).read_text())
    assert (made["apiKey"], made["baseUrl"]) == (API_KEY, "https://api.atlassian.com")
    assert made["actionMappings"]["Rotate"]["filepath"] == "/home/jsm/jec/scripts/rotate.sh"
    assert made["globalArgs"][-2:] == ["--source", "Grafana"]
    assert "postActionToJEC" in made["actionMappings"]
    assert (root / JEC_CONFIG).stat().st_mode & 0o777 == 0o600
    assert (root / JEC_CONFIG).with_name("alerta.key").read_text().strip() == OLD_ALERTA_KEY
    assert API_KEY not in result.output
    assert OLD_ALERTA_KEY not in result.output


def test_an_existing_configuration_is_replaced_only_with_force(root: Path) -> None:
    put(root, JEC_CONFIG, '{"apiKey": "x", "actionMappings": {}}', 0o600)
    refused = moved(root, "--yes")
    assert (refused.exit_code, "--force" in refused.stderr) == (2, True), refused.output
    assert json.loads((root / JEC_CONFIG).read_text())["apiKey"] == "x"
    assert moved(root, "--yes", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("more", "code", "said"), [(["--keep-config"], 2, "exclude each other"), ([], 1, "is not JSON")]
)
def test_a_failed_conversion_is_an_error_with_advice(root: Path, more: list[str], code: int, said: str) -> None:
    put(root, CONFIG, "{", 0o600)
    result = run(root, *URL, "--from", OLD, *more, "--yes", edge="jec")
    assert_told(result, code)
    assert said in result.stderr
