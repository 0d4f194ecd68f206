"""What a mapping tells our executor."""

from __future__ import annotations

import pytest

from alerta_opsgenie.setup.told import our_mapping, read_told
from alerta_opsgenie.vendor.config import ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.secret import Secret


def config(**fields: object) -> EdgeConfig:
    mapping = ActionMapping("Close", "/x/oecAlertaExecutor.py", env=("ALERTA_API_KEY=of-the-mapping",))
    other = ActionMapping("Create", "/x/other.sh")
    return EdgeConfig("oec", Secret("k"), "https://x", {"Create": other, "Close": mapping}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--alertaApiUrl", "https://a/api"),
        ("-alertaApiUrl", "https://a/api"),
        ("--alerta-api-url=https://a/api",),
    ],
)
def test_the_url_is_found_in_every_spelling_that_the_executor_takes(arguments: tuple[str, ...]) -> None:
    assert read_told(config(global_args=arguments)).url == "https://a/api"


def test_a_variable_counts_where_no_argument_says_it() -> None:
    assert read_told(config(global_env=("ALERTA_API_URL=https://b",))).url == "https://b"


def test_a_key_among_the_arguments_goes_before_one_in_the_environment_and_is_marked() -> None:
    told = read_told(config(global_args=("--alertaApiKey", "seen-by-all")), our_mapping(config()))
    assert (told.key.reveal(), told.key_in_arguments) == ("seen-by-all", True)
    told = read_told(config(), our_mapping(config()))
    assert (told.key.reveal(), told.key_in_arguments) == ("of-the-mapping", False)


def test_the_sources_are_alerta_unless_said_otherwise() -> None:
    assert read_told(config()).sources == ("Alerta",)
    assert read_told(config(global_args=("--source", "A", "--source", "B"))).sources == ("A", "B")


def test_no_secret_is_in_its_repr() -> None:
    assert "of-the-mapping" not in repr(read_told(config(), our_mapping(config())))
