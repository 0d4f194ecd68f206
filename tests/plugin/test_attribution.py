"""Attribution works from the first request of a process, also if several start at once."""

from __future__ import annotations

from flask import Flask

from alerta_opsgenie.plugin import attribution


def test_a_request_that_began_before_the_first_was_seen_is_attributed_too() -> None:
    """Two threads make their contexts before the class of `g` is extended: Flask takes the class when it makes `g`."""
    attribution.install()
    app = Flask("two-at-once")
    first, second = app.app_context(), app.app_context()
    with first:
        assert isinstance(first.g, attribution.AttributedGlobals)
    with second:
        assert isinstance(second.g, attribution.AttributedGlobals)
