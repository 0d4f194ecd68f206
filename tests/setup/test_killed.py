"""An installation, and its undoing, killed before each of its changes: run again it is completed, or undone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from alerta_opsgenie.setup.host import Host
from tests.setup.conftest import make_image
from tests.setup.test_plan import BEFORE
from tests.support.trees import snapshot

MUTATIONS = ("make_directory", "write", "set_attributes", "move", "remove_file", "remove_directory", "remove_tree")
STRIDES = {"nothing": 5, "the vendor's layout": 3, "an older set-up": 1}
"""How many changes lie between two kills; the richest beginning is tried at every one."""


def killed_after(mutations: int, work: Callable[[], object]) -> bool:
    """Do `work` in a child process that is killed before its next change of a file; False: it came to its end."""
    child = os.fork()
    if child == 0:
        _count_down(mutations)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _count_down(mutations: int) -> None:
    left = [mutations]

    def deadly(method: Callable[..., object]) -> Callable[..., object]:
        def call(self: object, *args: object, **named: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return method(self, *args, **named)

        return call

    for name in MUTATIONS:
        setattr(Host, name, deadly(getattr(Host, name)))
    Path.replace = deadly(Path.replace)  # type: ignore[assignment, method-assign]


@pytest.mark.faults
@pytest.mark.parametrize("before", STRIDES)
def test_killed_anywhere_it_is_completed_by_running_it_again(quick_path: Path, before: str) -> None:
    whole = make_image(quick_path, "oec")
    BEFORE[before](whole.root)
    whole.install(tidy=True)
    goal = {path: entry[:2] for path, entry in snapshot(whole.root).items() if "setup" not in path}
    for count in range(0, 300, STRIDES[before]):
        (quick_path / str(count)).mkdir()
        image = make_image(quick_path / str(count), "oec")
        BEFORE[before](image.root)
        state = snapshot(image.root)
        killed = killed_after(count, lambda image=image: image.install(tidy=True))  # type: ignore[misc]
        image.install(tidy=True)
        result = {path: entry[:2] for path, entry in snapshot(image.root).items() if "setup" not in path}
        assert result == goal, f"after {count} changes"
        image.uninstall()
        assert snapshot(image.root) == state, f"after {count} changes"
        if not killed:
            break
    assert count > 20


@pytest.mark.faults
@pytest.mark.parametrize("before", STRIDES)
def test_killed_anywhere_it_can_be_undone(quick_path: Path, before: str) -> None:
    for count in range(0, 300, STRIDES[before]):
        (quick_path / str(count)).mkdir()
        image = make_image(quick_path / str(count), "oec")
        BEFORE[before](image.root)
        state = snapshot(image.root)
        killed = killed_after(count, lambda image=image: image.install(tidy=True))  # type: ignore[misc]
        image.uninstall()
        assert snapshot(image.root) == state, f"after {count} changes"
        if not killed:
            break
    assert count > 20


@pytest.mark.faults
@pytest.mark.parametrize("before", STRIDES)
def test_undoing_that_was_killed_anywhere_goes_on_where_it_stopped(quick_path: Path, before: str) -> None:
    for count in range(0, 300, STRIDES[before]):
        (quick_path / str(count)).mkdir()
        image = make_image(quick_path / str(count), "oec")
        BEFORE[before](image.root)
        state = snapshot(image.root)
        image.install(tidy=True)
        killed = killed_after(count, image.uninstall)
        image.uninstall()
        assert snapshot(image.root) == state, f"after {count} changes"
        if not killed:
            break
    assert count > 20
