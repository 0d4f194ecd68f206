"""Where everything lies."""

from __future__ import annotations

import pytest

from alerta_opsgenie.setup.layout import EDGES, layout_for
from alerta_opsgenie.vendor.config import JEC, NATIVE, OEC
from alerta_opsgenie.vendor.location import NATIVE_PATH, PACKAGE_PATHS


@pytest.mark.parametrize(
    ("edge", "config", "user"),
    [
        (OEC, PACKAGE_PATHS[OEC], "opsgenie"),
        (JEC, PACKAGE_PATHS[JEC], "jec"),
        (NATIVE, NATIVE_PATH, "alerta-opsgenie"),
    ],
)
def test_the_configuration_is_where_the_connector_and_config_look_for_it(edge: str, config: str, user: str) -> None:
    layout = layout_for(edge)
    assert (layout.config, layout.user) == (config, user)


@pytest.mark.parametrize("edge", EDGES)
def test_nobody_but_the_connector_may_read_the_keys_or_change_what_it_runs(edge: str) -> None:
    layout = layout_for(edge)
    assert layout.config_mode & 0o027 == 0
    assert all(directory.mode & 0o022 == 0 for directory in layout.directories)


@pytest.mark.parametrize("edge", EDGES)
def test_another_user_gets_places_of_its_own(edge: str) -> None:
    usual, other = layout_for(edge), layout_for(edge, "staging")
    mine, others = ({*layout.own_places, layout.unit} for layout in (usual, other))
    assert len(mine) == len(others)
    assert mine.isdisjoint(others)
    assert all("staging" in place for place in others)
