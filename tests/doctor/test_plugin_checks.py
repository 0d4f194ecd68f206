"""The plugin's figures, read from Alerta: each trouble that they show, and what keeps them from being read."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.doctor import plugin_checks
from alerta_opsgenie.doctor.finding import Finding
from tests.support.patient import Patient

WELL = {"waiting": 2, "oldest_waiting_seconds": 1.5, "dead_letters": 0, "way_back_dead": 0}


def found(patient: Patient, monkeypatch: pytest.MonkeyPatch, answer: Answer | None) -> list[Finding]:
    monkeypatch.setattr(plugin_checks, "try_call", lambda _inst, _call: answer)
    return patient.findings("plugin")


def shown(**figures: float) -> Answer:
    metrics: list[Any] = [{"group": "opsgenie", "name": name, "value": value} for name, value in figures.items()]
    return Answer(200, {"metrics": [{"group": "alerts", "name": "waiting", "value": 999}, "odd", *metrics]})


@pytest.mark.parametrize(
    ("figures", "level", "words"),
    [
        ({}, "ok", "the plugin sends, 2 requests wait"),
        ({"heartbeat_withheld": 0}, "ok", "and the heartbeat is pinged"),
        ({"oldest_waiting_seconds": 301}, "fail", "has waited for 301 s"),
        ({"also_oldest_waiting_seconds": 301}, "fail", "the other product has waited for 301 s"),
        ({"heartbeat_withheld": 1}, "fail", "the heartbeat at the vendor is withheld"),
        ({"way_back_dead": 1}, "fail", "does not arrive"),
        ({"dead_letters": 3}, "warn", "3 requests were refused for good"),
    ],
)
def test_each_figure_is_judged(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, figures: dict[str, float], level: str, words: str
) -> None:
    (finding,) = found(patient, monkeypatch, shown(**{**WELL, **figures}))
    assert finding.level == level
    assert words in finding.what


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(403, {}), "may not read its figures"),
        (Answer(200, {"metrics": []}), "has written no figures"),
        (Answer(200, {"metrics": 5}), "has written no figures"),
        (Answer(500, {}), "has written no figures"),
    ],
)
def test_what_cannot_be_read_is_not_called_well(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, answer: Answer, words: str
) -> None:
    (finding,) = found(patient, monkeypatch, answer)
    assert finding.level == "skip"
    assert words in finding.what


def test_an_alerta_that_is_not_reached_is_another_check_s(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(patient, monkeypatch, None) == []
