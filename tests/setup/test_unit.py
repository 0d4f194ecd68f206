"""The native connector's unit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from alerta_opsgenie.setup.layout import Places, layout_for
from alerta_opsgenie.setup.unit import render_unit

EXAMPLE = Path(__file__).parents[2] / "deploy/systemd/alerta-opsgenie.service"


def test_it_starts_the_connector_with_the_layouts_places_and_user() -> None:
    text = render_unit(layout_for("native", Places("bridge", "/srv/bridge")), "/opt/x/bin/alerta-opsgenie")
    assert "ExecStart=/opt/x/bin/alerta-opsgenie run --config /etc/bridge/config.json" in text
    assert "User=bridge" in text
    assert "Environment=ALERTA_OPSGENIE_SPOOL_DIR=/srv/bridge/spool" in text
    assert "ReadWritePaths=/srv/bridge" in text
    assert "StateDirectory" not in text
    assert "alerta-opsgenie" not in text.partition("[Service]")[2].replace("/opt/x/bin/alerta-opsgenie", "")


@pytest.mark.skipif(not EXAMPLE.exists(), reason="deploy/systemd/alerta-opsgenie.service is not there")
def test_the_example_in_deploy_is_this_one() -> None:
    assert EXAMPLE.read_text() == render_unit(layout_for("native"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    unit = tmp_path / "alerta-opsgenie.service"
    unit.write_text(render_unit(layout_for("native"), "/bin/true"))
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    said = [line for line in ended.stderr.splitlines() if str(unit) in line or "alerta-opsgenie" in line]
    assert said == []
