"""Texts are cut to the vendor's limits however it counts, and nothing is cut that fits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core import limits
from alerta_opsgenie.core.limits import Fitting, length, shorten


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_a_fitted_text_is_within_its_limit_and_a_short_one_is_unchanged(text: str, limit: int) -> None:
    fitting = Fitting()
    fitted = fitting.text("f", text, limit)
    assert length(fitted) <= limit
    assert len(fitted) <= limit
    assert bool(fitting.cut) is (fitted != fitting.text("f", text, 10**6))


def test_tags_are_few_short_single_and_without_commas() -> None:
    fitting = Fitting()
    tags = fitting.tags(["a,b", "a b", "", " ", "x" * 99, *map(str, range(40))])
    assert tags[0] == "a b"
    assert len(tags) == limits.TAGS
    assert all(0 < length(tag) <= limits.TAG and "," not in tag for tag in tags)
    assert fitting.names == ("tags",)


@given(st.text(), st.integers(min_value=0, max_value=40))
def test_a_shortened_text_is_a_beginning(text: str, limit: int) -> None:
    assert text.startswith(shorten(text, limit))
    assert length(shorten(text, limit)) <= limit


@given(st.dictionaries(st.text(max_size=50), st.text(max_size=5000), max_size=30))
def test_details_fit_together(details: dict[str, str]) -> None:
    fitted = Fitting().details(details)
    assert sum(length(name) + length(value) for name, value in fitted.items()) <= limits.DETAILS


def test_characters_that_no_database_stores_are_replaced() -> None:
    assert Fitting().text("f", "a\x00b\ud800c", 10) == "a\ufffdb\ufffdc"
