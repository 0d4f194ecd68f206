"""Where everything lies."""

from __future__ import annotations

import pytest

from alerta_opsgenie.setup.host import SetupError
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
def test_the_configuration_has_the_path_that_connectors_and_config_search(edge: str, config: str, user: str) -> None:
    layout = layout_for(edge)
    assert (layout.config, layout.user) == (config, user)


@pytest.mark.parametrize("edge", EDGES)
def test_only_the_connector_can_read_the_keys_and_change_its_files(edge: str) -> None:
    layout = layout_for(edge)
    assert layout.config_mode & 0o027 == 0
    assert all(directory.mode & 0o022 == 0 for directory in layout.directories)


@pytest.mark.parametrize("edge", EDGES)
def test_another_user_gets_its_own_paths(edge: str) -> None:
    usual, other = layout_for(edge), layout_for(edge, "staging")
    mine, others = ({*layout.own_places, layout.unit} for layout in (usual, other))
    assert len(mine) == len(others)
    assert mine.isdisjoint(others)
    assert all("staging" in place for place in others)


@pytest.mark.parametrize("place", ["/var/log", "/usr/local/", "/etc/systemd", "/var/lib"])
def test_a_system_directory_is_refused(place: str) -> None:
    for places in ({"home": place}, {"log_directory": place}):
        with pytest.raises(SetupError, match="not an absolute path of a directory of its own"):
            layout_for(OEC, **places)
    assert layout_for(OEC, log_directory="/var/log/staging").log_directory == "/var/log/staging"
