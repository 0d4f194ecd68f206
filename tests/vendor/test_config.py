"""Reading a configuration for use, and deciding whose it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import (
    JEC,
    NATIVE,
    OEC,
    EdgeConfig,
    dialect_of_url,
    guess_dialect,
    normalise_base_url,
)
from alerta_opsgenie.vendor.document import parse_document
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.structure import read_config
from tests.support.edge_messages import API_KEY, edge_document
from tests.vendor.test_document import JSON_VALUES


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("https://api.opsgenie.com", OEC),
        ("https://API.Atlassian.com", JEC),
        ("http://127.0.0.1:4000", None),
        ("https://api.opsgenie.com.evil.example.com", None),
        ("https://[::1", None),
        ("", None),
    ],
)
def test_the_host_of_a_url_determines_the_dialect(url: str, dialect: str | None) -> None:
    assert dialect_of_url(url) == dialect


@pytest.mark.parametrize(
    ("value", "where", "environment", "dialect"),
    [
        ({"baseUrl": "https://api.atlassian.com"}, "/oec/c.json", {"OEC_API_KEY": "x"}, JEC),
        ({"baseUrl": "http://127.0.0.1"}, "/oec/c.json", {"JEC_CONF_SOURCE_TYPE": "local"}, JEC),
        ({"baseUrl": 5}, "c.json", {"OEC_API_KEY": "x", "JEC_API_KEY": "x"}, OEC),
        ({"actionMappings": {"postActionToJEC": {}}}, "c.json", {}, JEC),
        ({}, "/home/jsm/jec/conf/jec-config.json", {}, JEC),
        ({}, "c.json", {}, OEC),
    ],
)
def test_a_dialect_is_guessed_by_url_then_environment_then_mappings_then_path(
    value: Any, where: str, environment: dict[str, str], dialect: str
) -> None:
    assert guess_dialect(parse_document(json.dumps(value).encode(), where=where), environment) == dialect


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://api.opsgenie.com", "https://api.opsgenie.com"),
        ("https://api.atlassian.com/jsm/ops/integration/v2/alerts", "https://api.atlassian.com"),
    ],
)
def test_the_path_that_requests_add_is_removed_from_a_base_url(url: str, root: str) -> None:
    assert normalise_base_url(url) == root
    assert EdgeConfig(JEC, Secret("k"), url, {}).api_root == root


class TestReading:
    def test_a_valid_file_is_read_and_its_repr_shows_no_secret(self, tmp_path: Path) -> None:
        value = edge_document(globalArgs=["--alertaApiUrl", "https://a.example.com", "--alertaApiKey", "alerta-s3cr3t"])
        config = read_config(write(tmp_path / "config.json", value), environment={})
        assert (config.dialect, config.api_key) == (OEC, Secret(API_KEY))
        assert config.where == str(tmp_path / "config.json")
        assert "s3cr3t" not in repr(config)
        assert API_KEY not in repr(config)

    def test_an_invalid_file_is_one_error_with_the_first_problem_and_a_count(self, tmp_path: Path) -> None:
        path = write(tmp_path / "config.json", edge_document(apiKey=None, globalArgs=5, actionMappings={"Close": {}}))
        with pytest.raises(ConfigError) as caught:
            read_config(path, environment={})
        assert caught.value.where == f"{path}: $.apiKey"
        assert caught.value.what == "is missing"
        assert "2 more" in caught.value.advice


_SECTIONS = ("apiKey", "baseUrl", "logLevel", "globalFlags", "globalArgs", "globalEnv", "pollerConf", "poolConf")
_FIELDS = ("type", "sourceType", "filepath", "flags", "args", "env", "headers", "gitOptions", "stdout")
_WORDS = st.sampled_from(["local", "git", "http", "custom", "oecAlertaExecutor.py"])
_MAPPING = st.fixed_dictionaries({}, optional=dict.fromkeys(_FIELDS, JSON_VALUES | _WORDS))
_MAPPINGS = JSON_VALUES | st.dictionaries(st.text(max_size=5), _MAPPING, max_size=3)
_OPTIONAL = {**dict.fromkeys((*_SECTIONS, "alertaOpsgenie"), JSON_VALUES), "actionMappings": _MAPPINGS}
_TOP = st.fixed_dictionaries({}, optional=_OPTIONAL)


@given(_TOP | JSON_VALUES, st.sampled_from([None, OEC, JEC]), st.sampled_from([None, OEC, JEC, NATIVE]))
def test_any_json_value_gives_a_configuration_or_problems_or_one_config_error(
    value: Any, dialect: str | None, target: str | None
) -> None:
    """Attackers and typing errors alike end in words."""
    try:
        document = parse_document(json.dumps(value).encode())
    except ConfigError:
        return
    for problem in check_config(document, dialect=dialect, target=target, environment={}):
        assert str(problem).isprintable()
        assert problem.what
        assert problem.advice
