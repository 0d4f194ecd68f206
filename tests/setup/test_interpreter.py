"""Which Python a service would start, and an executor built for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alerta_opsgenie.executor.build import build
from alerta_opsgenie.setup.interpreter import Interpreter, build_executor, find_interpreter


def program(directory: Path, text: str, name: str = "python") -> str:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)
    return str(directory)


def ours(directory: Path) -> str:
    return program(directory, f'#!/bin/sh\nexec {sys.executable} "$@"\n')


def test_an_interpreter_is_found_on_the_services_path_with_its_version(tmp_path: Path) -> None:
    found = find_interpreter("python", ours(tmp_path / "bin"))
    assert found is not None
    assert found.version == sys.version_info[:3]
    assert found.is_usable


def test_a_failing_interpreter_is_reported_with_its_error(tmp_path: Path) -> None:
    found = find_interpreter("python", program(tmp_path / "bin", "#!/bin/sh\necho no codec >&2; exit 3\n"))
    assert found is not None
    assert (found.version, found.failure) == ((), "no codec")


def test_the_executor_is_built_by_the_interpreter_that_will_run_it(tmp_path: Path) -> None:
    """So that its bytecode is that version's; a script that tells of its start stands for another Python."""
    mark = tmp_path / "started"
    path = program(tmp_path / "bin", f'#!/bin/sh\n: > {mark}\nexec {sys.executable} "$@"\n')
    made = build_executor(Interpreter(f"{path}/python", (3, 11, 0)), path)
    assert mark.exists()
    assert made == build(f"{path}/python")
    assert made.startswith(f"#!{path}/python -IS\n".encode())


def test_if_the_interpreter_cannot_build_this_python_builds(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "#!/bin/sh\nexit 1\n")
    assert build_executor(Interpreter(f"{path}/python", (3, 11, 0)), path) == build(f"{path}/python")
    assert build_executor(None, path) == build()


@pytest.mark.parametrize("place", ["/srv/my python", "/srv/" + "x" * 120, "/srv/\nx", "/srv/é", "python3", ""])
def test_a_path_that_is_not_possible_in_a_first_line_is_replaced_by_env(place: str) -> None:
    assert build(place).startswith(b"#!/usr/bin/env python3\n")
