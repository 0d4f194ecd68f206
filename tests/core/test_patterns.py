"""Patterns whose matching time is bounded for any text."""

from __future__ import annotations

import time

import pytest

from alerta_opsgenie.core.patterns import LENGTHS, BoundedPattern, PatternError

A_HANG_SECONDS = 20.0


@pytest.mark.parametrize(
    "text",
    [
        "db", "db.*", ".*", "[a-z]+[0-9]+", r"web\d+\.example\.com", ".*(db|sql).*(down|dead).*", "(?i)prod.*",
        "^(?!test).*", "(?:a)|(?:b.*)", "(ab)+", "x?y?z?", r"\b\w+\b", "proxy[\\d+]", "(www|web)[0-9]{1,3}.*", "",
    ],
)  # fmt: skip
def test_usual_patterns_are_accepted(text: str) -> None:
    assert BoundedPattern.compile(text).length in LENGTHS


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+b", "(a|a)*b", "(a|aa)+$", "(.*)*x", "(a?){50}b", "a?" * 60 + "b", "(a|a)" * 60, "(.*a){20}",
        ".*a.*b.*c.*d.*e.*f", r"(a)\1*", "([a-z]+)*",
    ],
)  # fmt: skip
def test_a_pattern_of_unbounded_time_is_refused(text: str) -> None:
    with pytest.raises(PatternError, match="could stop Alerta"):
        BoundedPattern.compile(text)


def test_an_invalid_pattern_is_refused() -> None:
    with pytest.raises(PatternError, match="no regular expression"):
        BoundedPattern.compile("(")


@pytest.mark.parametrize(
    ("text", "hostile"),
    [
        (".*(db|sql).*(down|dead).*x", "dbdown" * 7000),
        (".*[ab].*[ab].*[bc]", "a" * 40_000),
        (".*a.*a.*a.*b", "a" * 40_000),
    ],
)
def test_an_accepted_pattern_ends_on_hostile_texts(text: str, hostile: str) -> None:
    began = time.monotonic()
    assert not BoundedPattern.compile(text).fits([hostile] * 1000, whole=True)
    assert time.monotonic() - began < A_HANG_SECONDS


def test_a_text_is_looked_at_up_to_its_thousandth_character() -> None:
    pattern = BoundedPattern.compile("x*y")
    assert pattern.fits(["x" * 999 + "y"], whole=True)
    assert not pattern.fits(["x" * 1000 + "y"], whole=True)


def test_the_beginning_is_enough_where_not_all_has_to_match() -> None:
    assert BoundedPattern.compile("db").fits(["db1"], whole=False)
    assert not BoundedPattern.compile("db").fits(["db1"], whole=True)


def test_a_harmless_pattern_of_three_parts_sees_enough_of_a_text() -> None:
    assert BoundedPattern.compile(".*(db|sql).*(down|dead).*").length == LENGTHS[1]
