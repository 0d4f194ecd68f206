"""What may be shown of a configuration: planted secrets are searched for in all that comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerta_opsgenie.vendor.config import OEC
from alerta_opsgenie.vendor.document import parse_document
from alerta_opsgenie.vendor.redaction import effective_config, redact, redact_arguments, redact_document
from alerta_opsgenie.vendor.structure import read_structure
from tests.support.edge_messages import edge_document
from tests.vendor.test_document import JSON_VALUES


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["--alertaApiKey", "s", "--x", "1"], ["--alertaApiKey", "***", "--x", "1"]),
        (["-alertaApiKey=s"], ["-alertaApiKey=***"]),
        (["--alertaApiUrl", "https://u:s@a/api?k=s"], ["--alertaApiUrl", "https://***@a/api?***"]),
        (["-p", "9f8e7d6c-5b4a-3928-1706-f5e4d3c2b1a0"], ["-p", "***"]),
        (["/home/opsgenie/oec2/scripts/a1.py"], ["/home/opsgenie/oec2/scripts/a1.py"]),
    ],
)
def test_arguments_lose_their_secrets_and_keep_the_rest(args: list[str], shown: list[str]) -> None:
    assert redact_arguments(args) == shown


def planted() -> tuple[dict[str, Any], list[str]]:
    names = [f"s3cr3t-{number}" for number in range(13)]
    value = edge_document(
        apiKey=names[0],
        globalArgs=["--alertaApiKey", names[1], f"--token={names[2]}", "https://x", names[0]],
        globalEnv=[f"ALERTA_API_KEY={names[3]}", "A=b", f"HTTPS_PROXY=http://u:{names[12]}@proxy:3128"],
        globalFlags={"password": names[4], "url": f"https://me:{names[5]}@h"},
        alertaOpsgenie={"keys": {"a": names[6]}, "tokens": [names[7]], "list": [{"secret": names[8]}]},
    )
    value["actionMappings"]["Close"] |= {"args": ["-p", f"/path/{names[0]}/x"], "env": [f"T_TOKEN={names[9]}"]}
    value["actionMappings"]["Http"] = {"headers": {"X-Custom": names[10]}, "params": {"apikey": names[11]}}
    value["actionMappings"]["Rotate key"] = {"filepath": "/a.sh"}
    return value, names


def test_no_secret_is_shown_and_other_values_stay() -> None:
    value, _ = planted()
    shown = redact_document(value)
    assert "s3cr3t" not in json.dumps(shown)
    assert shown["globalEnv"] == ["ALERTA_API_KEY=***", "A=b", "HTTPS_PROXY=http://***@proxy:3128"]
    assert shown["actionMappings"]["Rotate key"] == {"filepath": "/a.sh"}
    assert shown["actionMappings"]["Close"]["args"] == ["-p", "/path/***/x"]
    assert shown["pollerConf"] == value["pollerConf"]
    assert value == planted()[0]


def test_empty_secrets_are_shown_as_empty() -> None:
    assert redact({"apiKey": "", "password": None, "token": 5}) == {"apiKey": "", "password": None, "token": "***"}


@given(JSON_VALUES, st.text(min_size=8))
def test_a_secret_of_any_shape_is_hidden(value: Any, secret: str) -> None:
    shown = redact_document({"x": value, "apiKey": secret, "password": [{"deep": secret}], "note": f"<{secret}>"})
    assert (shown["apiKey"], shown["password"]) == ("***", "***")
    assert secret not in shown["note"]


# -- What `config show` prints


def shown_of(value: Any, dialect: str = OEC) -> dict[str, Any]:
    document = parse_document(json.dumps(value).encode(), where="config.json")
    return effective_config(read_structure(document, dialect=dialect, environment={}).config)


def test_defaults_and_command_lines_are_shown() -> None:
    shown = shown_of(edge_document(baseUrl=None, pollerConf=None, poolConf=None))
    assert shown["baseUrl"] == "https://api.opsgenie.com"
    assert shown["pollerConf"]["visibilityTimeoutInSeconds"] == 30
    assert shown["poolConf"]["maxNumberOfWorker"] == 12
    started = shown["actionMappings"]["Close"]["startedAs"]
    assert started[:4] == ["python", "/home/opsgenie/oec/scripts/oecAlertaExecutor.py", "-payload", "<message>"]
    assert started[4:6] == ["-apiKey", "***"]
