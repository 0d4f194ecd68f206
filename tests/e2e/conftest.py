"""The wheel, environments with nothing but what pip puts there, and a bridge in front of the session's Alerta."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab.alerta_server import AlertaServer

from tests.support.console import Console
from tests.support.relaying import Bridge, Made

ROOT = Path(__file__).parents[2]


def pip(*arguments: str, python: str = sys.executable) -> str:
    """Run this environment's pip for the environment of `python`, and give its output."""
    command = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A Python environment of its own in `directory`."""

    directory: Path

    @property
    def python(self) -> str:
        return str(self.directory / "bin" / "python")

    def install(self, *requirements: str) -> None:
        pip("install", *requirements, python=self.python)

    def packages(self) -> set[str]:
        """Name what is installed, as `pip freeze` does."""
        return set(pip("freeze", python=self.python).splitlines())

    def try_run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of its `bin`, away from this project's directory and with a home of its own."""
        bare = {"PATH": f"{self.directory / 'bin'}:/usr/bin:/bin", "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}
        program = str(self.directory / "bin" / command[0])
        return subprocess.run(
            [program, *command[1:]], check=False, capture_output=True, text=True, cwd=self.directory, env=bare
        )

    def run(self, *arguments: str) -> str:
        """Run its interpreter and give the output."""
        done = self.try_run("python", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


def make_environment(directory: Path) -> Environment:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    return Environment(directory)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as for a release."""
    place = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT))
    [built] = place.glob("alerta_opsgenie-*.whl")
    return built


@pytest.fixture
def bridge(alerta: AlertaServer, alerta_key: str, console: Console) -> Iterator[Bridge]:
    """What a connector does with an action, without our plugin."""
    made = Bridge(alerta.url, alerta_key, console)
    yield made
    made.client.close()


@pytest.fixture
def made(console: Console) -> Made:
    """Makes alerts in each state."""
    return Made(console)
