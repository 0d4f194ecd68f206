"""`alerta-opsgenie config`: output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alerta_opsgenie.cli import group
from alerta_opsgenie.vendor.document import load_document
from tests.support.edge_messages import API_KEY, edge_document

OF_EACH = ("API_KEY", "CONF_LOCAL_FILEPATH", "CONF_SOURCE_TYPE")
VARIABLES = ["ALERTA_API_KEY", "ALERTA_API_URL", *(f"{edge}_{name}" for edge in ("OEC", "JEC") for name in OF_EACH)]
CLEAN: dict[str, str | None] = dict.fromkeys(VARIABLES)
ALERTA_URL = ("--alerta-url", "https://alerta.example.com/api")
KEYS = {"OEC_API_KEY": "edge-s3cr3t-1", "ALERTA_API_KEY": "alerta-s3cr3t-2"}


def run(*args: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(group, ["config", *(str(argument) for argument in args)], env={**CLEAN, **environment})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A valid configuration with mode 0600."""
    return write(tmp_path / "config.json", edge_document())


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    path.chmod(0o600)
    return path


def assert_two_lines(result: Result, code: int) -> None:
    """Check that an error is one line with the problem and one with the advice, without a traceback."""
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 2, lines
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("  try: ")


@pytest.mark.parametrize(
    ("changes", "code", "strict_code", "count"),
    [
        ({}, 0, 0, "no problems"),
        ({"logLevel": "loud"}, 0, 1, "1 warning"),
        ({"globalArgs": []}, 0, 0, "2 notes"),
        ({"apiKey": None}, 1, 1, "1 error"),
    ],
)
def test_errors_give_exit_code_1_and_warnings_only_with_strict(
    file: Path, changes: dict[str, Any], code: int, strict_code: int, count: str
) -> None:
    write(file, edge_document(**changes))
    assert (run("check", file).exit_code, run("check", "--strict", file).exit_code) == (code, strict_code)
    assert run("check", file).output.splitlines()[-1] == f"{file}: {count} (read as OEC's)"


def test_json_has_file_dialect_and_problems(file: Path) -> None:
    write(file, edge_document(apiKey=None, logLevel="loud"))
    file.chmod(0o644)
    result = run("check", "--json", file)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["file"], told["dialect"]) == (str(file), "oec")
    assert [(problem["level"], problem["path"]) for problem in told["problems"]] == [
        ("error", "$.apiKey"),
        ("warning", "$.logLevel"),
    ]
    assert set(told["problems"][0]) == {"level", "path", "what", "advice"}


def test_a_file_that_is_no_json_is_a_problem_in_both_forms(file: Path) -> None:
    write(file, '{"apiKey": "s3cr3t",}')
    assert run("check", file).exit_code == 1
    result = run("check", "--json", file)
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert "line 1 column 21" in problem["what"]
    assert "s3cr3t" not in result.output


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert_two_lines(run("check", tmp_path / "gone.json"), 2)
    assert_two_lines(run("check", tmp_path / "gone.conf"), 2)


def test_without_a_file_the_connectors_variables_name_it(file: Path) -> None:
    result = run("check", OEC_CONF_SOURCE_TYPE="local", OEC_CONF_LOCAL_FILEPATH=str(file))
    assert (result.exit_code, result.output) == (0, f"{file}: no problems (read as OEC's)\n")
    assert_two_lines(run("check", OEC_CONF_SOURCE_TYPE="git"), 2)


def test_the_effective_configuration_is_shown_without_secrets_and_an_invalid_one_is_refused(file: Path) -> None:
    write(file, edge_document(baseUrl=None, globalEnv=["ALERTA_API_KEY=s3cr3t"]))
    result = run("show", file)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["baseUrl"] == "https://api.opsgenie.com"
    assert API_KEY not in result.output
    assert "s3cr3t" not in result.output
    write(file, edge_document(apiKey=None))
    assert_two_lines(run("show", file), 1)


# -- render


def test_without_output_it_is_shown_redacted_and_nothing_is_written() -> None:
    result = run("render", *ALERTA_URL, **KEYS)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["apiKey"] == "***"
    assert "s3cr3t" not in result.output
    assert "--output FILE" in result.stderr


def test_the_output_file_has_mode_0600_and_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    result = run("render", *ALERTA_URL, "--output", path, **KEYS)
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("check", "--strict", path).exit_code == 0
    assert "s3cr3t" not in result.output


