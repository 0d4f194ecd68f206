"""The figures of the plugin, from Alerta's response."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.page import screens
from alerta_opsgenie.page.plugin import PluginFigures, read_plugin_figures
from alerta_opsgenie.page.view import Overview, PageInputs, Part, PluginStatus, View
from tests.cli.state_directory import NOWHERE

URL = "https://alerta.example.com/api"


def answer(**figures: object) -> Answer:
    gauges = [{"group": "opsgenie", "name": name, "type": "gauge", "value": one} for name, one in figures.items()]
    drift = {"group": "opsgenie", "type": "counter"}
    counters = [
        {**drift, "name": "drift_repaired_status_alerta", "count": 3},
        {**drift, "name": "drift_repaired_owner_opsgenie", "count": 0},
        {**drift, "name": "drift_found_status", "count": 2},
    ]
    return Answer(200, {"metrics": [*gauges, *counters]})


def shown(side: PluginStatus) -> str:
    return screens.first_screen(Overview(plugins=[side], at=1000.0), [], text="", state="", done="")


def test_waiting_requests_and_drift_are_shown() -> None:
    given = answer(waiting=7, dead_letters=4, oldest_waiting_seconds=120, last_good_sweep=940.0)
    text = shown(read_plugin_figures(URL, given))
    repaired, left = "status repaired in Alerta: 3", "status found and left, no rule settles it: 2"
    for words in ("<b>7</b> wait", "<b>4</b> dead letters", "<b>2 min</b>", ">1 min ago<", repaired, left):
        assert words in text
    assert "owner" not in text


@pytest.mark.parametrize(("sweep", "words"), [(940.0, "nothing had to be repaired"), (0.0, "none yet")])
def test_nothing_repaired_is_not_the_same_as_never_compared(sweep: float, words: str) -> None:
    figures = {"waiting": 0.0, "last_good_sweep": sweep}
    assert f"Comparison of both sides: {words}." in shown(PluginStatus(URL, "", figures))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Answer(403, {}), "the scope read:management"),
        (Answer(404, None), "answered 404"),
        (Answer(200, {"metrics": [{"group": "opsgenie", "name": "waiting", "value": "1"}]}), "has written no figures"),
    ],
)
def test_the_reason_for_missing_figures_is_shown(given: Answer, why: str) -> None:
    assert why in shown(read_plugin_figures(URL, given))


@pytest.mark.parametrize("sweep", [float("nan"), -1.0, 10**400])
def test_an_invalid_time_is_none(sweep: float) -> None:
    text = shown(read_plugin_figures(URL, answer(waiting=0, last_good_sweep=sweep)))
    assert "<b>none</b> last good comparison" in text


def test_a_stuck_plugin_is_a_problem_on_the_page(tmp_path: Path) -> None:
    side = read_plugin_figures(URL, answer(waiting=1, oldest_waiting_seconds=301))
    source = PageInputs(str(tmp_path), lambda: Part("Queue", "", is_well=True), plugins=[lambda: side])
    assert "has waited for 301 s" in View(source).overview().problems[0].what


def test_alerta_is_asked_in_a_thread_and_at_most_every_ten_seconds() -> None:
    asked = []

    def client() -> AlertaClient:
        asked.append(1)
        return AlertaClient(NOWHERE, "key")

    figures = PluginFigures(NOWHERE, client)
    for _ in range(3):
        figures()
    end = time.monotonic() + 60
    while "cannot be asked" not in figures().why and time.monotonic() < end:
        time.sleep(0.01)
    assert "cannot be asked" in figures().why
    assert len(asked) <= 1 + (60 + time.monotonic() - end) / 10
