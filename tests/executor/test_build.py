"""The one-file executor: reproducible, complete, and usable with each Python from 3.9 on."""

from __future__ import annotations

import ast
import base64
import marshal
import os
import shutil
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import alerta_opsgenie
from alerta_opsgenie import __version__
from alerta_opsgenie.executor.build import NAMES, build
from tests.support.executor import PYTHON_MINORS, Edge, bare_python, find_python
from tests.support.scenarios import action

BUILD = (sys.executable, "-m", "alerta_opsgenie.executor.build")


def test_two_builds_are_the_same_to_the_byte(tmp_path: Path) -> None:
    # Another process, umask, time zone, hash seed and directory, and a link to the package.
    shutil.copytree(Path(alerta_opsgenie.__file__).parent, tmp_path / "installed-6.0.0")
    (tmp_path / "alerta_opsgenie").symlink_to("installed-6.0.0")
    environment = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "PYTHONPATH": str(tmp_path)}
    subprocess.run([*BUILD, "out"], cwd=tmp_path, env=environment, check=True, umask=0o077, stdout=subprocess.DEVNULL)
    assert {(tmp_path / "out" / name).read_bytes() for name in NAMES} == {build()}


def test_both_names_are_executable_and_begin_with_their_interpreter(tmp_path: Path) -> None:
    done = subprocess.run([*BUILD, str(tmp_path)], check=True, capture_output=True, text=True)
    assert (
        sorted(path.name for path in tmp_path.iterdir())
        == sorted(NAMES)
        == ["oecAlertaExecutor", "oecAlertaExecutor.py"]
    )
    for name in NAMES:
        assert (tmp_path / name).read_bytes().startswith(b"#!/usr/bin/env python3\n")
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o755
        assert str(tmp_path / name) in done.stdout


def test_started_by_its_first_line_it_ignores_pythonpath(tmp_path: Path) -> None:
    (tmp_path / "binascii.py").write_text("raise SystemExit('not Python's own')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('started before it')")
    script = tmp_path / "scripts" / "oecAlertaExecutor"
    script.parent.mkdir()
    script.write_bytes(build(str(Path(sys.executable).resolve())))
    script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([script, "--version"], check=False, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == (f"alerta-opsgenie {__version__}\n", "")


def test_it_holds_the_packages_that_it_needs_and_no_tests_or_tools() -> None:
    _, modules = marshal.loads(base64.b64decode(build().rpartition(b"\n#")[2]))
    packages = {name.split(".")[1] for name in modules if "." in name}
    assert packages == {"core", "clients", "journal", "agent", "executor"}
    assert not any(name.endswith((".build", ".__main__")) for name in modules)
    for _, where, source, code in modules.values():
        text = zlib.decompress(source)
        assert marshal.loads(zlib.decompress(code)) == compile(text, where, "exec", dont_inherit=True)


def test_an_old_python_can_parse_it_and_report_that_it_is_too_old() -> None:
    """It has no syntax that Python 2 lacks: annotations, f-strings, keyword-only arguments, `nonlocal`."""
    tree = ast.parse(build())
    new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal, ast.AsyncFunctionDef, ast.Starred, ast.YieldFrom)
    assert not [ast.dump(node) for node in ast.walk(tree) if isinstance(node, new)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert not node.args.kwonlyargs
            assert node.returns is None
        if isinstance(node, ast.Raise):
            assert node.cause is None


def test_it_holds_no_path_of_the_machine_that_built_it() -> None:
    data = build()
    assert str(Path(__file__).parents[2]).encode() not in data
    assert sys.prefix.encode() not in data


def test_its_bytecode_is_used_by_the_python_that_built_it(tmp_path: Path) -> None:
    # The file still runs when each source in it is replaced by one that exits.
    path = tmp_path / "gutted.py"
    head, _, packed = build().rpartition(b"\n#")
    magic, modules = marshal.loads(base64.b64decode(packed))
    useless = zlib.compress(b"raise SystemExit(9)\n")
    gutted = {name: (*module[:2], useless, module[3]) for name, module in modules.items()}
    repacked = base64.b64encode(marshal.dumps((magic, gutted), 2))
    path.write_bytes(head + b"\n#" + repacked + b"\n")
    done = subprocess.run([bare_python(), str(path), "--version"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("minor", PYTHON_MINORS)
class TestEachPython:
    @pytest.fixture
    def python(self, minor: int) -> str:
        return find_python(minor) or pytest.skip(f"this machine has no working python3.{minor} on its PATH")

    def test_it_keeps_an_action_that_it_cannot_deliver_and_starts_an_agent(self, tmp_path: Path, python: str) -> None:
        with Edge(tmp_path, "http://127.0.0.1:9", "key", python=python, arguments=("--timeLimit", "1")) as edge:
            result = edge.run(action("AddNote", "b7c1e0d4-52a9-4c3f-8f6e-1d2a3b4c5d6e", note="é"))
            assert (result.exit_code, result.stderr) == (0, "")
            assert "it is kept and will be delivered" in result.stdout
            assert [entry.kind for entry in edge.entries()] == ["AddNote"]
            assert edge.status()["kind"] == "agent"


def test_a_build_without_a_directory_is_wrong_usage() -> None:
    done = subprocess.run(BUILD, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python -m alerta_opsgenie.executor.build DIRECTORY\n"
