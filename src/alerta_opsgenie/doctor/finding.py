"""What a check found."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Iterable

OK, SKIP, WARN, FAIL = "ok", "skip", "warn", "fail"
LEVELS = (OK, SKIP, WARN, FAIL)


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    `level` is ok (it was tried and works), skip (it could not be tried), warn (it works, but not for long or not as
    well as it could) or fail. `what` says what is the case, `advice` the next thing to do; both are one line without
    secrets.
    """

    level: str
    what: str
    advice: str = ""


ok, warn, fail = (functools.partial(Finding, level) for level in (OK, WARN, FAIL))
"""`ok(what)`: it was tried and works. `warn(what, advice)` and `fail(what, advice)`: see the levels."""


def skip(what: str, advice: str = "") -> Finding:
    """Say that something was not tried, and why."""
    return Finding(SKIP, f"not tried: {what}", advice)


def worst(findings: Iterable[Finding]) -> str:
    """Give the worst level among findings; ok where there is none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default=OK)
