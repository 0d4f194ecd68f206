"""What `config show` tells: everything in effect, and no secret."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from alerta_opsgenie.vendor.config import JEC, OEC
from alerta_opsgenie.vendor.document import parse_document
from alerta_opsgenie.vendor.effective import effective_config
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.structure import read_structure
from tests.support.edge_messages import API_KEY, edge_document
from tests.vendor.test_document import JSON_VALUES


def effective(value: Any, dialect: str = OEC) -> dict[str, Any]:
    document = parse_document(json.dumps(value).encode(), where="config.json")
    return effective_config(read_structure(document, dialect=dialect, environment={})[0])


def test_defaults_and_the_way_scripts_are_started_are_shown() -> None:
    shown = effective(edge_document(baseUrl=None, pollerConf=None, poolConf=None))
    assert shown["baseUrl"] == "https://api.opsgenie.com"
    assert shown["pollerConf"]["visibilityTimeoutInSeconds"] == 30
    assert shown["poolConf"]["maxNumberOfWorker"] == 12
    started = shown["actionMappings"]["Close"]["startedAs"]
    assert started[:4] == ["python", "/home/opsgenie/oec/scripts/oecAlertaExecutor.py", "-payload", "<message>"]
    assert started[4:6] == ["-apiKey", "***"]


def test_jec_s_pipe_is_shown_at_the_end_of_the_command_line() -> None:
    shown = effective(edge_document(baseUrl=None), JEC)
    assert shown["actionMappings"]["Close"]["startedAs"][-2:] == ["--jecNamedPipe", "<pipe>"]


def test_planted_secrets_show_nowhere() -> None:
    value = edge_document(
        baseUrl="https://user:s3cr3t-1@api.opsgenie.com?key=s3cr3t-2",
        globalArgs=["--alertaApiKey", "s3cr3t-3", "-token=s3cr3t-4"],
        globalEnv=["ALERTA_API_KEY=s3cr3t-5"],
        globalFlags={"password": "s3cr3t-6"},
        alertaOpsgenie={"alertaKey": "s3cr3t-7"},
    )
    value["actionMappings"]["Close"].update(flags={"apiToken": "s3cr3t-8"}, env=["DB_PASSWORD=s3cr3t-9"])
    text = json.dumps(effective(value))
    assert "s3cr3t" not in text
    assert API_KEY not in text


@given(JSON_VALUES)
def test_whatever_stands_there_can_be_shown(value: Any) -> None:
    document = {**edge_document(), "globalArgs": value, "globalFlags": value, "alertaOpsgenie": value}
    try:
        parsed = parse_document(json.dumps(document).encode())
    except ConfigError:
        return
    assert json.dumps(effective_config(read_structure(parsed, dialect=OEC, environment={})[0]))
