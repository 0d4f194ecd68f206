"""Configurations that once gave a wrong answer, with their siblings."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC
from alerta_opsgenie.vendor.convert import convert_config, difference
from alerta_opsgenie.vendor.document import LARGEST_FILE_BYTES, Document, load_document, parse_document
from alerta_opsgenie.vendor.problems import ERROR, NOTE, WARNING, ConfigError, Problem
from alerta_opsgenie.vendor.redaction import effective_config
from alerta_opsgenie.vendor.structure import read_config, read_structure
from tests.support.edge_messages import edge_document

CASES = Path(__file__).parent / "cases"


def check(document: Document, **options: Any) -> list[Problem]:
    return check_config(document, **{"environment": {}, **options})


def levels(value: Any, **options: Any) -> dict[str, str]:
    document = Document(value, "json", "c.json")
    return {problem.path: problem.level for problem in check(document, **options)}


def with_mapping(**changes: Any) -> dict[str, Any]:
    value = edge_document()
    value["actionMappings"]["Close"] = {**value["actionMappings"]["Close"], **changes}
    return value


class TestMappedNames:
    """The connectors look up `mappedActionV2.name` first, so that any name may be right."""

    def test_names_in_the_vendors_samples_are_no_errors(self) -> None:
        assert ERROR not in {problem.level for problem in check(load_document(CASES / "config.mapped-names.json"))}
        read_config(CASES / "config.mapped-names.json", environment={})


class TestUrlInTheServicesEnvironment:
    """The file cannot tell what the service's environment holds."""

    def test_a_missing_url_and_key_are_notes(self) -> None:
        problems = check(load_document(CASES / "config.url-in-service-environment.yml"))
        notes = [problem for problem in problems if problem.level == NOTE]
        assert [problem.path for problem in notes] == ["$.actionMappings.Acknowledge"] * 2
        assert ("Alerta's URL" in notes[0].what, "Alerta's key" in notes[1].what) == (True, True)
        assert "ALERTA_API_URL" in notes[0].advice
        assert not [problem for problem in problems if problem.level == ERROR]

    @pytest.mark.parametrize("entry", ["ALERTA_API_KEY=s3cr3t", "ALERTA_API_KEY_FILE=/etc/alerta.key"])
    def test_variables_of_the_file_count(self, entry: str) -> None:
        value = edge_document(globalArgs=["--alertaApiUrl", "https://a.example.com"], globalEnv=[entry])
        assert levels(value) == {}


class TestMixedWithAnotherScript:
    """Another product's script must not get what is meant for ours."""

    def test_the_catch_all_starts_our_executor(self) -> None:
        made = convert_config(load_document(CASES / "config.mixed-with-another-script.json"), to=JEC)
        mappings = made["actionMappings"]
        assert mappings["postActionToJEC"] == mappings["Close"]
        assert mappings["postActionToJEC"]["filepath"].endswith("/oecAlertaExecutor.py")
        assert mappings["Acknowledge"]["filepath"].endswith("/actionExecutor.py")

    def test_without_our_executor_there_is_no_catch_all(self) -> None:
        value = edge_document(actionMappings={"Acknowledge": {"filepath": "/opt/other.py", "sourceType": "local"}})
        made = convert_config(Document(value, "json", "c.json"), to=JEC)
        assert list(made["actionMappings"]) == ["Acknowledge"]


class TestConnectorsArgumentsAsFlags:
    def test_flags_that_the_connector_itself_passes_are_warnings_and_no_placeholders(self) -> None:
        problems = check(load_document(CASES / "config.connector-arguments-as-flags.json"))
        flags = {problem.path: problem for problem in problems if ".flags." in problem.path}
        assert set(flags) == {
            f"$.actionMappings.dispatchTask.flags.{name}" for name in ("payload", "apiKey", "jsmUrl", "logLevel")
        }
        assert {problem.level for problem in flags.values()} == {WARNING}
        assert all("passed by the connector itself" in problem.what for problem in flags.values())

    @pytest.mark.parametrize("name", ["apiKey", "payload"])
    def test_global_flags_and_arguments_that_the_connector_passes_are_warnings(self, name: str) -> None:
        value = with_mapping(args=[f"-{name}", "{{.X}}", f"--{name}={{{{.X}}}}"])
        value["globalFlags"] = {name: "{{.X}}"}
        value["globalArgs"] += [f"-{name}", "${X}"]
        assert levels(value) == {
            f"$.globalFlags.{name}": WARNING,
            "$.globalArgs[4]": WARNING,
            "$.actionMappings.Close.args[0]": WARNING,
            "$.actionMappings.Close.args[2]": WARNING,
        }

    def test_a_conversion_removes_options_that_the_connector_passes(self) -> None:
        made = convert_config(load_document(CASES / "config.connector-arguments-as-flags.json"), to=NATIVE)
        assert made["actionMappings"]["dispatchTask"]["flags"] == {}


