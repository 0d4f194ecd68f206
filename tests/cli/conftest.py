"""A state directory for each test of a command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.state_directory import StateDirectory, open_state_directory


@pytest.fixture
def place(tmp_path: Path) -> Iterator[StateDirectory]:
    with open_state_directory(tmp_path / "state") as made:
        yield made