def rendered(*options: str, **environment: str) -> dict[str, Any]:
    """Return standard output for `--output -`: the document and nothing else."""
    result = run("render", *ALERTA_URL, *options, "--output", "-", **environment)
    assert result.stderr == ""
    return dict(json.loads(result.stdout))


def test_keys_come_from_files_before_the_environment(tmp_path: Path) -> None:
    edge_key, alerta_key = write(tmp_path / "e", "from-file-1\n"), write(tmp_path / "a", "from-file-2\n")
    assert rendered(**KEYS)["apiKey"] == "edge-s3cr3t-1"
    value = rendered("--api-key-file", str(edge_key), "--alerta-key-file", str(alerta_key), **KEYS)
    assert (value["apiKey"], value["globalEnv"]) == ("from-file-1", ["ALERTA_API_KEY=from-file-2"])


def test_with_key_in_file_only_the_path_is_written() -> None:
    value = rendered("--alerta-key-file", "/etc/alerta.key", "--alerta-key-in", "file", OEC_API_KEY="k")
    assert value["globalArgs"][2:4] == ["--alertaApiKeyFile", "/etc/alerta.key"]
    assert_two_lines(run("render", *ALERTA_URL, "--alerta-key-in", "file", OEC_API_KEY="k"), 2)


@pytest.mark.parametrize(
    ("options", "directory"),
    [
        ((), "/home/opsgenie/.local/state/alerta-opsgenie"),
        (("--edge", "jec"), "/home/jsm/.local/state/alerta-opsgenie"),
        (("--state-dir", "/srv/state"), "/srv/state"),
    ],
)
def test_the_state_directory_is_written_into_the_configuration(
    options: tuple[str, ...], directory: str
) -> None:
    assert rendered(*options, JEC_API_KEY="k", **KEYS)["globalArgs"][-2:] == ["--spoolDir", directory]


@pytest.mark.parametrize(
    "args",
    [
        (),
        ALERTA_URL,
        (*ALERTA_URL, "--api-key-file", "/dev/null"),
        (*ALERTA_URL, "--edge", "jec", "--region", "eu"),
    ],
)
def test_missing_or_conflicting_options_are_wrong_usage(args: tuple[str, ...]) -> None:
    keys = {"JEC_API_KEY": "k", "ALERTA_API_KEY": "k"} if "jec" in args else {}
    assert_two_lines(run("render", *args, **keys), 2)


@pytest.mark.parametrize("content", ["two words", "  \n"])
def test_a_key_file_holds_one_key_on_one_line(tmp_path: Path, content: str) -> None:
    result = run("render", *ALERTA_URL, "--api-key-file", write(tmp_path / "key", content))
    assert_two_lines(result, 2)
    assert "words" not in result.output


def test_options_that_make_no_valid_file_are_reported_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    result = run("render", *ALERTA_URL, "--base-url", "api.opsgenie.com", "--output", path, **KEYS)
    assert (result.exit_code, "$.baseUrl" in result.stderr, path.exists()) == (1, True, False)


# -- convert


def test_the_difference_is_shown_and_nothing_is_written(file: Path) -> None:
    result = run("convert", file, "--to", "jec")
    assert '+  "baseUrl": "https://api.atlassian.com"' in result.stdout
    assert API_KEY not in result.output
    assert json.loads(file.read_text()) == edge_document()
    assert list(file.parent.iterdir()) == [file]
    # The new integration's key is still to be put in.
    assert (result.exit_code, "Still error: $.apiKey" in result.stderr) == (1, True)


def test_with_the_new_key_the_result_is_written_and_valid(file: Path, tmp_path: Path) -> None:
    key, out = write(tmp_path / "key", "jec-s3cr3t"), tmp_path / "jec-config.json"
    result = run("convert", file, "--to", "jec", "--api-key-file", key, "--output", out)
    assert result.exit_code == 0, result.output
    assert "s3cr3t" not in result.output
    assert run("check", "--strict", out).exit_code == 0
    assert load_document(out).value["apiKey"] == "jec-s3cr3t"


def test_no_command_shows_the_keys_of_the_environment(file: Path) -> None:
    environment = {"OEC_API_KEY": "env-s3cr3t-1", "ALERTA_API_KEY": "env-s3cr3t-2"}
    for args in (("check", file), ("show", file), ("convert", file, "--to", "jec"), ("render", *ALERTA_URL)):
        assert "s3cr3t" not in run(*args, **environment).output
