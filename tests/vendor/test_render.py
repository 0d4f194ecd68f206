"""A configuration made from options is the documented one, and sound."""

from __future__ import annotations

from typing import Any

import pytest

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import JEC, OEC
from alerta_opsgenie.vendor.document import Document
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.render import RenderOptions, render_config
from tests.support.edge_messages import API_KEY, edge_document


def render(dialect: str = OEC, **changes: Any) -> dict[str, Any]:
    given = {"api_key": Secret(API_KEY), "alerta_url": "https://alerta.example.com/api", **changes}
    return render_config(RenderOptions(dialect, **given))


def test_the_documented_configuration_is_rendered() -> None:
    assert render(alerta_key_file="/etc/alerta.key") == edge_document()


@pytest.mark.parametrize("dialect", [OEC, JEC])
@pytest.mark.parametrize("changes", [{"alerta_key": Secret("s3cr3t")}, {"alerta_key_file": "/etc/alerta.key"}])
def test_a_rendered_configuration_has_no_problem(dialect: str, changes: Any) -> None:
    document = Document(render(dialect, **changes), "json", "rendered")
    assert check_config(document, dialect=dialect, environment={}) == []


def test_alertas_key_goes_into_the_environment() -> None:
    value = render(alerta_key=Secret("s3cr3t"))
    assert value["globalEnv"] == ["ALERTA_API_KEY=s3cr3t"]
    assert "s3cr3t" not in value["globalArgs"]


def test_each_option_sets_its_value() -> None:
    value = render(region="eu", state_directory="/srv", script="/opt/x", log_directory="/log/", sources=("A", "B"))
    assert value["baseUrl"] == "https://api.eu.opsgenie.com"
    assert value["globalArgs"][2:] == ["--spoolDir", "/srv", "--source", "A", "--source", "B"]
    mapping = value["actionMappings"]["Close"]
    assert (mapping["filepath"], mapping["stdout"]) == ("/opt/x", "/log/oecAlertaExecutor.log")
    assert render(base_url="http://127.0.0.1:4000")["baseUrl"] == "http://127.0.0.1:4000"


def test_only_opsgenie_has_regions() -> None:
    with pytest.raises(ConfigError, match="JSM has one host") as caught:
        render(JEC, region="eu")
    assert caught.value.usage
