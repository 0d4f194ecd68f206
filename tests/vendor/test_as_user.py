"""Looking at things as another user."""

from __future__ import annotations

import os
import time

import pytest

from alerta_opsgenie.vendor.as_user import RunAsError, run_as

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@only_root
def test_the_work_is_done_as_that_user_and_no_other_group() -> None:
    seen = run_as(NOBODY, NOBODY, lambda: [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()])
    assert seen == [NOBODY, NOBODY, NOBODY, []]


def test_a_failure_in_it_is_told() -> None:
    with pytest.raises(RunAsError, match="ZeroDivisionError"):
        run_as(os.geteuid(), os.getegid(), lambda: 1 // 0)


def test_one_that_does_not_end_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(RunAsError, match="too long"):
        run_as(os.geteuid(), os.getegid(), lambda: time.sleep(60), limit_seconds=0.2)
    assert time.monotonic() - began < 10


def test_nobody_but_root_becomes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RunAsError, match="only root"):
        run_as(0, 0, lambda: None)
