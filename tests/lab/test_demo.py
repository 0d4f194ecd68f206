"""`make demo`: what a newcomer runs first."""

from __future__ import annotations

import subprocess
import sys

import pytest
from lab.circle import acts, lost_acts
from lab.tour import scenes

from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS

pytestmark = pytest.mark.timeout(600)  # eighteen acts, each with its own end; on a quiet machine it takes 30 s
PROGRAM = [sys.executable, "-m", "lab"]


@pytest.fixture(scope="module")
def shown() -> subprocess.CompletedProcess[str]:
    return subprocess.run(PROGRAM, capture_output=True, text=True, timeout=540, check=False)


def test_the_demo_shows_both_parts_and_ends_with_0(shown: subprocess.CompletedProcess[str]) -> None:
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "oecAlertaExecutor.py" in shown.stdout
    assert "The whole circle" in shown.stdout


def test_every_act_of_the_demo_is_seen_on_the_other_side(shown: subprocess.CompletedProcess[str]) -> None:
    marks = [line.split()[-1] for line in shown.stdout.splitlines() if line.split()[-1:] in (["ok"], ["wrong"])]
    assert marks == ["ok"] * (len(scenes(0.0)) + len(acts()) + len(lost_acts()))


@pytest.mark.parametrize("found", [[scene.action for scene in scenes(0.0)], [act.what for act in acts()]])
def test_the_demo_goes_through_every_documented_action(found: list[str]) -> None:
    assert set(DOCUMENTED_ACTIONS) <= set(found)
