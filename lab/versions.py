"""Older Alertas for the tests: each in an environment of its own below .venv-matrix/, with our package in it.

Each has the companions that its own requirements.txt names (repository alerta/alerta, by tag), as the official images
do: `alerta-server` itself pins none, and a new Flask hides what an old one lacks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".venv-matrix"
OWN = "9.1.0"
"""The version in this environment: see pyproject.toml."""

COMPANIONS = {
    "9.0.4": (
        "Flask==3.0.3 Werkzeug==3.0.4 Flask-Compress==1.15 Flask-Cors==5.0.0 blinker==1.8.2 PyJWT==2.9.0"
        " pymongo==4.4.1 sentry-sdk[flask]==2.13.0 StrEnum==0.4.15"
    ),
    "9.0.1": (
        "Flask==2.2.2 Werkzeug==2.2.3 Flask-Compress==1.13 Flask-Cors==3.0.10 blinker==1.5 PyJWT==2.6.0"
        " pymongo==3.12.3 sentry-sdk[flask]==1.16.0"
    ),
    "8.7.0": (
        "Flask==2.0.2 Werkzeug==2.0.3 Jinja2<3.1 itsdangerous<2.1 MarkupSafe<2.2 Flask-Compress==1.10.1"
        " Flask-Cors==3.0.10 blinker==1.4 PyJWT==2.3.0 pymongo==3.12.2 sentry-sdk[flask]==1.5.0"
    ),
}
_SERVER = "gunicorn psycopg2-binary mongomock setuptools<81"  # Alertas before 9.1.0 import pkg_resources


VARIABLE = "ALERTA_TEST_VERSION"
"""Names another Alerta for a whole run of the tests."""


def under_test() -> str:
    """Give the version of Alerta that this run of the tests is about."""
    return os.environ.get(VARIABLE) or OWN


def as_numbers(version: str) -> tuple[int, ...]:
    """Make a version comparable: `9.0.4` is (9, 0, 4)."""
    return tuple(int(part) for part in version.split("."))


def interpreter(version: str) -> str:
    """Give the Python of an environment with that Alerta; it is made at the first call, which takes some 15 seconds."""
    if version == OWN:
        return sys.executable
    PLACE.mkdir(exist_ok=True)
    place = PLACE / version
    wanted = f"alerta-server=={version} {COMPANIONS[version]} {_SERVER}"
    stamp = hashlib.sha256(wanted.encode()).hexdigest()
    done = place / "made"
    with (PLACE / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != stamp:
            _make(place, wanted.split())
            done.write_text(stamp)
    return str(place / "bin" / "python")


def _make(place: Path, wanted: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *wanted], check=True)
    subprocess.run([*pip, "--editable", str(ROOT)], check=True)
