"""The documentation builds without a warning: each internal link leads somewhere, each page is in a toctree."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.console_blocks import DOCS
from tests.docs.generate import commands

SECONDS = 110.0


def build(source: Path, goal: Path, builder: str = "html") -> subprocess.CompletedProcess[str]:
    """Build as `make docs` does."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", builder, "-d", str(goal / "trees")]
    return subprocess.run(
        [*command, str(source), str(goal / "out")],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as HTML."""
    goal = tmp_path_factory.mktemp("docs")
    ended = build(DOCS, goal)
    assert ended.returncode == 0, ended.stderr
    return goal / "out"


@pytest.mark.parametrize("word", ["snooz", "kubernet", "uninstal"])
def test_the_search_index_has_the_word(built: Path, word: str) -> None:
    """The index holds the stems of words."""
    index = json.loads(re.sub(r"^Search.setIndex\((.*)\)$", r"\1", (built / "searchindex.js").read_text()))
    assert word in index["terms"]


def test_each_command_is_in_the_man_page(tmp_path: Path) -> None:
    ended = build(DOCS, tmp_path, "man")
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "out" / "alerta-opsgenie.1").read_text().replace("\\-", "-")
    assert [one.command_path for one in commands() if f"Usage: {one.command_path}" not in page] == []
    assert (tmp_path / "out" / "alerta-opsgenie.5").stat().st_size > 5000


def test_a_command_can_be_copied_without_its_prompt_and_is_not_cut(built: Path) -> None:
    page = (built / "tutorial.html").read_text()
    assert "copybutton.js" in page
    assert "[$#] " in (built / "_static/copybutton.js").read_text()
    assert "commands.css" in page
    assert "pre-wrap" in (built / "_static/commands.css").read_text()
    assert 'class="highlight-console' in page  # what the style is for


def test_every_page_is_built(built: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert {page for page in sources if not (built / page.with_suffix(".html")).is_file()} == set()
