"""Whose spool a command works on, and as whom."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerta_opsgenie.cli.target import options_of
from alerta_opsgenie.journal import Spool

PROGRAM = [sys.executable, "-c", "from alerta_opsgenie.cli import main; main()"]
NOBODY = pwd.getpwnam("nobody")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can go on as somebody else")
CONFIG = """{
  "apiKey": "k", "baseUrl": "https://api.opsgenie.com",
  "globalArgs": ["--alertaApiUrl", "https://alerta.example.com/api"], "globalEnv": ["ALERTA_API_KEY=of-the-config"],
  "actionMappings": {"Close": {"filepath": "/home/opsgenie/oec/scripts/oecAlertaExecutor.py", "sourceType": "local"}}
}"""


@pytest.fixture
def of_nobody() -> Iterator[Path]:
    """A directory that nobody can reach; pytest's own is closed to others."""
    directory = Path(tempfile.mkdtemp(dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def _give_away(path: Path) -> None:
    for one in (path, *path.rglob("*")):
        os.chown(one, NOBODY.pw_uid, NOBODY.pw_gid)


@ROOT
def test_root_sees_the_connectors_spool_and_leaves_nothing_of_its_own_there(of_nobody: Path) -> None:
    spool = of_nobody / "spool"
    with Spool(spool) as opened:
        opened.keep("key", "lane", 1, "{}", now=time.time(), kind="Close")
    _give_away(spool)
    command = [*PROGRAM, "spool", "list", "--spool-dir", str(spool)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "1 waiting" in result.stdout
    assert {path.stat().st_uid for path in (spool, *spool.rglob("*"))} == {NOBODY.pw_uid}


@ROOT
def test_with_a_configuration_the_spool_is_that_of_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.json"
    config.write_text(CONFIG)
    config.chmod(0o600)
    _give_away(config)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("ALERTA_OPSGENIE_SPOOL_DIR", raising=False)
    options = options_of(str(config), None, None, None, None)
    assert options.spool_directory == f"{NOBODY.pw_dir}/.local/state/alerta-opsgenie"


def test_the_key_in_the_configurations_environment_is_used(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(CONFIG)
    config.chmod(0o600)
    assert options_of(str(config), None, None, None, str(tmp_path)).alerta_key == "of-the-config"
