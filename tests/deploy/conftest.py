"""The packages as `make package` makes them, and Debians to put them into."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.debian import DEPLOY, Debian, image, may_make_one


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as for a release."""
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(DEPLOY.parent)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [built] = place.glob("alerta_opsgenie-*.whl")
    return built


def build_deb(wheel: Path, place: Path) -> Path:
    """Make the .deb of a wheel."""
    command = [str(DEPLOY / "debian/build.sh"), str(wheel), str(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [built] = place.glob("*.deb")
    return built


@pytest.fixture(scope="session")
def deb(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for Debian."""
    return build_deb(wheel, tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian that still supports what we need, packed."""
    if not may_make_one():
        pytest.skip("needs root and mmdebstrap")
    return image(request.param, tmp_path_factory.mktemp("image"))


@pytest.fixture
def debian(archive: Path, tmp_path: Path) -> Iterator[Debian]:
    """A fresh Debian."""
    made = Debian.unpacked(archive, tmp_path / "debian")
    yield made
    subprocess.run(["rm", "-rf", str(made.root)], check=False)
