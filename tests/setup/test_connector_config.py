"""The configuration that an installation writes, new or made of the one that is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerta_opsgenie.setup.connector_config import read_existing
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import DOCUMENTED_ACTIONS
from alerta_opsgenie.vendor.document import Document
from alerta_opsgenie.vendor.problems import ConfigError
from tests.setup.conftest import API_KEY, Image, make_image
from tests.support.trees import OLD_ALERTA_KEY, OLD_API_KEY, hand_made, put, vendor_layout


def config_of(image: Image, **changes: Any) -> dict[str, Any]:
    value = image.contents(**changes).config
    assert value is not None
    return dict(value)


@pytest.mark.parametrize("edge", ["oec", "jec", "native"])
def test_a_new_configuration_has_no_problem(tmp_path: Any, edge: str) -> None:
    image = make_image(tmp_path, edge)
    document = Document(config_of(image), "json", image.layout.config)
    dialect = "oec" if edge == "native" else edge
    assert check_config(document, dialect=dialect, target=edge, environment={}) == []


def test_the_vendors_sample_gets_our_mappings_and_keeps_everything_else(image: Image) -> None:
    vendor_layout(image.root)
    value = config_of(image)
    ours = f"{image.layout.scripts}/oecAlertaExecutor"
    assert value["apiKey"] == API_KEY
    assert value["logLevel"] == "DEBUG"
    assert {value["actionMappings"][name]["filepath"] for name in DOCUMENTED_ACTIONS} == {ours}
    assert value["actionMappings"]["Create"]["filepath"].endswith("actionExecutor.py")


def test_an_older_configuration_keeps_keys_region_sources_and_other_actions(image: Image) -> None:
    hand_made(image.root)
    value = config_of(image)
    assert value["apiKey"] == OLD_API_KEY
    assert value["baseUrl"] == "https://api.eu.opsgenie.com"
    assert value["actionMappings"]["Restart web"]["filepath"] == "/opt/restart.sh"
    assert value["pollerConf"] == {"maxNumberOfMessages": 5}
    arguments = value["globalArgs"]
    assert arguments[arguments.index("--source") + 1] == "Alerta-EU"


def test_a_key_among_the_arguments_moves_to_the_file(image: Image) -> None:
    hand_made(image.root)
    contents = image.contents()
    assert contents.alerta_key.reveal() == OLD_ALERTA_KEY
    assert OLD_ALERTA_KEY not in json.dumps(contents.config)


def test_a_samples_placeholder_is_not_used_as_a_key(image: Image) -> None:
    vendor_layout(image.root)
    assert not read_existing(image.host, image.layout).api_key


def test_a_file_that_is_not_json_is_refused(image: Image) -> None:
    put(image.root, image.layout.config, "{ not json")
    with pytest.raises(ConfigError, match="not JSON"):
        read_existing(image.host, image.layout)


def test_values_that_make_no_valid_configuration_are_refused(image: Image) -> None:
    with pytest.raises(ConfigError, match="baseUrl"):
        image.contents(base_url="api.opsgenie.com")
