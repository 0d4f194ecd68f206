"""The plugin in Alerta, by the figures that it writes there."""

from __future__ import annotations

from typing import Iterator, Mapping

from alerta_opsgenie.doctor.alerta_checks import try_call
from alerta_opsgenie.doctor.finding import Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import FORBIDDEN, OK
from alerta_opsgenie.doctor.installation import Installation
from alerta_opsgenie.page.plugin import FIGURES, NO_FIGURES, figures_of, troubles_of


def check_plugin(inst: Installation) -> Iterator[Finding]:
    """Read the figures, and say what is wrong by them."""
    answer = try_call(inst, FIGURES)
    if answer is None:
        return
    if answer.status == FORBIDDEN:
        yield skip("Alerta's key may not read its figures", "give it the scope read:management")
        return
    figures = figures_of(answer.body) if answer.status == OK else {}
    if not figures:
        yield skip(NO_FIGURES)
        return
    problems = list(_problems(figures))
    yield from problems or [ok(f"the plugin sends, {figures['waiting']:.0f} requests wait{_heartbeat(figures)}")]


def _problems(figures: Mapping[str, float]) -> Iterator[Finding]:
    for what, advice in troubles_of(figures):
        yield fail(what, advice)
    if figures.get("dead_letters"):
        yield warn(f"{figures['dead_letters']:.0f} requests were refused for good", "the note on each alert says why")


def _heartbeat(figures: Mapping[str, float]) -> str:
    return ", and the heartbeat is pinged" if figures.get("heartbeat_withheld") == 0 else ""
