"""The examples in `deploy/` name only commands, options and places that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
PROGRAM = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()"]


def _help(command: str) -> str:
    return subprocess.run([*PROGRAM, command, "--help"], capture_output=True, text=True, check=True).stdout


def _yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_the_compose_file_gives_the_connector_longer_than_it_needs_to_end() -> None:
    service = _yaml("container/compose.yaml")["services"]["connector"]
    assert int(service["stop_grace_period"].rstrip("s")) > 10


@pytest.mark.parametrize("name", ["container/Containerfile", "ansible/edge-connector.yml"])
def test_the_options_in_the_examples_exist(name: str) -> None:
    text = (DEPLOY / name).read_text()
    known = "".join(_help(command) for command in ("run", "install", "doctor"))
    ours = {"--config", "--listen", "--log-format", "--edge", "--alerta-url", "--yes"}
    used = set(re.findall(r"--[a-z][a-z-]+", text)) & {*ours, *re.findall(r"[\"' ](--alerta[a-z-]*)", text)}
    assert used
    assert not [option for option in used if option not in known]
