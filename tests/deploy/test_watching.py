"""Alert rules and dashboard use only exported figures, and each alert has its line in the runbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from alerta_opsgenie.connector.metrics import Metrics
from tests.connector.test_metrics import families

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerta-opsgenie.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "alerta-opsgenie.json"
REFERENCE = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")


def exported() -> set[str]:
    """Return the connector's figures from its code, and the plugin's from the documentation (tested elsewhere)."""
    of_plugin = REFERENCE.partition("## Of the plugin in Alerta")[2].partition("\n## ")[0]
    return set(families(Metrics())) | set(re.findall(r"^\| `(\w+)`", of_plugin, re.MULTILINE))


def of_family(name: str) -> str:
    """Return the documented name of a figure, or of a pattern for figures, in a query."""
    name = re.sub(r"_(bucket|sum|count)$", "", name)
    name = re.sub(r"_sent_\.\+_total", "_sent_OPERATION_RESULT_total", name)
    name = re.sub(r"_found_\.\+_total", "_found_FIELD_total", name)
    return re.sub(r"_repaired_\.\+_total", "_repaired_FIELD_SIDE_total", name)


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_each_figure_in_rules_and_dashboard_is_exported(path: Path) -> None:
    asked = {of_family(name) for name in re.findall(r"alerta_opsgenie_(?:\w|\.\+)+", path.read_text(encoding="utf-8"))}
    assert asked
    assert asked <= exported()


def test_each_alert_has_a_summary_a_severity_and_a_line_in_the_runbook() -> None:
    runbook = (ROOT / "docs" / "how-to" / "watch.md").read_text(encoding="utf-8")
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert len(rules) == len({rule["alert"] for rule in rules})
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert f"| `{rule['alert']}` |" in runbook
