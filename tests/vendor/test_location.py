"""The configuration is found where the connectors would find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerta_opsgenie.vendor import location
from alerta_opsgenie.vendor.config import JEC, OEC
from alerta_opsgenie.vendor.location import Location, find_config
from alerta_opsgenie.vendor.problems import ConfigError


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"OEC_CONF_SOURCE_TYPE": "local", "OEC_CONF_LOCAL_FILEPATH": "/a/c.json"}, Location("/a/c.json", OEC)),
        ({"OEC_CONF_LOCAL_FILEPATH": "~/c.yml", "HOME": "/home/me"}, Location("/home/me/c.yml", OEC)),
        ({"JEC_CONF_LOCAL_FILEPATH": "/a//b/../c.json"}, Location("/a/c.json", JEC)),
    ],
)
def test_the_connectors_variables_name_the_file(environment: dict[str, str], found: Location) -> None:
    assert find_config(environment) == found


def test_with_the_variables_of_both_connectors_a_dialect_is_required() -> None:
    environment = {"OEC_CONF_LOCAL_FILEPATH": "/o.json", "JEC_CONF_LOCAL_FILEPATH": "/j.json"}
    with pytest.raises(ConfigError, match="both connectors") as caught:
        find_config(environment)
    assert "--dialect" in caught.value.advice
    assert find_config(environment, dialect=JEC) == Location("/j.json", JEC)


def test_without_variables_the_usual_places_are_searched_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "NATIVE_PATH", str(tmp_path / "native.json"))
    monkeypatch.setattr(location, "PACKAGE_PATHS", {OEC: str(tmp_path / "oec.json"), JEC: str(tmp_path / "jec.json")})
    environment = {"HOME": str(tmp_path)}
    with pytest.raises(ConfigError) as caught:
        find_config(environment)
    assert caught.value.usage
    assert str(tmp_path / "oec" / "config.json") in caught.value.what
    for name, dialect in [("jec.json", JEC), ("oec.json", OEC), ("native.json", None)]:
        (tmp_path / name).touch()
        assert find_config(environment) == Location(str(tmp_path / name), dialect)
    assert find_config({}, dialect=JEC) == Location(str(tmp_path / "native.json"), JEC)
