"""Paths, quotes and guesses in what is told to people."""

from __future__ import annotations

import pytest

from alerta_opsgenie.vendor.problems import json_path, nearest


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("pollerConf", "maxNumberOfMessages"), "$.pollerConf.maxNumberOfMessages"),
        (("globalArgs", 3), "$.globalArgs[3]"),
        (("actionMappings", "my action"), '$.actionMappings["my action"]'),
        (("a\nb",), '$["a\\nb"]'),
    ],
)
def test_a_place_is_spelt_as_a_json_path(parts: tuple[str | int, ...], path: str) -> None:
    assert json_path(*parts) == path


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("apikey", ("apiKey", "baseUrl"), "apiKey"),
        ("visibilityTimeoutInSecs", ("visibilityTimeoutInSeconds",), "visibilityTimeoutInSeconds"),
        ("zzz", ("apiKey", "baseUrl"), None),
    ],
)
def test_the_nearest_known_name_is_found_and_a_far_one_is_not(
    name: str, known: tuple[str, ...], meant: str | None
) -> None:
    assert nearest(name, known) == meant
