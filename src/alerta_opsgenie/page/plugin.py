"""The direction from Alerta to the vendor: the plugin's figures, which Alerta stores."""

from __future__ import annotations

import math
import threading
import time
from contextlib import closing
from typing import Any, Callable, Iterator, Mapping

from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError, UnreachableError
from alerta_opsgenie.core.outcome import Answer
from alerta_opsgenie.core.task import Call
from alerta_opsgenie.page.view import PluginStatus, Problem

FIGURES = Call("GET", "/management/status", None, "")

_GROUP = "opsgenie"
_FRESH_SECONDS = 10.0
_CALL_SECONDS = 2.0
_FIRST_WAIT_SECONDS = 0.5  # how long the first page waits for the figures
_STUCK_SECONDS = 300.0
_TOO_LARGE = 1e11  # for any figure; below it `time.gmtime` works on every platform
_OK = 200
_REFUSALS = {
    _OK: "the plugin in Alerta has written no figures: it is not installed, or it sends nothing",
    401: "Alerta does not know the bridge's key",
    403: "the key may not read Alerta's figures: give the bridge's key in Alerta the scope read:management",
}


class PluginFigures:
    """Fetches the figures from one Alerta, at most every 10 s and in a thread. The page shows the last. Thread-safe."""

    def __init__(self, url: str, client: Callable[[], AlertaClient]) -> None:
        self._client = client
        self._mutex = threading.Lock()
        self._fetched_at = -math.inf
        self._is_known = threading.Event()
        self._side = PluginStatus(url, "Alerta has not responded yet")

    def __call__(self) -> PluginStatus:
        """Return the last figures."""
        with self._mutex:
            is_due = time.monotonic() - self._fetched_at > _FRESH_SECONDS
            if is_due:
                self._fetched_at = time.monotonic()
        if is_due:
            threading.Thread(target=self._fetch, name="plugin-figures", daemon=True).start()
            self._is_known.wait(_FIRST_WAIT_SECONDS)
        return self._side

    def _fetch(self) -> None:
        try:
            with closing(self._client()) as client:
                self._side = read_plugin_figures(self._side.url, client.send(FIGURES, time.monotonic() + _CALL_SECONDS))
        except (UnreachableError, AddressError) as error:
            self._side = PluginStatus(self._side.url, f"Alerta cannot be asked: {error}")
        self._is_known.set()


def read_plugin_figures(url: str, answer: Answer) -> PluginStatus:
    """Read Alerta's response to `FIGURES`."""
    figures = _figures_of(answer.body) if answer.status == _OK else {}
    why = _REFUSALS.get(answer.status, f"Alerta answered {answer.status} to {FIGURES.path}")
    return PluginStatus(url, "" if figures else why, figures, tuple(_problems_of(figures)))


def _figures_of(body: Any) -> dict[str, float]:
    """Return the plugin's figures among Alerta's; empty where the plugin has written none."""
    metrics = body.get("metrics") if isinstance(body, dict) else None
    found = {}
    for one in metrics if isinstance(metrics, list) else []:
        if isinstance(one, dict) and one.get("group") == _GROUP:
            value = one.get("count") if one.get("type") == "counter" else one.get("value")
            if isinstance(value, (int, float)) and abs(value) < _TOO_LARGE:
                found[str(one.get("name"))] = float(value)
    return found if "waiting" in found else {}


def _problems_of(figures: Mapping[str, float]) -> Iterator[Problem]:
    """Return the problems that the figures show."""
    for prefix, whom in (("", "the vendor"), ("also_", "the other product")):
        oldest = figures.get(f"{prefix}oldest_waiting_seconds", 0.0)
        if oldest > _STUCK_SECONDS:
            yield Problem(f"the oldest request to {whom} has waited for {oldest:.0f} s", "Alerta's log says why")
    if figures.get("heartbeat_withheld"):
        yield Problem("the heartbeat at the vendor is withheld", "Alerta's log says why: no ping to the heartbeat")
    if figures.get("way_back_dead"):
        advice = "correct what else fails here (docs/how-to/watch.md)"
        yield Problem("what people do in Opsgenie or JSM does not arrive", advice)
