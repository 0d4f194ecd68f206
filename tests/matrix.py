"""Run the tests that speak to a real Alerta against every supported one, and write the table of the documentation.

    python -m tests.matrix [VERSION ...]

Each row is a run of its own. The page is written only where all versions were run; the exit status is 1 for a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

from lab.versions import COMPANIONS, OWN, VARIABLE, interpreter

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "alerta-versions.md"
BEGIN, END = "<!-- made by `make test-matrix` -->\n", "<!-- end -->\n"

PARALLEL = ("--numprocesses", "2", "--dist", "loadfile")
VERSIONS = (OWN, *COMPANIONS)
ISA, MONGODB = "tests/e2e/test_isa.py", "tests/e2e/test_mongodb.py"
COLUMNS = {
    "PostgreSQL": ("tests/attacks", *sorted(
        str(path.relative_to(ROOT))
        for pattern in ("test_plugin*.py", "test_re*_on_alerta.py", "test_pooler.py")
        for path in (ROOT / "tests" / "e2e").glob(pattern)
        if path.name != "test_plugin_ring.py"  # minutes, and about the circle of both sides, not about Alerta
    )),
    "PostgreSQL, ISA 18.2": (ISA,),
    "MongoDB (mongomock)": (MONGODB,),
}  # fmt: skip


class Result(NamedTuple):
    """What a run came to; `skipped` are tests that a fault of that Alerta's own leaves out."""

    passed: int
    failed: int
    skipped: int

    def __str__(self) -> str:
        asked = self.passed + self.failed
        return f"{self.passed} of {asked}" + (f", {self.skipped} left out" if self.skipped else "")


def run(version: str, files: tuple[str, ...]) -> Result:
    """Run some tests against one Alerta; what fails is shown as pytest shows it."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not long", *PARALLEL, f"--junitxml={report}", *files]
        subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: version}, check=False)
        suite = ET.parse(report).getroot()[0]
    tests, failures, errors, skipped = (int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped"))
    return Result(tests - failures - errors - skipped, failures + errors, skipped)


def table(results: dict[str, list[Result]]) -> str:
    """Lay the results out as Markdown."""
    head = f"| alerta-server | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}\n"
    return head + "".join(f"| {name} | {' | '.join(map(str, row))} |\n" for name, row in results.items())


def main(wanted: list[str]) -> int:
    """Run the matrix."""
    versions = wanted or list(VERSIONS)
    for version in versions:
        interpreter(version)
    results = {version: [run(version, files) for files in COLUMNS.values()] for version in versions}
    print(made := table(results))
    if not wanted:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + made + END + rest.partition(END)[2])
    return int(any(result.failed for row in results.values() for result in row))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
