"""The plugin in Alerta, by the figures that it writes there."""

from __future__ import annotations

from typing import Any, Iterator

from alerta_opsgenie.core.relay import Call
from alerta_opsgenie.doctor.alerta_checks import try_call
from alerta_opsgenie.doctor.finding import Finding, fail, ok, skip, warn
from alerta_opsgenie.doctor.http import FORBIDDEN, OK
from alerta_opsgenie.doctor.installation import Installation

GROUP = "opsgenie"
_STUCK_SECONDS = 300.0


def check_plugin(inst: Installation) -> Iterator[Finding]:
    """Read the figures, and say what is wrong by them."""
    answer = try_call(inst, Call("GET", "/management/status", None, ""))
    if answer is None:
        return
    if answer.status == FORBIDDEN:
        yield skip("Alerta's key may not read its figures", "give it the scope read:management")
        return
    figures = _figures(answer.body) if answer.status == OK else {}
    if "waiting" not in figures:
        yield skip("the plugin in Alerta has written no figures: it is not there, or it sends nothing")
        return
    problems = list(_problems(figures))
    yield from problems or [ok(f"the plugin sends, {figures['waiting']:.0f} requests wait{_heartbeat(figures)}")]


def _figures(body: Any) -> dict[str, float]:
    metrics = body.get("metrics") if isinstance(body, dict) else None
    found = [one for one in metrics if isinstance(one, dict)] if isinstance(metrics, list) else []
    return {
        str(one.get("name")): float(one["value"])
        for one in found
        if one.get("group") == GROUP and isinstance(one.get("value"), (int, float))
    }


def _problems(figures: dict[str, float]) -> Iterator[Finding]:
    for prefix, whom in (("", "the vendor"), ("also_", "the other product")):
        oldest = figures.get(f"{prefix}oldest_waiting_seconds", 0.0)
        if oldest > _STUCK_SECONDS:
            yield fail(f"the oldest request to {whom} has waited for {oldest:.0f} s", "Alerta's log says why")
    if figures.get("heartbeat_withheld"):
        yield fail("the heartbeat at the vendor is withheld", "Alerta's log says why: no ping to the heartbeat")
    if figures.get("way_back_dead"):
        yield fail("what people do over there does not arrive", "correct what else fails here (docs/how-to/watch.md)")
    if figures.get("dead_letters"):
        yield warn(f"{figures['dead_letters']:.0f} requests were refused for good", "the note on each alert says why")


def _heartbeat(figures: dict[str, float]) -> str:
    return ", and the heartbeat is pinged" if figures.get("heartbeat_withheld") == 0 else ""
