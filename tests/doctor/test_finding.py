"""Findings and their levels."""

from __future__ import annotations

import pytest

from alerta_opsgenie.doctor.finding import Finding, fail, ok, warn, worst


@pytest.mark.parametrize(
    ("findings", "level"),
    [
        ([], "ok"),
        ([ok("a")], "ok"),
        ([ok("a"), warn("b", "c"), ok("d")], "warn"),
        ([fail("a", "b"), warn("c", "d")], "fail"),
    ],
)
def test_the_worst_counts(findings: list[Finding], level: str) -> None:
    assert worst(findings) == level
