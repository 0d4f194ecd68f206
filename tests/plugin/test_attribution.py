"""The first requests of a process: each lends names, however many begin at once."""

from __future__ import annotations

from flask import Flask

from alerta_opsgenie.plugin import attribution


def test_a_request_that_began_before_the_first_was_seen_lends_names_too() -> None:
    """Two threads make their contexts before either is told of; Flask takes the class of `g` when it makes one."""
    attribution.install()
    app = Flask("two-at-once")
    first, second = app.app_context(), app.app_context()
    with first:
        assert isinstance(first.g, attribution.Attributed)
    with second:
        assert isinstance(second.g, attribution.Attributed)
