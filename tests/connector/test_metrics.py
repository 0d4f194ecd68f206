"""Every label value exists from the start, and the documentation has each metric."""

from __future__ import annotations

import re
from pathlib import Path

from alerta_opsgenie.connector.metrics import ACTIONS, CUSTOM, Metrics
from alerta_opsgenie.core.outcome import REASONS, Kind, Outcome, Reason

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def families(metrics: Metrics) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return type, help and labels of each metric."""
    metrics.queue("q")
    found = {}
    for family in metrics.registry.collect():
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, family.documentation, tuple(labels))
    return found


def test_each_action_and_reason_starts_at_zero() -> None:
    text = Metrics().render().decode()
    for action in ACTIONS:
        for kind in Kind:
            for reason in REASONS[kind]:
                labels = f'action="{action}",outcome="{kind.value}",reason="{reason.value}"'
                assert f"alerta_opsgenie_actions_total{{{labels}}} 0.0" in text


def test_a_custom_action_does_not_make_a_label_of_its_own() -> None:
    metrics = Metrics()
    metrics.ended("Anything a team may think of", Outcome(Kind.APPLIED, Reason.DONE))
    text = metrics.render().decode()
    assert "Anything" not in text
    assert f'alerta_opsgenie_actions_total{{action="{CUSTOM}",outcome="applied",reason="done"}} 1.0' in text


def test_the_documentation_has_each_metric_with_its_type_labels_and_meaning() -> None:
    rows = {}
    for line in DOCS.read_text().splitlines():
        match = re.fullmatch(r"\| `(alerta_opsgenie_\w+)` \| (\w+) \| (.*?) \| (.*) \|", line)
        if match:
            name, kind, labels, meaning = match.groups()
            rows[name] = (kind, meaning, tuple(re.findall(r"`(\w+)`", labels)))
    assert rows == families(Metrics())
