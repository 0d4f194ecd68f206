"""The systemd units."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from alerta_opsgenie.setup.layout import EDGES, layout_for
from alerta_opsgenie.setup.unit import render_unit

EXAMPLES = Path(__file__).parents[2] / "deploy/systemd"


def test_the_agents_unit_has_the_connectors_configuration_and_user() -> None:
    text = render_unit(layout_for("oec", "staging"), "/opt/x/bin/alerta-opsgenie").splitlines()
    wanted = {
        "ExecStart=/opt/x/bin/alerta-opsgenie agent --config /home/staging/oec/conf/config.json",
        "User=staging",
        "ReadWritePaths=/home/staging/.local/state/alerta-opsgenie",
        "Restart=always",
        "KillMode=mixed",
        "PrivateTmp=no",
        "NoNewPrivileges=yes",
    }
    assert wanted <= set(text)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="deploy/systemd is not there")
@pytest.mark.parametrize("edge", ["oec", "native"])
def test_the_example_in_deploy_is_up_to_date(edge: str) -> None:
    layout = layout_for(edge)
    assert (EXAMPLES / layout.unit_name).read_text() == render_unit(layout)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("edge", EDGES)
def test_systemd_accepts_the_unit(tmp_path: Path, edge: str) -> None:
    layout = layout_for(edge)
    unit = tmp_path / layout.unit_name
    unit.write_text(render_unit(layout, "/bin/true"))
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    said = [line for line in ended.stderr.splitlines() if str(unit) in line or "alerta-opsgenie" in line]
    assert said == []
