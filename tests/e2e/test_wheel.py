"""The wheel holds the package alone, and each command works in an environment that has nothing else."""

from __future__ import annotations

import ast
import json
import zipfile
from pathlib import Path

import pytest

from tests.e2e.conftest import Environment, make_environment

OUTSIDE = {"lab", "tests", "bench", "conftest"}
HELP_OF_EACH = """
import click, json
from click.testing import CliRunner
from alerta_opsgenie.cli import group
def walk(command, path):
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            try:
                below = command.get_command(context, name)
            except click.ClickException:
                yield [*path, name]
            else:
                yield from walk(below, [*path, name])
ends = {" ".join(path): CliRunner().invoke(group, [*path, "--help"]) for path in walk(group, [])}
print(json.dumps({path: [ended.exit_code, ended.output] for path, ended in ends.items()}))
"""
"""Asks each command for its help; one whose library is missing is asked too."""


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and what it depends on."""
    made = make_environment(tmp_path_factory.mktemp("bare") / "venv")
    made.install(str(wheel))
    return made


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and the native connector's libraries."""
    made = make_environment(tmp_path_factory.mktemp("whole") / "venv")
    made.install(f"alerta-opsgenie[connector] @ {wheel.as_uri()}")
    return made


def help_of_each(environment: Environment) -> dict[str, tuple[int, str]]:
    """Give the exit code and the output by command."""
    return {path: (code, output) for path, (code, output) in json.loads(environment.run("-c", HELP_OF_EACH)).items()}


def test_the_wheel_holds_the_package_alone(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"alerta_opsgenie"}


def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    assert "alerta_opsgenie/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_no_module_of_the_wheel_imports_the_lab_or_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sources = {name: archive.read(name) for name in archive.namelist() if name.endswith(".py")}
    assert {name: found for name, text in sources.items() if (found := imported(text) & OUTSIDE)} == {}


def imported(source: bytes) -> set[str]:
    """Name the top-level packages that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def test_without_extras_each_command_explains_itself_or_names_the_missing_library(bare: Environment) -> None:
    for path, (code, output) in help_of_each(bare).items():
        assert code == 0 or "pip install 'alerta-opsgenie[" in output, (path, output)


def test_the_console_script_is_there(bare: Environment) -> None:
    ended = bare.try_run("alerta-opsgenie", "--version")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_without_extras_what_waits_can_be_listed(bare: Environment) -> None:
    ended = bare.try_run("alerta-opsgenie", "spool", "list")
    assert (ended.returncode, ended.stdout) == (0, "0 in flight; 0 waiting; 0 dead\n")


def test_without_extras_the_one_file_can_be_built(bare: Environment, tmp_path: Path) -> None:
    bare.run("-m", "alerta_opsgenie.executor.build", str(tmp_path))
    ended = bare.try_run("python", str(tmp_path / "oecAlertaExecutor.py"))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.long
@pytest.mark.timeout(900)  # pip fetches the libraries
def test_with_the_connectors_libraries_each_command_explains_itself(whole: Environment) -> None:
    failed = {path: output for path, (code, output) in help_of_each(whole).items() if code}
    assert failed == {}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_with_the_connectors_libraries_a_configuration_is_made_and_checked(whole: Environment, tmp_path: Path) -> None:
    for name in ("alerta.key", "api.key"):
        (tmp_path / name).write_text("a-key-of-the-test")
        (tmp_path / name).chmod(0o600)
    config = str(tmp_path / "config.json")
    url = ("--alerta-url", "https://alerta.example.com/api")
    keys = ("--alerta-key-file", str(tmp_path / "alerta.key"), "--api-key-file", str(tmp_path / "api.key"))
    made = whole.try_run("alerta-opsgenie", "config", "render", *url, *keys, "--output", config)
    assert made.returncode == 0, made.stderr
    checked = whole.try_run("alerta-opsgenie", "config", "check", config)
    assert "Traceback" not in checked.stderr
    assert checked.returncode in (0, 1), checked.stderr
