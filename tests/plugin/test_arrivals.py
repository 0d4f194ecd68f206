"""How many sweeps have repaired Alerta since the last message from the vendor."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.plugin.arrivals import SWEEPS, count_sweeps


def count_after(*steps: tuple[dict[str, int] | None, float]) -> int:
    """Return the count after sweeps, each with its repairs and the time of the last message."""
    state: dict[str, Any] = {}
    for number, (repaired, arrived_at) in enumerate(steps, 1):
        report = {"at": float(number), "repaired": repaired or {}}
        state = count_sweeps(state, report, arrived_at)
    return int(state["count"])


BY_SWEEP, TO_VENDOR, NOTHING = {"open alerta": 2}, {"open opsgenie": 2}, None


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        ([(BY_SWEEP, 0.0)] * SWEEPS, SWEEPS),
        ([(TO_VENDOR, 0.0)] * SWEEPS, 0),
        ([(NOTHING, 0.0)] * SWEEPS, 0),
        ([(BY_SWEEP, 0.0), (NOTHING, 0.0), (BY_SWEEP, 0.0)], 2),
        ([(BY_SWEEP, 0.0), (BY_SWEEP, 0.0), (BY_SWEEP, 5.0)], 0),
        ([(BY_SWEEP, 5.0), (BY_SWEEP, 5.0), (BY_SWEEP, 5.0), (BY_SWEEP, 5.0)], 3),
    ],
)
def test_sweeps_count_until_a_message_comes(steps: list[tuple[dict[str, int] | None, float]], count: int) -> None:
    assert count_after(*steps) == count
