"""Texts are cut to the vendor's limits however it counts, and nothing is cut that fits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core import limits
from alerta_opsgenie.core.limits import Fitting, length


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_a_fitted_text_fits_and_one_that_fitted_is_whole(text: str, limit: int) -> None:
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
