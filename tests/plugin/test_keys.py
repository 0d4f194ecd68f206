"""Secrets: compared, and never printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerta_opsgenie.plugin.keys import Key


def test_an_empty_secret_equals_nothing() -> None:
    assert not Key("").equals("")
    assert not Key("")


@pytest.mark.parametrize(
    ("shown", "same"), [("secret", True), ("Secret", False), ("secret ", False), ("", False), ("\ud800", False)]
)
def test_only_the_same_text_equals_a_secret(shown: str, same: bool) -> None:
    assert Key("secret").equals(shown) is same


def test_a_file_that_cannot_be_read_raises_and_shows_nothing(tmp_path: Path) -> None:
    key = Key(path=str(tmp_path / "absent"))
    with pytest.raises(OSError, match="absent"):
        key.reveal()
    assert f"{key} {key!r}" == "*** ***"
