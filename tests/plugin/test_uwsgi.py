"""What the plugin asks of uWSGI, by a module that stands in for uWSGI's own; the real one is in tests/e2e."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from alerta_opsgenie.plugin import uwsgi

APP = Flask("alerta")


def server(monkeypatch: pytest.MonkeyPatch, **what: Any) -> SimpleNamespace:
    handlers: dict[tuple[int, str], Any] = {}
    timers: list[tuple[int, int]] = []
    made = SimpleNamespace(
        version_info=(2, 0, 21),
        opt={},
        timers=timers,
        handlers=handlers,
        worker_id=lambda: 0,
        masterpid=lambda: 7,
        signal_registered=lambda number: number == 255,
        register_signal=lambda number, who, do: handlers.update({(number, who): do}),
        add_timer=lambda number, seconds: timers.append((number, seconds)),
    )
    made.__dict__.update(what)
    monkeypatch.setitem(sys.modules, "uwsgi", made)
    return made


def test_every_worker_looks_by_a_timer_of_the_master(monkeypatch: pytest.MonkeyPatch) -> None:
    made, looks = server(monkeypatch), list[Flask]()
    uwsgi._watch(APP, looks.append)
    assert (looks, made.timers) == ([], [(254, 2)])
    made.handlers[254, "workers"](254)
    assert looks == [APP]


def test_a_worker_that_makes_its_own_application_looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, looks = server(monkeypatch, worker_id=lambda: 3), list[Flask]()
    uwsgi._watch(APP, looks.append)
    assert (looks, made.timers) == ([APP], [])


def test_without_a_master_there_is_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    made = server(monkeypatch, masterpid=lambda: 0)
    uwsgi._watch(APP, lambda _app: None)
    assert made.timers == []


@pytest.mark.parametrize(
    ("version", "options", "run"),
    [((2, 0, 21), {}, False), ((2, 0, 21), {"threads": b"4"}, True), ((2, 0, 26), {"enable-threads": True}, True),
     ((2, 0, 31), {}, True)],
)  # fmt: skip
def test_whether_threads_run(monkeypatch: pytest.MonkeyPatch, version: Any, options: Any, run: bool) -> None:
    server(monkeypatch, version_info=version, opt=options)
    assert uwsgi.threads_run() is run
