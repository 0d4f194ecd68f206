"""Looking at things as another user."""

from __future__ import annotations

import os
import time

import pytest

from alerta_opsgenie.vendor.as_user import RunAsError, run_as

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@only_root
def test_work_runs_with_the_users_uid_and_gid_and_no_other_groups() -> None:
    seen = run_as(NOBODY, NOBODY, lambda: [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()])
    assert seen == [NOBODY, NOBODY, NOBODY, []]


def test_an_exception_in_the_child_is_raised() -> None:
    with pytest.raises(RunAsError, match="ZeroDivisionError"):
        run_as(os.geteuid(), os.getegid(), lambda: 1 // 0)


def test_work_over_its_time_limit_is_killed() -> None:
    began = time.monotonic()
    with pytest.raises(RunAsError, match="too long"):
        run_as(os.geteuid(), os.getegid(), lambda: time.sleep(60), limit_seconds=0.2)
    assert time.monotonic() - began < 10


def test_only_root_can_become_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RunAsError, match="only root"):
        run_as(0, 0, lambda: None)
