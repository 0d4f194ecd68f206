"""The decisions are numbered, dated and listed, and the code's pointers into the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.console_blocks import DOCS, ROOT

DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))
INDEX = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "src").rglob("*.py"))
_PAGE = re.compile(r"docs/[\w./-]+\.md")


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_number_and_its_date(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert re.match(rf"# {path.name[:4]}: \w", lines[0])
    assert re.match(r"20\d\d-\d\d-\d\d\.", lines[2])


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_the_index_shows_whether_a_decision_is_superseded(path: Path) -> None:
    line = next(line for line in INDEX.splitlines() if f"({path.name})" in line)
    by = re.search(r"Superseded by \[(\d+)\]", path.read_text(encoding="utf-8"))
    assert re.findall(r"superseded by (\d+)", line) == ([by[1]] if by else [])


def test_each_page_that_the_code_names_exists() -> None:
    named = {page for path in SOURCES for page in _PAGE.findall(path.read_text(encoding="utf-8"))}
    assert {page for page in named if not (ROOT / page).is_file()} == set()
