"""The executor's arguments, as OEC, JEC and people pass them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from alerta_opsgenie.agent.handover import state_directory
from alerta_opsgenie.agent.options import Options, UsageError, arguments_of, read_options, split, usage
from alerta_opsgenie.core.message import LARGEST_MESSAGE_BYTES, MessageError, parse
from alerta_opsgenie.core.task import Settings
from tests.support.executor import Edge

URL = "https://alerta.example.com/api"
KEY = "alerta-key-51ab"
LEAST = ("--alertaApiUrl", URL, "--alertaApiKey", KEY, "-payload", "{}")
HOME = {"HOME": "/home/opsgenie"}


def read(*arguments: str, environment: Mapping[str, str] = HOME) -> Options:
    found, notes = split(arguments)
    return read_options(found, notes, environment)


def refusal(*arguments: str, environment: Mapping[str, str] = HOME) -> str:
    with pytest.raises(UsageError) as caught:
        read(*arguments, environment=environment)
    return str(caught.value)


class TestSpellings:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("-alertaApiUrl", URL),
            ("--alertaApiUrl", URL),
            ("--ALERTAAPIURL", URL),
            (f"--alerta-api-url={URL}",),
        ],
    )
    def test_a_name_counts_in_each_of_its_spellings(self, arguments: Sequence[str]) -> None:
        assert read(*arguments, "-alertaApiKey", KEY, "-payload", "{}").alerta_url == URL

    def test_what_oec_passes_is_understood_in_its_order(self) -> None:
        payload = '{"action": "Acknowledge"}'
        connectors = ("-payload", payload, "-apiKey", "opsgenie-key", "-opsgenieUrl", "https://api.opsgenie.com")
        options = read(
            "-flag", "one", *connectors, "-logLevel", "WARN", "--alertaApiUrl", URL, "--alertaApiKey", KEY, "own"
        )
        assert (options.payload, options.log_level) == (payload, "WARN")
        assert (options.alerta_url, options.alerta_key) == (URL, KEY)
        assert options.notes == ("passed over an argument -flag", "passed over an argument", "passed over an argument")

    def test_an_equals_sign_in_a_value_stays_in_it(self) -> None:
        assert read(*LEAST, "--customAction=Restart=restart").settings.custom_actions == {"Restart": "restart"}
        assert read(*LEAST[:4], "-payload", '{"a": "b=c"}').payload == '{"a": "b=c"}'

    def test_the_settings_of_a_team_are_read(self) -> None:
        settings = read(
            *LEAST, "--source", "Alerta", "--source", "Zabbix", "--own-name", "Alerta", "--ownName", "Bridge",
            "--notes", "all", "--onDelete", "ignore", "--ackTimeout", "3600",
            "--customAction", "Restart=restart", "--customAction", " Wake = wake ",
        ).settings  # fmt: skip
        assert settings == Settings(
            frozenset({"Alerta", "Zabbix"}), frozenset({"alerta", "bridge"}), True, "ignore",
            {"Restart": "restart", "Wake": "wake"}, 3600,
        )  # fmt: skip

class TestUnknownArguments:
    def test_they_are_ignored_with_a_note_each(self) -> None:
        options = read("--colour", "red", *LEAST, "-v", "word")
        assert options.payload == "{}"
        assert options.notes[0] == "passed over an argument --colour"
        assert len(options.notes) == 4

    @pytest.mark.parametrize(
        "arguments", [("--token", "s3cret"), ("--token=s3cret",), ("-token", "-s3cret"), ("--token", "--s3cret=x")]
    )
    def test_their_values_are_in_no_note(self, arguments: Sequence[str]) -> None:
        assert "s3cret" not in "".join(read(*LEAST, *arguments).notes)


class TestSecrets:
    @pytest.fixture
    def key_file(self, tmp_path: Path) -> str:
        path = tmp_path / "key"
        path.write_text("key-of-the-file\n")
        return str(path)

    def test_the_key_comes_from_an_argument_a_file_or_the_environment(self, key_file: str) -> None:
        rest = ("--alertaApiUrl", URL, "-payload", "{}")
        assert read(*rest, "--alertaApiKey", KEY).alerta_key == KEY
        assert read(*rest, "--alertaApiKeyFile", key_file).alerta_key == "key-of-the-file"
        assert read(*rest, environment={**HOME, "ALERTA_API_KEY": KEY}).alerta_key == KEY
        assert read(*rest, environment={**HOME, "ALERTA_API_KEY_FILE": key_file}).alerta_key == "key-of-the-file"

    def test_arguments_come_before_the_environment_and_the_key_before_its_file(self, key_file: str) -> None:
        rest = ("--alertaApiUrl", URL, "-payload", "{}")
        environment = {**HOME, "ALERTA_API_KEY": "from-the-environment", "ALERTA_API_KEY_FILE": "/nowhere"}
        assert read(*rest, environment=environment).alerta_key == "from-the-environment"
        assert read(*rest, "--alertaApiKeyFile", key_file, environment=environment).alerta_key == "key-of-the-file"
        assert read(*rest, "--alertaApiKey", KEY, environment=environment).alerta_key == KEY

    def test_url_and_ca_come_from_the_environment_too(self) -> None:
        environment = {**HOME, "ALERTA_API_URL": URL, "ALERTA_API_KEY": KEY, "ALERTA_CA_FILE": "/ca.pem"}
        options = read("-payload", "{}", environment=environment)
        assert (options.alerta_url, options.ca_file) == (URL, "/ca.pem")

    def test_the_repr_shows_neither_key_nor_message(self) -> None:
        shown = repr(read("--alertaApiUrl", URL, "--alertaApiKey", KEY, "-payload", '{"note": "private"}'))
        assert KEY not in shown
        assert "private" not in shown


class TestPayload:
    def test_one_that_is_too_large_is_refused_as_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "message.json"
        path.write_bytes(b" " * (LARGEST_MESSAGE_BYTES + 5))
        text = read(*LEAST[:4], "--payloadFile", str(path)).payload
        with pytest.raises(MessageError, match="larger than"):
            parse(text or "")

    def test_a_file_that_is_not_there_is_refused_with_the_reason_and_no_message_is_none(self, tmp_path: Path) -> None:
        assert "cannot be read: No such file" in refusal(*LEAST[:4], "--payloadFile", str(tmp_path / "none"))
        assert read(*LEAST[:4]).payload is None


class TestSpoolDirectory:
    def test_it_is_named_by_argument_variable_or_the_homes_state(self) -> None:
        assert read(*LEAST, "--spoolDir", "/a", environment={"ALERTA_OPSGENIE_SPOOL_DIR": "/b"}).spool_directory == "/a"
        assert state_directory([], {"ALERTA_OPSGENIE_SPOOL_DIR": "/b", "XDG_STATE_HOME": "/c"}) == "/b"
        assert state_directory([], {"XDG_STATE_HOME": "/c", "HOME": "/d"}) == "/c/alerta-opsgenie"
        assert state_directory([], {"HOME": "/d"}) == "/d/.local/state/alerta-opsgenie"

    def test_it_is_absolute_so_that_the_agent_finds_it_from_anywhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert read(*LEAST, "--spoolDir", "here").spool_directory == str(tmp_path / "here")
        assert state_directory([], {"XDG_STATE_HOME": "relative", "HOME": "/d"}) == "/d/.local/state/alerta-opsgenie"

    def test_a_user_without_a_home_has_a_fixed_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # As in a container that runs as a number: no HOME, and no such user in /etc/passwd.
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        assert state_directory([], {}) == f"/var/tmp/alerta-opsgenie-{os.getuid()}"


class TestUsageErrors:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (LEAST[2:], "no URL of Alerta: give --alertaApiUrl"),
            ((*LEAST[:2], *LEAST[4:]), "no API key of Alerta: give --alertaApiKeyFile FILE, or set ALERTA_API_KEY"),
            ((*LEAST, "--timeLimit"), "--timeLimit has no value"),
            ((*LEAST, "--timeLimit", "soon"), "is no number of seconds: give one between 0 and 3600"),
            ((*LEAST, "--timeLimit", "nan"), "is no number of seconds"),
            ((*LEAST, "--notes", "some"), "is unknown: give one of all, own"),
            ((*LEAST, "--onDelete", "shred"), "is unknown: give one of close, delete, ignore"),
            ((*LEAST, "--customAction", "Restart"), "is no pair: give NAME=ACTION"),
            ((*LEAST[:2], *LEAST[4:], "--alertaApiKeyFile", "/none"), "/none cannot be read: No such file"),
            ((*LEAST[:2], *LEAST[4:], "--alertaApiKey", "two words"), "holds a character that no key has"),
        ],
    )
    def test_each_names_what_is_wrong_and_what_to_give(self, arguments: Sequence[str], expected: str) -> None:
        assert expected in refusal(*arguments)

    @pytest.mark.parametrize("content", ["\n", "two\nlines", "schlüssel"])
    def test_a_key_file_without_a_key_is_refused_without_being_shown(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "key"
        path.write_text(content)
        expected = refusal(*LEAST[:2], *LEAST[4:], "--alertaApiKeyFile", str(path))
        assert "key" in expected
        assert not content.strip() or content.strip() not in expected

class TestProcess:
    """The one-file executor as a process."""

    @pytest.fixture
    def edge(self, tmp_path: Path) -> Iterator[Edge]:
        with Edge(tmp_path, "http://127.0.0.1:9", KEY) as made:
            yield made

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--alertaApiUrl", "https://user:s3cret@alerta.example.com/api", *LEAST[2:]),
            ("--alertaApiUrl", "https://alerta.example.com/api?api-key=s3cret", *LEAST[2:]),
            (*LEAST[:2], "--alertaApiKey", "s3cret s3cret", *LEAST[4:]),
            (*LEAST[:4], "--payloadFile", "/nowhere/message.json"),
        ],
    )
    def test_wrong_usage_is_exit_2_and_one_line_without_a_secret(self, edge: Edge, arguments: Sequence[str]) -> None:
        code, output, errors = edge.call(arguments)
        assert (code, output) == (2, "")
        assert errors.startswith("oecAlertaExecutor: ")
        assert errors.count("\n") == 1
        assert "s3cret" not in errors
        assert KEY not in errors

    @pytest.mark.parametrize("spelling", ["--help", "-help"])
    def test_help_is_usage_and_exit_0(self, edge: Edge, spelling: str) -> None:
        assert edge.call([spelling]) == (0, usage(), "")

    def test_a_message_on_standard_input_is_read(self, edge: Edge) -> None:
        message = json.dumps({"action": "Create", "alert": {"alias": "x", "source": "Elsewhere"}}).encode()
        code, output, _ = edge.call([*LEAST[:4], "--payloadFile", "-"], stdin=message)
        assert code == 0
        assert "ignored Create" in output

def test_arguments_made_of_options_mean_the_same_options() -> None:
    arguments = [
        "--alertaApiUrl", "https://a.example.com/api", "--alertaApiKey", "k" * 40, "--spoolDir", "/s", "--notes", "all",
        "--onDelete", "ignore", "--source", "A", "--source", "B", "--ownName", "x", "--customAction", "Restart=restart",
        "--ackTimeout", "60", "--alertaCaFile", "/ca.pem", "--timeLimit", "7", "--logLevel", "DEBUG",
    ]  # fmt: skip
    found, notes = split(arguments)
    options = read_options(found, notes, {"https_proxy": "http://p:1"})
    again, environment = arguments_of(options)
    assert read_options(*split(again), environment) == options
