"""Each value in a template is escaped."""

from __future__ import annotations

import pytest

from alerta_opsgenie.page.markup import Html, age, html


@pytest.mark.parametrize("text", ["<script>", "a & b", "\"><img src='x'>", "{name}", "%s"])
def test_values_are_escaped(text: str) -> None:
    shown = html('<p title="{name}">{names}</p>', name=text, names=[text, html("<b>{name}</b>", name=text)])
    assert shown.count("<") == 4
    assert shown.count('"') == 2
    assert isinstance(shown, Html)


@pytest.mark.parametrize("text", ["\u202e", "\u200f", "\x00", "\ud800", "\u2028", "\x1b"])
def test_characters_that_hide_or_reverse_text_are_replaced(text: str) -> None:
    assert html("{name}", name=f"a{text}b") == "a\ufffdb"


@pytest.mark.parametrize(
    ("seconds", "words"), [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (86400 * 3, "3 d")]
)
def test_an_age_is_in_its_largest_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words
