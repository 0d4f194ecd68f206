"""The move from one connector to another: what comes out is sound for the other, and drives its runner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS, JEC, NATIVE, OEC
from alerta_opsgenie.vendor.convert import convert_config, difference
from alerta_opsgenie.vendor.document import Document, parse_document
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.runner import ScriptHost, run_message
from alerta_opsgenie.vendor.structure import read_structure
from tests.support.edge_messages import edge_document, edge_message, write_script
from tests.vendor.test_document import JSON_VALUES


def as_document(value: Any) -> Document:
    return parse_document(json.dumps(value).encode(), where="c.json")


def convert(value: Any, to: str, **options: Any) -> dict[str, Any]:
    return convert_config(as_document(value), to=to, **options)


def documented() -> dict[str, Any]:
    """The documented configuration as people have it today, with its mistakes."""
    value = edge_document(
        globalArgs=["--alertaApiUrl", "https://alerta.example.com/api/alert", "--alertaApiKey", "alerta-s3cr3t"],
        pollerConf={"pollingWaitIntervalInMillis": 100, "visibilityTimeoutInSec": 30, "maxNumberOfMessages": 10},
    )
    value["alertaOpsgenie"] = {"unknown": {"to": ["us"]}}
    return value


class TestToJec:
    def test_the_documented_configuration_becomes_valid_for_jec(self) -> None:
        made = convert(documented(), JEC, api_key=Secret("jec-key"))
        problems = check_config(as_document(made), dialect=JEC, environment={})
        # The one thing that is left was so before: the key on the command line.
        assert [problem.path for problem in problems] == ["$.globalArgs[2]"]
        assert made["apiKey"] == "jec-key"
        assert made["baseUrl"] == "https://api.atlassian.com"
        assert made["pollerConf"]["visibilityTimeoutInSeconds"] == 30
        assert "visibilityTimeoutInSec" not in made["pollerConf"]

    def test_raw_names_and_the_catch_all_are_mapped_to_the_moved_script(self) -> None:
        mappings = convert(documented(), JEC)["actionMappings"]
        assert tuple(mappings) == (*DOCUMENTED_ACTIONS, "postActionToJEC")
        for mapping in mappings.values():
            assert mapping["filepath"] == "/home/jsm/jec/scripts/oecAlertaExecutor.py"
            assert mapping["stdout"] == "/var/log/jec/oecAlertaExecutor.log"

    def test_the_result_drives_the_jec_runner(self, tmp_path: Path) -> None:
        script = write_script(
            tmp_path / "oecAlertaExecutor", '#!/bin/sh\nfor last; do :; done\nprintf done > "$last"\n'
        )
        value = documented()
        for mapping in value["actionMappings"].values():
            mapping.update(filepath=str(script), stdout="", stderr="")
        made = convert(value, JEC, api_key=Secret("jec-key"))
        config = read_structure(as_document(made), dialect=JEC, environment={}).config
        host = ScriptHost(environment={"PATH": "/usr/bin:/bin"}, pipe_directory=str(tmp_path))
        catch_all = {"name": "postActionToJEC", "extraField": ""}
        for message in (edge_message("Snooze"), edge_message("Snooze", mappedActionV2=catch_all)):
            result = run_message(config, message, host=host)
            assert result.succeeded
            assert result.callback is not None
            assert result.callback["callbackContext"] == "done"
            assert "-jsmUrl" in result.argv

    def test_paths_in_arguments_are_changed_and_those_of_other_programs_stay(self) -> None:
        value = documented() | {"globalArgs": ["--alertaApiKeyFile", "/home/opsgenie/oec/conf/alerta.key", "/opt/x"]}
        value["globalEnv"] = ["ALERTA_API_KEY_FILE=/home/opsgenie/oec/conf/alerta.key"]
        value["globalFlags"] = {"f": "/var/log/opsgenie/f", "apiKey": "k"}
        value["actionMappings"]["Close"]["args"] = ["--log", "/var/log/opsgenie/x.log"]
        made = convert(value, JEC)
        assert made["globalArgs"] == ["--alertaApiKeyFile", "/home/jsm/jec/conf/alerta.key", "/opt/x"]
        assert made["globalEnv"] == ["ALERTA_API_KEY_FILE=/home/jsm/jec/conf/alerta.key"]
        assert made["globalFlags"] == {"f": "/var/log/jec/f"}
        assert made["actionMappings"]["Close"]["args"] == ["--log", "/var/log/jec/x.log"]


class TestToOec:
    def test_conversion_to_jec_and_back_gives_the_same(self) -> None:
        value = edge_document()
        there = convert(value, JEC, api_key=Secret("jec-key"))
        back = convert(there, OEC, api_key=Secret(value["apiKey"]))
        assert back == value

    def test_a_catch_all_alone_becomes_the_documented_actions(self) -> None:
        mapping = {"filepath": "/home/jsm/jec/scripts/oecAlertaExecutor.py", "sourceType": "local"}
        value = edge_document(baseUrl="https://api.atlassian.com", actionMappings={"postActionToJEC": mapping})
        mappings = convert(value, OEC)["actionMappings"]
        assert tuple(mappings) == DOCUMENTED_ACTIONS
        assert mappings["Close"]["filepath"] == "/home/opsgenie/oec/scripts/oecAlertaExecutor.py"
        assert mappings["Close"] is not mappings["Snooze"]


class TestToNative:
    @pytest.mark.parametrize("base_url", ["https://api.opsgenie.com", "https://api.atlassian.com"])
    def test_the_dialect_key_and_mappings_stay_and_mistakes_are_corrected(self, base_url: str) -> None:
        value = documented() | {"baseUrl": base_url + "/"}
        made = convert(value, NATIVE)
        assert made["baseUrl"] == base_url
        assert made["apiKey"] == value["apiKey"]
        assert made["actionMappings"] == value["actionMappings"]
        assert made["pollerConf"]["visibilityTimeoutInSeconds"] == 30

    @pytest.mark.parametrize(
        ("to", "old", "wanted", "new"),
        [
            (NATIVE, "https://api.atlassian.com/jsm/ops/integration", "", "https://api.atlassian.com"),
            (JEC, "http://127.0.0.1:4000", "", "http://127.0.0.1:4000"),
            (OEC, "https://api.atlassian.com", "https://api.eu.opsgenie.com", "https://api.eu.opsgenie.com"),
        ],
    )
    def test_the_base_url_is_corrected_and_that_of_a_stand_in_stays(
        self, to: str, old: str, wanted: str, new: str
    ) -> None:
        assert convert(edge_document(baseUrl=old), to, base_url=wanted)["baseUrl"] == new


class TestOldNames:
    def test_the_right_name_wins_over_the_old_one(self) -> None:
        value = edge_document(pollerConf={"visibilityTimeoutInSec": 99, "visibilityTimeoutInSeconds": 60})
        made = convert(value, NATIVE)
        assert made["pollerConf"] == {"visibilityTimeoutInSeconds": 60}



def test_the_difference_shows_no_secret() -> None:
    made = convert(documented(), JEC, api_key=Secret("jec-s3cr3t"))
    text = difference(documented(), made, names=("old.json", "new.json"))
    assert text.startswith("--- old.json\n+++ new.json\n")
    assert '-  "baseUrl": "https://api.opsgenie.com",' in text
    assert '+  "baseUrl": "https://api.atlassian.com",' in text
    for secret in ("s3cr3t", documented()["apiKey"]):
        assert secret not in text


@settings(max_examples=50)
@given(JSON_VALUES, JSON_VALUES)
def test_any_document_is_converted_or_refused_with_a_config_error(value: Any, mapping: Any) -> None:
    top = {
        "actionMappings": {"Close": mapping, "postActionToJEC": value},
        "globalArgs": value,
        "pollerConf": mapping,
        "baseUrl": value,
        "x": mapping,
    }
    try:
        document = as_document(top)
    except ConfigError:
        return
    for to in (OEC, JEC, NATIVE):
        made = convert_config(document, to=to)
        json.dumps(made)
        difference(document.value, made)
