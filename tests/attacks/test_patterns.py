"""Patterns of the settings: the texts of alerts come from other people, and cannot block Alerta."""

from __future__ import annotations

import time

from tests.attacks.people import Site

BLOCKED_SECONDS = 20.0


def test_long_texts_do_not_stop_the_api(closed: Site) -> None:
    """Attacker: anybody who may send alerts, with four texts of 40,000 characters that make a normal pattern slow."""
    began = time.monotonic()
    for _ in range(4):
        closed.new_alert(text="dbdownsqldead" * 3000 + "\n")
    assert time.monotonic() - began < BLOCKED_SECONDS


def test_a_slow_pattern_is_not_used_and_is_logged(closed: Site) -> None:
    """The administrator configured a repeat in a repeat by mistake."""
    closed.new_alert(text="a" * 5000)
    assert "OPSGENIE_ROUTES[1]" in closed.run.log()
    assert "could stop Alerta" in closed.run.log()
