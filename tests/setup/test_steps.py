"""Single steps: users and directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.setup.host import Host
from alerta_opsgenie.setup.layout import ROOT, Directory
from alerta_opsgenie.setup.record import Record
from alerta_opsgenie.setup.steps import AddGroup, AddUser, MakeDirectory
from tests.setup.conftest import NOW


class FakeHost(Host):
    """A host whose users are a list."""

    def user_number(self, name: str) -> int | None:
        return 990 if name == "there" else None

    def group_number(self, name: str) -> int | None:
        return self.user_number(name)


@pytest.mark.parametrize("step", [AddGroup("there"), AddUser("there", "there", "/home/there")])
def test_a_user_that_is_there_needs_no_step(step: Any) -> None:
    host = FakeHost()
    assert not step.assess(host, Record(host, "oec", "no-such")).needed


@pytest.mark.parametrize("step", [AddGroup("missing"), AddUser("missing", "missing", "/home/missing")])
def test_in_an_image_no_user_is_made(step: Any, tmp_path: Path) -> None:
    host = FakeHost(str(tmp_path))
    assert not step.assess(host, Record(host, "oec", "no-such")).needed


@pytest.mark.parametrize(("mode", "becomes"), [(0o700, 0o700), (0o744, 0o744), (0o777, 0o750), (0o500, 0o750)])
def test_a_directory_that_is_there_keeps_a_mode_that_will_do(tmp_path: Path, mode: int, becomes: int) -> None:
    """OEC itself sets its log directory to 0744."""
    host = Host(str(tmp_path))
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory").chmod(mode)
    step = MakeDirectory(Directory("/directory", ROOT, 0o750))
    with Record(host, "oec", "opsgenie") as record:
        if step.assess(host, record).needed:
            step.apply(host, record, NOW)
    assert (tmp_path / "directory").stat().st_mode & 0o777 == becomes
