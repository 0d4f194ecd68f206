"""What a connector makes of a document: Go's types, needs and defaults, every miss with its path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC, ActionMapping, EdgeConfig
from alerta_opsgenie.vendor.document import parse_document
from alerta_opsgenie.vendor.problems import Problem
from alerta_opsgenie.vendor.structure import clean_path, default_numbers, read_structure
from tests.support.edge_messages import API_KEY, edge_document

SCRIPT = {"sourceType": "local", "filepath": "/opt/a.sh"}


def read(value: Any, **options: Any) -> tuple[EdgeConfig, list[Problem]]:
    syntax = options.pop("syntax", "json")
    data = value if isinstance(value, str) else json.dumps(value)
    document = parse_document(data.encode(), syntax=syntax, where="config")
    reading = read_structure(document, **{"dialect": OEC, "environment": {}, **options})
    return reading.config, reading.problems


def errors(value: Any, **options: Any) -> dict[str, str]:
    return {problem.path: problem.what for problem in read(value, **options)[1]}


def test_the_documented_configuration_has_no_problem_and_all_fields() -> None:
    config, problems = read(edge_document(globalEnv=["A=1"], globalFlags={"url": "x"}))
    assert problems == []
    assert config.api_key == Secret(API_KEY)
    assert (config.base_url, config.log_level) == ("https://api.opsgenie.com", "WARN")
    assert config.global_args[0] == "--alertaApiUrl"
    assert (config.global_env, config.global_flags) == (("A=1",), (("url", "x"),))
    assert config.mappings["Close"] == ActionMapping(
        name="Close",
        filepath="/home/opsgenie/oec/scripts/oecAlertaExecutor.py",
        stdout="/var/log/opsgenie/oecAlertaExecutor.log",
        stderr="/var/log/opsgenie/oecAlertaExecutor-errors.log",
    )
    assert list(config.poller.values()) == [100, 30, 10]
    assert list(config.pool.values()) == [12, 4, 0, 6000, 15000]


@pytest.mark.parametrize(("dialect", "url"), [(OEC, "https://api.opsgenie.com"), (JEC, "https://api.atlassian.com")])
def test_an_absent_base_url_is_the_vendors(dialect: str, url: str) -> None:
    assert read(edge_document(baseUrl=None), dialect=dialect)[0].base_url == url


class TestNeeds:
    def test_a_missing_key_is_an_error_unless_the_environment_has_it(self) -> None:
        value = edge_document(apiKey=None)
        assert errors(value) == {"$.apiKey": "is missing"}
        assert read(value, environment={"OEC_API_KEY": "from-env"})[0].api_key == Secret("from-env")
        assert errors(value, environment={"JEC_API_KEY": "from-env"}) == {"$.apiKey": "is missing"}

    @pytest.mark.parametrize(
        ("mapping", "path"),
        [
            ({}, "$.actionMappings.Close"),
            ({"sourceType": "local"}, "$.actionMappings.Close"),
            ({"filepath": "/a", "sourceType": "Local"}, "$.actionMappings.Close.sourceType"),
            ({"filepath": "a", "sourceType": "git"}, "$.actionMappings.Close"),
        ],
    )
    def test_a_mapping_with_which_no_connector_starts_is_an_error(self, mapping: Any, path: str) -> None:
        assert list(errors(edge_document(actionMappings={"Close": mapping}))) == [path]

    def test_json_keys_match_in_any_case_and_yaml_keys_do_not(self) -> None:
        value = edge_document(apiKey=None)
        value["APIKEY"] = "k"
        assert read(value)[0].api_key == Secret("k")
        assert list(errors(value, syntax="yaml")) == ["$.apiKey"]

    def test_keys_of_a_mapping_match_in_any_case_and_a_null_in_a_list_is_an_empty_text(self) -> None:
        mapping = {"FilePath": "/a/oecAlertaExecutor.py", "SourceType": "local", "Args": ["--onDelete", None]}
        config, problems = read(edge_document(actionMappings={"Delete": mapping}, globalArgs=[None]))
        assert [problem for problem in problems if problem.level == "error"] == []
        assert (config.mappings["Delete"].args, config.global_args) == (("--onDelete", ""), ("",))

    @pytest.mark.parametrize("number", [10.0, 1e3])
    def test_a_number_with_a_fraction_or_exponent_is_no_whole_number_in_json(self, number: float) -> None:
        found = errors(edge_document(pollerConf={"maxNumberOfMessages": number}))
        assert "whole number" in found["$.pollerConf.maxNumberOfMessages"]

    def test_git_is_fine_for_the_go_connectors_and_refused_for_the_native_one(self) -> None:
        git = {"filepath": "a.py", "sourceType": "git", "gitOptions": {"url": "https://git.example.com/a.git"}}
        value = edge_document(actionMappings={"Close": git})
        assert errors(value) == {}
        found = errors(value, target=NATIVE)
        assert "native connector starts only scripts of this host" in found["$.actionMappings.Close.sourceType"]


def test_a_mapping_of_type_http_is_fine_for_the_go_connectors_and_a_warning_for_the_native_one() -> None:
    value = edge_document(actionMappings={"Close": {**SCRIPT, "type": "http", "url": "https://a.example.com"}})
    assert errors(value) == {}
    assert list(errors(value, target=NATIVE)) == ["$.actionMappings.Close.type"]


class TestTypes:
    @pytest.mark.parametrize(
        ("changes", "path", "what"),
        [
            ({"apiKey": 5}, "$.apiKey", "is a number where a text is wanted"),
            ({"globalArgs": "x"}, "$.globalArgs", "is a text where a list is wanted"),
            ({"globalArgs": ["a\0"]}, "$.globalArgs[0]", "holds a NUL"),
            ({"logLevel": "loud"}, "$.logLevel", "read as info"),
            ({"actionMappings": {"A": {**SCRIPT, "env": 5}}}, "$.actionMappings.A.env", "is a number where"),
            ({"pollerConf": {"maxNumberOfMessages": 1.5}}, "$.pollerConf.maxNumberOfMessages", "fraction or exponent"),
            ({"poolConf": {"queueSize": 2**31}}, "$.poolConf.queueSize", "larger than the connector's number type"),
        ],
    )
    def test_a_wrong_type_is_one_error_with_its_path(self, changes: Any, path: str, what: str) -> None:
        found = errors(edge_document(**changes))
        assert list(found) == [path]
        assert what in found[path]

    def test_null_counts_as_absent(self) -> None:
        value = {**edge_document(), "globalArgs": None, "globalFlags": None, "pollerConf": None, "logLevel": None}
        config, problems = read(value)
        assert problems == []
        assert (config.global_args, list(config.poller.values())) == ((), [100, 30, 10])


class TestDefaults:
    @pytest.mark.parametrize(
        ("section", "used"),
        [
            ({}, [100, 30, 10]),
            ({"visibilityTimeoutInSeconds": 14, "maxNumberOfMessages": -1}, [100, 30, 10]),
            ({"visibilityTimeoutInSec": 60, "pollingWaitIntervalInMillis": 500}, [500, 30, 10]),
        ],
    )
    def test_defaults_of_the_poller_are_those_of_the_go_code(self, section: Any, used: list[int]) -> None:
        assert read(edge_document(pollerConf=section))[0].poller == dict(zip(default_numbers("pollerConf"), used))

    @pytest.mark.parametrize(
        ("section", "seconds"),
        [
            ({"visibilityTimeoutInSec": 60, "visibilityTimeoutInSeconds": 90}, 90),
            ({"visibilityTimeoutInSec": 5}, 30),
        ],
    )
    def test_the_native_connector_reads_the_misnamed_timeout(self, section: Any, seconds: int) -> None:
        config = read(edge_document(pollerConf=section), target=NATIVE)[0]
        assert config.poller["visibilityTimeoutInSeconds"] == seconds

    @pytest.mark.parametrize(
        ("section", "used"),
        [
            ({}, [12, 0, 0, 6000, 15000]),
            ({"maxNumberOfWorker": 0, "queueSize": -5, "monitoringPeriodInMillis": 1}, [12, 0, 0, 6000, 1]),
        ],
    )
    def test_defaults_of_the_pool_are_those_of_the_go_code(self, section: Any, used: list[int]) -> None:
        assert read(edge_document(poolConf=section))[0].pool == dict(zip(default_numbers("poolConf"), used))


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/a/../b//c/", "/b/c"),
        ("//a", "/a"),
        ("~/oec/x.py", "/home/me/oec/x.py"),
        ("./scripts/x", "scripts/x"),
    ],
)
def test_paths_are_normalised_as_in_go(path: str, clean: str) -> None:
    assert clean_path(path, "/home/me") == clean


def test_native_settings_are_passed_on_and_must_be_an_object() -> None:
    own = {"alertaUrl": "https://alerta.example.com", "deep": {"x": [1]}}
    assert read(edge_document(alertaOpsgenie=own), target=NATIVE)[0].own == own
    assert errors(edge_document(alertaOpsgenie=5)) == {}
    assert list(errors(edge_document(alertaOpsgenie=5), target=NATIVE)) == ["$.alertaOpsgenie"]
