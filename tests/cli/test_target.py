"""The state directory, the Alerta and the user of a command."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.cli.target import find_state_directory
from tests.cli.state_directory import PROGRAM, StateDirectory
from tests.support.bad_server import BadServer
from tests.support.installed import open_directory

NOBODY = pwd.getpwnam("nobody")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can go on as somebody else")
EXECUTOR = "/home/opsgenie/oec/scripts/oecAlertaExecutor.py"
URL = "https://alerta.example.com/api"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own is closed to others."""
    with open_directory() as directory:
        yield directory


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "ALERTA_OPSGENIE_SPOOL_DIR", "ALERTA_API_URL", "ALERTA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def write_config(path: Path, **changes: object) -> Path:
    value = {
        "apiKey": "k",
        "baseUrl": "https://api.opsgenie.com",
        "globalArgs": ["--alertaApiUrl", URL],
        "globalEnv": ["ALERTA_API_KEY=of-the-config"],
        "actionMappings": {"Close": {"filepath": EXECUTOR, "sourceType": "local"}},
        **changes,
    }
    path.write_text(json.dumps(value))
    path.chmod(0o600)
    return path


def give_away(path: Path) -> None:
    for one in (path, *path.rglob("*")):
        os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid)


def test_the_configuration_gives_url_key_and_state_directory(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    config = write_config(tmp_path / "config.json", globalArgs=["--alertaApiUrl", URL, "--spoolDir", state])
    place = find_state_directory(str(config), None)
    (options,) = place.options()
    assert (place.path, options.alerta_url, options.alerta_key) == (state, URL, "of-the-config")
    assert options.spool_directory == state


def test_each_alerta_of_the_mappings_is_a_separate_target(tmp_path: Path) -> None:
    other = {"filepath": EXECUTOR, "sourceType": "local", "args": ["--alertaApiUrl", "https://other.example.com/api"]}
    mappings = {name: {"filepath": EXECUTOR, "sourceType": "local"} for name in ("Close", "Acknowledge")}
    config = write_config(tmp_path / "config.json", actionMappings={**mappings, "Snooze": other})
    urls = {options.alerta_url for options in find_state_directory(str(config), str(tmp_path)).options()}
    assert urls == {URL, "https://other.example.com/api"}


def test_options_override_the_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json")
    key_file = tmp_path / "key"
    key_file.write_text("of-the-file\n")
    given = {"alertaApiUrl": "https://given.example.com", "alertaApiKeyFile": str(key_file)}
    place = find_state_directory(str(config), str(tmp_path), given)
    (options,) = place.options()
    assert (options.alerta_url, options.alerta_key) == ("https://given.example.com", "of-the-file")


def test_a_configuration_that_cannot_be_used_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(Failure) as caught:
        find_state_directory(str(tmp_path / "config.json"), None)
    assert caught.value.exit_code == 2


def test_an_empty_key_file_is_reported(tmp_path: Path) -> None:
    key_file = tmp_path / "alerta.key"
    key_file.write_text("")
    arguments = ["--alertaApiUrl", URL, "--alertaApiKeyFile", str(key_file)]
    config = write_config(tmp_path / "config.json", globalArgs=arguments, globalEnv=[])
    with pytest.raises(Failure, match=f"{key_file} is empty"):
        find_state_directory(str(config), str(tmp_path)).options()


@ROOT
def test_root_lists_the_connectors_actions_and_leaves_no_file_of_roots(shared: Path) -> None:
    place = StateDirectory(shared / "state")
    place.keep("Close")
    give_away(place.directory)
    code, output, errors = place.call("spool", "list")
    assert (code, errors) == (0, "")
    assert "1 waiting" in output
    assert {path.stat().st_uid for path in (place.directory, *place.directory.rglob("*"))} == {NOBODY.pw_uid}


@ROOT
def test_root_with_a_configuration_works_in_its_owners_state_directory_as_its_owner(shared: Path) -> None:
    config = write_config(shared / "config.json")
    give_away(shared)
    command = [*PROGRAM, "status", "--json", "--config", str(config)]
    of_root = {**os.environ, "XDG_STATE_HOME": "/root/state"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=of_root)
    assert json.loads(result.stdout)["directory"] == f"{NOBODY.pw_dir}/.local/state/alerta-opsgenie"


@ROOT
def test_root_delivers_as_the_owner_even_if_no_agent_can_be_started(shared: Path) -> None:
    """For example if this program is below /root: the owner may not start it."""
    place = StateDirectory(shared / "state")
    with BadServer("ok") as server:
        place.keep("Close", url=server.url)
        give_away(place.directory)
        code, output, _ = place.call("spool", "drain", ALERTA_API_URL=server.url)
        assert (code, output.endswith("nothing waits\n")) == (0, True)
    owners = {path.stat().st_uid for path in (place.directory, *place.directory.rglob("*"))}
    assert owners == {NOBODY.pw_uid}


@ROOT
def test_root_sends_no_file_of_its_own_that_a_users_configuration_names(shared: Path, tmp_path: Path) -> None:
    secret = tmp_path / "of-root"
    secret.write_text("roots-own-secret\n")
    secret.chmod(0o600)
    arguments = ["--alertaApiUrl", "http://127.0.0.1:9", "--alertaApiKeyFile", str(secret)]
    config = write_config(shared / "config.json", globalArgs=arguments, globalEnv=[])
    give_away(shared)
    for command in (("spool", "drain"), ("send", "ack", "x", "--user", "a")):
        result = subprocess.run(
            [*PROGRAM, *command, "--config", str(config)], capture_output=True, text=True, check=False
        )
        assert (result.returncode, "cannot be read" in result.stderr) == (2, True)
        assert "roots-own-secret" not in result.stdout + result.stderr
