"""Options are found in each form in which people write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.vendor.arguments import (
    Option,
    environment_pairs,
    find_options,
    names_alerta,
    without_options,
)
from alerta_opsgenie.vendor.config import OEC, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.secret import Secret


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (["-a", "1"], [Option("a", "1", 0, 2)]),
        (["--a", "1"], [Option("a", "1", 0, 2)]),
        (["--a=1"], [Option("a", "1", 0, 1)]),
        (["-a="], [Option("a", "", 0, 1)]),
        (["--a", "--b", "2"], [Option("a", None, 0, 1), Option("b", "2", 1, 2)]),
        (["--a", "-1"], [Option("a", "-1", 0, 2)]),
        (["x", "-a", "b\nc", "y"], [Option("a", "b\nc", 1, 2)]),
        (["-a"], [Option("a", None, 0, 1)]),
        ([], []),
    ],
)
def test_options_are_found_with_their_values_and_places(args: list[str], options: list[Option]) -> None:
    assert list(find_options(args)) == options


def test_options_are_taken_out_with_their_values_and_nothing_else() -> None:
    args = ["lead", "-apiKey", "k", "--mine", "1", "--opsgenieUrl=u", "-logLevel", "--last", "z"]
    assert without_options(args, ["apiKey", "opsgenieUrl", "logLevel"]) == ("lead", "--mine", "1", "--last", "z")


@given(st.lists(st.sampled_from(["-a", "--b=1", "x", "-apiKey", "", "-", "--", "-1"])))
def test_taking_out_nothing_changes_nothing(args: list[str]) -> None:
    assert without_options(args, []) == tuple(args)


def test_the_last_of_a_variable_counts_and_what_is_none_is_passed_over() -> None:
    assert environment_pairs(["A=1", "B", "=x", "A=2", "C=", "D=a=b"]) == {"A": "2", "C": "", "D": "a=b"}


def config_with(**changes: Any) -> EdgeConfig:
    return EdgeConfig(OEC, Secret("k"), "https://api.opsgenie.com", {}, **changes)


@pytest.mark.parametrize(
    "args",
    [
        ("--alertaApiUrl", "https://a"),
        ("-alertaApiUrl", "https://a"),
        ("--alerta-api-url=https://a",),
        ("--ALERTA_API_URL", "https://a"),
    ],
)
def test_alertas_url_is_known_in_each_spelling_and_place(args: tuple[str, ...]) -> None:
    plain = ActionMapping("Close", "/a")
    assert names_alerta(config_with(global_args=args), plain)
    assert names_alerta(config_with(), ActionMapping("Close", "/a", args=args))


def test_alertas_url_is_known_among_flags_and_variables() -> None:
    plain = ActionMapping("Close", "/a")
    assert names_alerta(config_with(global_flags=(("alertaApiUrl", "https://a"),)), plain)
    assert names_alerta(config_with(global_env=("ALERTA_API_URL=https://a",)), plain)
    assert names_alerta(config_with(), ActionMapping("Close", "/a", env=("ALERTA_API_URL=https://a",)))


@pytest.mark.parametrize("args", [(), ("--alertaApiUrl",), ("--alertaApiUrl=",), ("alertaApiUrl", "https://a")])
def test_an_option_without_a_value_names_no_alerta(args: tuple[str, ...]) -> None:
    assert not names_alerta(
        config_with(global_args=args, global_env=("ALERTA_API_URL=",)), ActionMapping("Close", "/a")
    )
