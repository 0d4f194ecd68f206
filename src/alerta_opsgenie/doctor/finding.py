"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable

OK, WARN, FAIL = "ok", "warn", "fail"
LEVELS = (OK, WARN, FAIL)


@dataclass(frozen=True)
class Finding:
    """`level` is ok (so it should be), warn (it works, but not for long or not as well as it could) or fail.

    `what` tells what is the case, `mend` the next thing to do; both are one line and free of secrets.
    """

    level: str
    what: str
    mend: str = ""


def ok(what: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(OK, what)


def warn(what: str, mend: str) -> Finding:
    """Say that something works and yet needs a look."""
    return Finding(WARN, what, mend)


def fail(what: str, mend: str) -> Finding:
    """Say that something does not work."""
    return Finding(FAIL, what, mend)


def worst(findings: Iterable[Finding]) -> str:
    """Give the worst level among findings; ok where there is none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default=OK)
