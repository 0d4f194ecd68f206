"""The result of a check."""

from __future__ import annotations

import functools
from typing import Iterable, Iterator, NamedTuple

OK, SKIP, WARN, FAIL = "ok", "skip", "warn", "fail"
LEVELS = (OK, SKIP, WARN, FAIL)


class Finding(NamedTuple):
    """One result of a check.

    `level` is ok (it was tried and works), skip (it could not be tried), warn (it works, but not for long or not as
    well as it could) or fail. `what` is the result and `advice` the next step; both are one line without secrets.
    `check` is the name of the check.
    """

    level: str
    what: str
    advice: str = ""
    check: str = ""


class CheckEndedError(Exception):
    """Ends a check with these findings; with none if another check reports the reason."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__()
        self.findings = findings


ok, warn, fail = (functools.partial(Finding, level) for level in (OK, WARN, FAIL))
"""`ok(what)`: it was tried and works. `warn(what, advice)` and `fail(what, advice)`: see the levels."""


def skip(what: str, advice: str = "") -> Finding:
    """Return a finding that `what` was not tried."""
    return Finding(SKIP, f"not tried: {what}", advice)


def findings_of(check: Iterable[Finding], name: str = "") -> Iterator[Finding]:
    """Run a check and set its name in findings that have none."""
    try:
        for finding in check:
            yield finding._replace(check=finding.check or name)
    except CheckEndedError as ended:
        yield from (finding._replace(check=name) for finding in ended.findings)


def worst(findings: Iterable[Finding]) -> str:
    """Return the worst level among findings; ok where there is none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default=OK)
