"""The special cases for uWSGI, with a stand-in for uWSGI's module; the real uWSGI is in tests/e2e."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from alerta_opsgenie.plugin import uwsgi

APP = Flask("alerta")


def server(monkeypatch: pytest.MonkeyPatch, **what: Any) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(worker_id=lambda: 0, masterpid=lambda: 0, **what))


def test_a_lazy_worker_calls_at_once_and_without_a_master_nothing_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = list[Flask]()
    server(monkeypatch)
    uwsgi._watch(APP, looks.append)
    assert looks == []
    monkeypatch.setattr(sys.modules["uwsgi"], "worker_id", lambda: 3)
    uwsgi._watch(APP, looks.append)
    assert looks == [APP]


@pytest.mark.parametrize(
    ("version", "options", "run"),
    [((2, 0, 21), {}, False), ((2, 0, 21), {"threads": b"4"}, True), ((2, 0, 26), {"enable-threads": True}, True),
     ((2, 0, 31), {}, True)],
)  # fmt: skip
def test_whether_threads_run(monkeypatch: pytest.MonkeyPatch, version: Any, options: Any, run: bool) -> None:
    server(monkeypatch, version_info=version, opt=options)
    assert uwsgi.threads_run() is run
