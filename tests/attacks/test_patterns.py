"""Patterns of the settings: whoever sends alerts chooses the texts they are tried on, and cannot stop Alerta by it."""

from __future__ import annotations

import time

from tests.attacks.people import Site

A_STOP_SECONDS = 20.0


def test_long_texts_do_not_stop_the_api(closed: Site) -> None:
    """Who: whoever may send alerts. Tried: four texts of 40,000 characters that a harmless pattern is slow on."""
    began = time.monotonic()
    for _ in range(4):
        closed.new_alert(text="dbdownsqldead" * 3000 + "\n")
    assert time.monotonic() - began < A_STOP_SECONDS


def test_a_pattern_that_could_take_for_ever_is_not_used_and_named_in_the_log(closed: Site) -> None:
    """Who: the administrator, by mistake. Did: a repeat in a repeat."""
    closed.new_alert(text="a" * 5000)
    assert "OPSGENIE_ROUTES[1]" in closed.run.log()
    assert "could stop Alerta" in closed.run.log()
