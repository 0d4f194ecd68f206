"""The container files, the compose file and their page agree, and use only existing options."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.debian import DEPLOY
from tests.docs.generate import commands

ROOT = DEPLOY.parent
PAGE = (ROOT / "docs/set-up/containers.md").read_text(encoding="utf-8")
IMAGE = (DEPLOY / "container/Containerfile").read_text(encoding="utf-8")
SERVICE: dict[str, Any] = yaml.safe_load((DEPLOY / "container/compose.yaml").read_text())["services"]["connector"]


def row(name: str) -> tuple[str, str]:
    """Return the path in the container and the one on the host, from the page's table."""
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    inside, outside = ("".join(re.findall("`(.+?)`", cell)) for cell in line.split("|")[2:4])
    return inside, outside


def test_the_volumes_are_those_of_the_page() -> None:
    mounts = dict(reversed(volume.removesuffix(":ro").split(":")) for volume in SERVICE["volumes"])
    assert mounts == dict(row(name) for name in ("configuration", "Alerta's key", "what waits for Alerta"))


def test_the_port_is_that_of_the_page_and_open_only_to_loopback() -> None:
    inside, outside = row("metrics, health")
    assert SERVICE["ports"] == [f"{outside}:{inside}"]
    assert f"EXPOSE {inside}\n" in IMAGE
    assert f'"0.0.0.0:{inside}"' in IMAGE
    assert f"http://127.0.0.1:{inside}/healthz" in SERVICE["healthcheck"]["test"][-1]


def test_the_container_is_not_root_and_cannot_become_root() -> None:
    user = row("user")[0]
    assert re.findall(r"^USER (\d+)", IMAGE, re.MULTILINE) == [user]
    assert (SERVICE["cap_drop"], SERVICE["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert SERVICE["read_only"]


def test_the_state_directory_belongs_to_the_user_and_is_on_a_volume() -> None:
    place, user = row("what waits for Alerta")[0], row("user")[0]
    assert f"VOLUME {place}\n" in IMAGE
    assert re.search(rf"install -d -o {user} -g {user} -m 0700 .*{place}\n", IMAGE)
    assert f"ENV ALERTA_OPSGENIE_SPOOL_DIR={place} " in IMAGE


def test_the_build_context_makes_the_same_wheel_and_has_no_key(wheel: Path, tmp_path: Path) -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    seen = tmp_path / "source"
    seen.mkdir()
    for name in (line.removeprefix("!") for line in lines[1:]):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, seen / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(seen)]
    subprocess.run(command, check=True, capture_output=True)
    assert zipfile.ZipFile(tmp_path / wheel.name).namelist() == zipfile.ZipFile(wheel).namelist()
    assert not [path for path in seen.rglob("*") if path.suffix in {".key", ".secret"}]


def test_alertas_image_gets_the_package_and_keeps_its_own_user() -> None:
    text = (DEPLOY / "container/alerta.Containerfile").read_text(encoding="utf-8")
    assert "/venv/bin/pip install" in text
    assert "USER" not in text


def test_the_grace_period_is_longer_than_the_program_needs_to_end() -> None:
    assert int(SERVICE["stop_grace_period"].rstrip("s")) > 10


@pytest.mark.parametrize("name", ["container/Containerfile", "ansible/edge-connector.yml"])
def test_the_options_in_the_examples_exist(name: str) -> None:
    known = {
        option for context in commands() for parameter in context.command.params for option in parameter.opts
    }
    text = (DEPLOY / name).read_text()
    ours = {"--config", "--listen", "--log-format", "--edge", "--alerta-url", "--yes"}
    used = set(re.findall(r"--[a-z][a-z-]+", text)) & {*ours, *re.findall(r"[\"' ](--alerta[a-z-]*)", text)}
    assert used
    assert used <= known
