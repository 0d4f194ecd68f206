"""Options are found in each form in which people write them, and one reader gives what a mapping's script gets."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.arguments import Option, find_options, gives_option, mapping_arguments, without_options
from alerta_opsgenie.vendor.config import OEC, ActionMapping, EdgeConfig

URL = ("alertaApiUrl",)


def config_with(**changes: Any) -> EdgeConfig:
    return EdgeConfig(OEC, Secret("k"), "https://api.opsgenie.com", {}, **changes)


def test_arguments_and_variables_of_a_mapping_are_in_the_connectors_order() -> None:
    config = config_with(global_flags=(("a", "1"),), global_args=("--c", "3"), global_env=("X=global", "Y=global"))
    mapping = ActionMapping("Close", "/a", flags=(("b", "2"),), args=("--d=4",), env=("Y=own", "none"))
    assert mapping_arguments(config, mapping) == (
        ["-a", "1", "-b", "2", "--c", "3", "--d=4"],
        {"X": "global", "Y": "own"},
    )
    assert mapping_arguments(config) == (["-a", "1", "--c", "3"], {"X": "global", "Y": "global"})


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (["-a", "1"], [Option("a", "1", [(0,), (1,)])]),
        (["--a=1"], [Option("a", "1", [(0,)])]),
        (["--a", "--b", "2"], [Option("a", None, [(0,)]), Option("b", "2", [(1,), (2,)])]),
        (["--a", "-1"], [Option("a", "-1", [(0,), (1,)])]),
        (["x", "-a", "b\nc", "y"], [Option("a", "b\nc", [(1,), (2,)])]),
    ],
)
def test_options_are_found_with_their_values_and_places(args: list[str], options: list[Option]) -> None:
    assert list(find_options(args)) == options


def test_without_options_removes_options_with_their_values_only() -> None:
    args = ["lead", "-apiKey", "k", "--mine", "1", "--opsgenieUrl=u", "-logLevel", "--last", "z"]
    assert without_options(args, ["apiKey", "opsgenieUrl", "logLevel"]) == ["lead", "--mine", "1", "--last", "z"]
    for odd in (None, "-apiKey", ["-apiKey", 5]):
        assert without_options(odd, ["apiKey"]) == odd


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("args", ("--alertaApiUrl", "https://a")),
        ("args", ("--alerta-api-url=https://a",)),
        ("flags", (("alertaApiUrl", "https://a"),)),
        ("env", ("ALERTA_API_URL=https://a",)),
    ],
)
def test_an_option_is_found_in_each_spelling_and_place(place: str, value: Any) -> None:
    assert gives_option(config_with(**{f"global_{place}": value}), ActionMapping("Close", "/a"), URL)
    assert gives_option(config_with(), ActionMapping("Close", "/a", **{place: value}), URL)


@pytest.mark.parametrize("args", [(), ("--alertaApiUrl",), ("--alertaApiUrl=",), ("alertaApiUrl", "https://a")])
def test_an_option_without_a_value_does_not_count(args: tuple[str, ...]) -> None:
    config = config_with(global_args=args, global_env=("ALERTA_API_URL=",))
    assert not gives_option(config, ActionMapping("Close", "/a"), URL)


def test_our_options_are_removed_in_any_spelling_and_with_a_value_that_begins_with_a_dash() -> None:
    args = ["--alerta-api-key", "-a1B_c", "--ALERTA_API_URL=http://old", "-alertaApiKey", "--k", "--mine", "1"]
    assert without_options(args, ["alertaApiKey", "alertaApiUrl"]) == ["--mine", "1"]
