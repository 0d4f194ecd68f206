"""Errors in Go's words."""

from __future__ import annotations

import errno

import pytest

from alerta_opsgenie.vendor.errno_text import go_error, go_exit


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.E2BIG, "argument list too long"),
        (errno.ENOENT, "no such file or directory"),
        (errno.EACCES, "permission denied"),
        (errno.ENOEXEC, "exec format error"),
        (errno.ENOSPC, "no space left on device"),
    ],
)
def test_the_systems_errors_read_as_in_go(number: int, text: str) -> None:
    assert go_error(OSError(number, "whatever")) == text


def test_an_error_without_a_number_keeps_its_own_text() -> None:
    assert go_error(OSError("odd")) == "odd"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, ""),
        (3, "exit status 3"),
        (-9, "signal: killed"),
        (-11, "signal: segmentation fault"),
        (-13, "signal: broken pipe"),
        (-35, "signal: signal 35"),
        (-200, "signal: signal 200"),
    ],
)
def test_endings_read_as_in_go(code: int, text: str) -> None:
    assert go_exit(code) == text