class TestPlaceholders:
    @pytest.mark.parametrize(
        "text",
        [
            "https://{{ host }}/api", "your_api_key_goes_here", "${KEY}", "changeme", "YOUR_API_KEY", "your-api-token",
            "https://<alerta>/api", "…", " <local | git> ", "xxxx-xxxx",
        ],
    )  # fmt: skip
    def test_a_placeholder_is_an_error(self, text: str) -> None:
        assert levels(edge_document(apiKey=text))["$.apiKey"] == ERROR
        assert levels(edge_document(globalArgs=["--alertaApiUrl", text]))["$.globalArgs[1]"] == ERROR

    @pytest.mark.parametrize(
        "text", ["https://alerta.example.com/api?x={y}", "$HOME/a", "a<b", "keyring"]
    )
    def test_a_text_that_resembles_a_placeholder_is_fine(self, text: str) -> None:
        value = edge_document()
        value["globalArgs"].append(text)
        assert levels(value) == {}

    def test_a_template_for_another_script_is_a_warning(self) -> None:
        other = {"filepath": "/opt/notify.py", "sourceType": "local", "args": ["{{ alert.message }}"]}
        value = edge_document()
        value["actionMappings"]["Notify"] = other
        assert levels(value) == {"$.actionMappings.Notify.args[0]": WARNING}
        value["actionMappings"]["Notify"] = {**other, "filepath": "/opt/oecAlertaExecutor.py"}
        assert levels(value) == {"$.actionMappings.Notify.args[0]": ERROR}

    def test_the_keys_placeholder_is_fine_if_the_environment_has_the_key(self) -> None:
        assert levels(edge_document(apiKey="<API_KEY>"), environment={"OEC_API_KEY": "k"}) == {}


HOSTILE = {
    "many mappings": {"apiKey": "k", "actionMappings": {f"action {number}": {} for number in range(2400)}},
    "many unknown keys": {"apiKey": "k", **{f"apiKex{number}": number for number in range(4900)}},
    "many secrets": {"apiKey": "k", "alertaOpsgenie": {f"{number}key": f"{number}" for number in range(4900)}},
    "a long argument": {"apiKey": "k", "globalArgs": ["--a=a=" * 30_000]},
    "a long name": {"apiKey": "k", "actionMappings": {"your_" * 40_000: {"filepath": "your_" * 5_000}}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_gives_an_error_or_problems_in_time(name: str) -> None:
    """The bound is to tell an end from a hang."""
    began = time.monotonic()
    document = parse_document(json.dumps(HOSTILE[name]).encode())
    assert check(document)
    effective_config(read_structure(document, dialect=OEC, environment={}).config)
    made = convert_config(document, to=JEC, api_key=Secret("k"))
    difference(document.value, made)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (b'{"a":' * 50_000, "json"),
        (json.dumps(list(range(50_000))).encode(), "json"),
        (b"[" * LARGEST_FILE_BYTES, "yaml"),
        (b"a: " + b"{b: " * 50_000, "yaml"),
        (b"a: &a [1]\n" + b"".join(b"b%d: &a [*a,*a,*a,*a,*a,*a,*a,*a]\n" % number for number in range(50)), "yaml"),
        (b"a: &a {x: 1}\n" + b"".join(b"b%d: &a {<<: [*a,*a,*a,*a]}\n" % number for number in range(50)), "yaml"),
        (b"a: !!python/object/apply:os.system [id]\n- x", "yaml"),
    ],
)
def test_expansion_bombs_are_one_error_in_time(data: bytes, syntax: str) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError):
        parse_document(data, syntax=syntax)
    assert time.monotonic() - began < 60
