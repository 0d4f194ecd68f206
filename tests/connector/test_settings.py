"""The Edge Connector's configuration as the native connector reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.agent.options import UsageError
from alerta_opsgenie.connector.settings import parse_listen, read_plan
from alerta_opsgenie.vendor.problems import ConfigError

EXECUTOR = {"filepath": "/home/opsgenie/oec/scripts/oecAlertaExecutor.py", "sourceType": "local"}
URL, KEY = "https://alerta.example.com/api/alert", "the-key-of-alerta"


def write(path: Path, **changes: Any) -> str:
    config = {
        "apiKey": "the-key-of-opsgenie",
        "globalArgs": ["-alertaApiUrl", URL, "--alertaApiKey", KEY, "--spoolDir", "/var/lib/x"],
        "actionMappings": {"Acknowledge": EXECUTOR, "Close": EXECUTOR},
        **changes,
    }
    path.write_text(json.dumps(config))
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def test_the_executors_arguments_keep_their_meaning(path: Path) -> None:
    arguments = ["--source", "Alerta", "--source", "Zabbix", "--notes", "all", "--onDelete", "ignore"]
    arguments += ["--ackTimeout", "60", "--customAction", "Restart=restart"]
    both = ["--alertaApiUrl", URL, "--alertaApiKey", KEY, *arguments]
    plan = read_plan(write(path, globalArgs=both), environment={})
    settings = plan.mapping_options["Acknowledge"].settings
    assert (plan.options.alerta_url, plan.options.alerta_key) == (URL, KEY)
    assert settings.sources == {"Alerta", "Zabbix"}
    assert (settings.all_notes, settings.on_delete, settings.ack_timeout_seconds) == (True, "ignore", 60)
    assert settings.custom_actions == {"Restart": "restart"}


def test_the_people_file_is_the_configuration_s_unless_the_command_line_names_one(path: Path) -> None:
    arguments = ["--alertaApiUrl", URL, "--alertaApiKey", KEY, "--people", "/etc/people"]
    where = write(path, globalArgs=arguments)
    assert read_plan(where, environment={}).mapping_options["Close"].people_file == "/etc/people"
    named = read_plan(where, environment={}, people_file="/etc/others")
    assert {one.people_file for one in (named.options, *named.mapping_options.values())} == {"/etc/others"}


def test_a_mappings_own_arguments_are_for_it_alone(path: Path) -> None:
    mappings = {"Acknowledge": EXECUTOR, "Delete": {**EXECUTOR, "args": ["--onDelete", "delete"]}}
    plan = read_plan(write(path, actionMappings=mappings), environment={})
    assert plan.mapping_options["Acknowledge"].settings.on_delete == "close"
    assert plan.mapping_options["Delete"].settings.on_delete == "delete"


def test_flags_and_variables_count_as_they_do_for_the_executor(path: Path) -> None:
    changes = {"globalArgs": [], "globalFlags": {"alertaApiUrl": URL}, "globalEnv": [f"ALERTA_API_KEY={KEY}"]}
    plan = read_plan(write(path, **changes), environment={})
    assert (plan.options.alerta_url, plan.options.alerta_key) == (URL, KEY)


def test_two_mappings_may_have_two_alertas(path: Path) -> None:
    other = "https://other.example.com"
    mappings = {"Acknowledge": EXECUTOR, "Close": {**EXECUTOR, "args": ["--alertaApiUrl", other]}}
    plan = read_plan(write(path, actionMappings=mappings), environment={})
    assert [options.alerta_url for options in plan.each_alerta()] == [URL, other]


def test_two_state_directories_in_one_configuration_are_refused(path: Path) -> None:
    mappings = {"Acknowledge": EXECUTOR, "Close": {**EXECUTOR, "args": ["--spoolDir", "/var/lib/y"]}}
    with pytest.raises(ConfigError, match="state directory"):
        read_plan(write(path, actionMappings=mappings), environment={})


def test_a_missing_url_is_reported_with_the_file_and_the_path_in_it(path: Path) -> None:
    """`run` has no option for it: it must be in the file."""
    with pytest.raises(ConfigError, match=r"config\.json: \$\.actionMappings\.Acknowledge: no URL of Alerta") as raised:
        read_plan(write(path, globalArgs=[]), environment={})
    assert "globalArgs" in raised.value.advice


def test_the_command_line_comes_before_the_file(path: Path) -> None:
    changes = {"alertaOpsgenie": {"workers": 5, "heartbeatIntervalInSeconds": 0, "listen": "off"}}
    plan = read_plan(write(path, **changes), environment={}, overrides={"workers": 7, "listen": None})
    assert (plan.settings.workers, plan.settings.heartbeat_seconds, plan.settings.listen) == (7, 0, "off")
    assert plan.settings.most_in_flight == 28


@pytest.mark.parametrize(
    "own",
    [{"worker": 5}, {"workers": 0}, {"workers": "5"}, {"workers": True}, {"listen": 7070}, {"logLevel": "loud"},
     {"logLevel": 1}, {"logLevel": []}, {"transport": "pigeon"}, {"page": "yes"}, {"pageTokenFile": 7}],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(path: Path, own: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"\$\.alertaOpsgenie\." + next(iter(own))):
        read_plan(write(path, alertaOpsgenie=own), environment={})


@pytest.mark.parametrize(
    ("text", "place"),
    [("127.0.0.1:7070", ("127.0.0.1", 7070)), (":0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("off", None)],
)
def test_an_address_to_listen_is_read(text: str, place: Any) -> None:
    assert parse_listen(text) == place


@pytest.mark.parametrize("text", ["7070", "host:port", "h:70000"])
def test_an_invalid_address_to_listen_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_listen(text)


@pytest.mark.parametrize("text", [None, "", "short", "two words, each of which is long", "\xfcmlaut-of-16-characters"])
def test_a_token_of_the_page_that_cannot_be_used_is_named(path: Path, text: str | None) -> None:
    token = path.parent / "page.token"
    if text is not None:
        token.write_text(text)
    with pytest.raises(ConfigError, match=r"pageTokenFile.*page\.token"):
        read_plan(write(path, alertaOpsgenie={"pageTokenFile": str(token)}), environment={})


def test_no_repr_shows_a_secret(path: Path) -> None:
    token = path.parent / "page.token"
    token.write_text("a-token-of-the-page\n")
    plan = read_plan(write(path, alertaOpsgenie={"pageTokenFile": str(token)}), environment={})
    assert set(plan.secrets()) == {"the-key-of-opsgenie", KEY, "a-token-of-the-page"}
    assert not [secret for secret in plan.secrets() if secret in repr(plan)]
