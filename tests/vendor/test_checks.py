"""What starts and yet does not do as meant: each check with the case that it is for, and the one that it lets pass."""

from __future__ import annotations

import functools
import json
import operator
from typing import Any

import pytest

from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC
from alerta_opsgenie.vendor.document import parse_document
from alerta_opsgenie.vendor.problems import ERROR, WARNING, Problem
from tests.support.edge_messages import edge_document

SCRIPT = {"sourceType": "local", "filepath": "/opt/a.sh"}


def check(value: Any, **options: Any) -> list[Problem]:
    data = value if isinstance(value, str) else json.dumps(value)
    document = parse_document(data.encode(), syntax=options.pop("syntax", "json"), where=options.pop("where", "c.json"))
    return check_config(document, **{"environment": {}, **options})


def found(value: Any, **options: Any) -> dict[str, tuple[str, str, str]]:
    return {problem.path: (problem.level, problem.what, problem.advice) for problem in check(value, **options)}


def with_mapping(name: str, **changes: Any) -> dict[str, Any]:
    value = edge_document()
    value["actionMappings"][name] = {**value["actionMappings"]["Close"], **changes}
    return value


def jec_document(**changes: Any) -> dict[str, Any]:
    value = edge_document(baseUrl="https://api.atlassian.com", **changes)
    value["actionMappings"]["postActionToJEC"] = dict(value["actionMappings"]["Close"])
    return value


@pytest.mark.parametrize("target", [None, OEC, NATIVE])
def test_the_documented_configuration_has_no_problem(target: str | None) -> None:
    assert check(edge_document(), target=target) == []


def test_a_full_jec_configuration_has_no_problem() -> None:
    assert check(jec_document(), dialect=JEC, where="/home/jsm/jec/conf/jec-config.json") == []


class TestKeys:
    def test_the_misnamed_timeout_of_the_samples_is_reported_with_the_right_name(self) -> None:
        value = edge_document(pollerConf={"visibilityTimeoutInSec": 30})
        level, what, advice = found(value)["$.pollerConf.visibilityTimeoutInSec"]
        assert level == WARNING
        assert "has no effect; visibilityTimeoutInSeconds is meant" in what
        assert advice == "write visibilityTimeoutInSeconds"
        assert "it is read as" in found(value, target=NATIVE)["$.pollerConf.visibilityTimeoutInSec"][1]

    @pytest.mark.parametrize(
        ("place", "key", "meant"),
        [
            ((), "apikeys", "apiKey"),
            (("poolConf",), "maxNumberOfWorkers", "maxNumberOfWorker"),
            (("actionMappings", "Close"), "environmentVariables", "env"),
            (("actionMappings", "Close"), "file", None),
        ],
    )
    def test_an_unknown_key_is_reported_with_the_most_similar_known_key(
        self, place: tuple[str, ...], key: str, meant: str | None
    ) -> None:
        value = edge_document()
        functools.reduce(operator.getitem, place, value)[key] = "x"
        level, what, advice = found(value)["$." + ".".join((*place, key))]
        assert (level, "has no effect" in what) == (WARNING, True)
        assert meant is None or (f"{meant} is meant" in what, advice) == (True, f"write {meant}")


class TestBaseUrl:
    @pytest.mark.parametrize(
        ("url", "level", "what", "right"),
        [
            ("api.opsgenie.com", ERROR, "not a URL", "https://api.opsgenie.com"),
            ("https://", ERROR, "not a URL", ""),
            ("https://api.opsgenie.com\n", ERROR, "not a URL", ""),
            ("http://api.opsgenie.com", ERROR, "unencrypted", "https://"),
            ("http://proxy.example.com", WARNING, "unencrypted", "https://"),
            ("https://api.opsgenie.com/", WARNING, "ends in a slash", "remove the slash"),
            ("https://api.opsgenie.com/v2", WARNING, "has a path", ""),
            ("https://app.opsgenie.com", ERROR, "the web interface", "https://api.opsgenie.com"),
            ("https://app.eu.opsgenie.com", ERROR, "the web interface", "https://api.eu.opsgenie.com"),
            ("https://eu.api.opsgenie.com", ERROR, "European region", "https://api.eu.opsgenie.com"),
            ("https://api.opsgenie.eu", ERROR, "European region", "https://api.eu.opsgenie.com"),
            ("https://api.atlassian.com/jsm/ops/integration", ERROR, "requests would have it twice", "https://api.atlassian.com"),
            ("https://example.atlassian.net", ERROR, "the address of the site", "https://api.atlassian.com"),
        ],
    )
    def test_a_wrong_base_url_is_reported_with_the_right_one(
        self, url: str, level: str, what: str, right: str
    ) -> None:
        problem = found(edge_document(baseUrl=url))["$.baseUrl"]
        assert problem[0] == level
        assert what in problem[1]
        assert right in problem[2]

    @pytest.mark.parametrize("url", ["https://api.eu.opsgenie.com", "http://127.0.0.1:4000", "http://[::1]:4000"])
    def test_the_european_host_and_a_stand_in_on_loopback_are_fine(self, url: str) -> None:
        assert check(edge_document(baseUrl=url)) == []

    def test_user_information_in_a_url_is_not_shown(self) -> None:
        assert "s3cr3t" not in str(check(edge_document(baseUrl="ftp://me:s3cr3t@api.opsgenie.com?k=s3cr3t")))


