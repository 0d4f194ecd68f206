"""Paths, quotes and guesses in what is told to people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.vendor.problems import ConfigError, Problem, json_path, nearest, shown


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ((), "$"),
        (("pollerConf", "maxNumberOfMessages"), "$.pollerConf.maxNumberOfMessages"),
        (("globalArgs", 3), "$.globalArgs[3]"),
        (("actionMappings", "my action"), '$.actionMappings["my action"]'),
        (("a\nb",), '$["a\\nb"]'),
    ],
)
def test_a_place_is_spelt_as_a_json_path(parts: tuple[str | int, ...], path: str) -> None:
    assert json_path(*parts) == path


@given(st.text())
def test_whatever_stands_in_the_file_is_shown_on_one_printable_line(text: str) -> None:
    assert shown(text).isprintable()
    assert json_path(text).isprintable()
    assert len(shown(text)) <= 6 * 80 + 2


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("apikey", ("apiKey", "baseUrl"), "apiKey"),
        ("filePath", ("filepath", "flags"), "filepath"),
        ("visibilityTimeoutInSecs", ("visibilityTimeoutInSeconds",), "visibilityTimeoutInSeconds"),
        ("zzz", ("apiKey", "baseUrl"), None),
        ("", ("local", "git"), None),
    ],
)
def test_the_nearest_known_name_is_found_and_a_far_one_is_not(
    name: str, known: tuple[str, ...], meant: str | None
) -> None:
    assert nearest(name, known) == meant


def test_a_problem_and_an_error_are_told_on_one_line() -> None:
    assert str(Problem("error", "$.a", "is wrong", "write b")) == "error: $.a: is wrong; write b"
    assert str(ConfigError("x.json", "is empty", "write it")) == "x.json: is empty"
