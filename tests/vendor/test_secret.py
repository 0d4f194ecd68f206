"""A secret prints as three asterisks, whatever is done to it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from alerta_opsgenie.vendor.secret import Secret


@dataclass
class Holder:
    key: Secret


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, lambda secret: repr([Holder(secret)])])
def test_no_way_of_printing_shows_the_text(show: object) -> None:
    assert callable(show)
    printed = show(Secret("k-4711"))
    assert "4711" not in printed
    assert "***" in printed


def test_only_reveal_gives_the_text() -> None:
    assert Secret("k-4711").reveal() == "k-4711"
    with pytest.raises(TypeError):
        json.dumps(Secret("k-4711"))


def test_secrets_compare_by_their_text_and_with_secrets_alone() -> None:
    assert Secret("a\ud800") == Secret("a\ud800")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")