class TestDialect:
    @pytest.mark.parametrize(
        ("url", "options"),
        [
            ("https://api.atlassian.com", {"dialect": OEC}),
            ("https://api.opsgenie.com", {"where": "/home/jsm/jec/conf/jec-config.json"}),
        ],
    )
    def test_a_base_url_of_the_other_product_is_an_error(self, url: str, options: dict[str, Any]) -> None:
        level, what, advice = found(edge_document(baseUrl=url), **options)["$.baseUrl"]
        assert (level, "'s, and the file is" in what, "config convert --to" in advice) == (ERROR, True, True)


class TestNumbers:
    @pytest.mark.parametrize(
        ("section", "name", "value", "level"),
        [
            ("pollerConf", "pollingWaitIntervalInMillis", 0, WARNING),
            ("pollerConf", "maxNumberOfMessages", 11, ERROR),
            ("pollerConf", "visibilityTimeoutInSeconds", 14, WARNING),
            ("poolConf", "maxNumberOfWorker", 0, WARNING),
        ],
    )
    def test_a_number_that_is_replaced_or_refused_is_reported(
        self, section: str, name: str, value: int, level: str
    ) -> None:
        document = edge_document()
        document[section][name] = value
        problem = found(document)[f"$.{section}.{name}"]
        assert problem[0] == level
        assert problem[1].startswith(f"is {value}")


class TestMappings:
    @pytest.mark.parametrize("name", ["Close", "AddNote"])
    def test_a_documented_action_without_a_mapping_is_reported(self, name: str) -> None:
        value = edge_document()
        del value["actionMappings"][name]
        problem = found(value)[f"$.actionMappings.{name}"]
        assert problem[0] == WARNING
        assert "it never reaches Alerta" in problem[1]
        assert "oecAlertaExecutor.py" in problem[2]

    def test_jec_needs_the_catch_all_too(self) -> None:
        value = edge_document(baseUrl="https://api.atlassian.com")
        assert list(found(value)) == ["$.actionMappings.postActionToJEC"]

    def test_a_file_with_only_other_scripts_is_one_problem(self) -> None:
        assert list(found(edge_document(actionMappings={"Create": SCRIPT}))) == ["$.actionMappings"]

    @pytest.mark.parametrize("action_type", ["http", "x"])
    def test_our_executor_with_a_type_that_no_alert_action_has_is_an_error(self, action_type: str) -> None:
        value = with_mapping("Close", type=action_type)
        assert found(value)["$.actionMappings.Close.type"][0] == ERROR

    def test_variables_without_a_name_or_a_value_are_reported(self) -> None:
        value = with_mapping("Close", env=["A=1", "B", "=c"]) | {"globalEnv": ["X", "Y="]}
        assert set(found(value)) == {
            "$.actionMappings.Close.env[1]",
            "$.actionMappings.Close.env[2]",
            "$.globalEnv[0]",
        }


class TestArguments:
    @pytest.mark.parametrize("dash", ["-", "--"])
    def test_a_secret_among_the_arguments_is_reported_but_not_shown(self, dash: str) -> None:
        args = ["--alertaApiUrl", "https://a.example.com", f"{dash}alertaApiKey", "s3cr3t"]
        problem = found(edge_document(globalArgs=args))["$.globalArgs[2]"]
        assert problem[0] == WARNING
        assert "every user of the host" in problem[1]
        assert "--alertaApiKeyFile" in problem[2]
        assert "s3cr3t" not in str(problem)
        joined = [*args[:2], f"{dash}alertaApiKey=s3cr3t"]
        assert "$.globalArgs[2]" in found(edge_document(globalArgs=joined))
