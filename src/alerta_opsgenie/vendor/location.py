"""Where the configuration is: the connectors' environment variables, then the places where packages put it."""

from __future__ import annotations

import os
from typing import Mapping, NamedTuple

from alerta_opsgenie.vendor.config import CONFIG_NAMES, DIALECTS, HOMES
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.structure import clean_path

PACKAGE_PATHS: Mapping[str, str] = {name: f"{HOMES[name]}/{name}/conf/{CONFIG_NAMES[name]}" for name in DIALECTS}
"""Where the vendor's packages put it."""

NATIVE_PATH = "/etc/alerta-opsgenie/config.json"
"""Where our own installation puts it."""


class Location(NamedTuple):
    """A configuration file's path, and the dialect where the place already tells it."""

    path: str
    dialect: str | None


def locate(path: str | None, dialect: str | None) -> Location:
    """Give the named file, or find one as `find_config` does, which then tells the dialect where none is given."""
    if path:
        return Location(path, dialect)
    found = find_config(dialect=dialect)
    return found._replace(dialect=dialect or found.dialect)


def find_config(environment: Mapping[str, str] | None = None, *, dialect: str | None = None) -> Location:
    """Find the configuration as the connectors would, else where it is usually put.

    `OEC_CONF_LOCAL_FILEPATH` and `JEC_CONF_LOCAL_FILEPATH` come first. Raises `ConfigError` where both are set and
    `dialect` does not choose, and where there is no file.
    """
    given = os.environ if environment is None else environment
    chosen, home = (dialect,) if dialect else DIALECTS, given.get("HOME", "")
    variables = {name: given.get(f"{name.upper()}_CONF_LOCAL_FILEPATH", "") for name in chosen}
    named = [Location(clean_path(path, home), name) for name, path in variables.items() if path]
    if len(named) > 1:
        what = "has the variables of both connectors (OEC_CONF_… and JEC_CONF_…)"
        raise ConfigError("the environment", what, "name the file, or choose with --dialect", usage=True)
    if named:
        return named[0]
    places = [Location(NATIVE_PATH, dialect)]
    for name in chosen:
        # The second is where the Go connectors look when only their source type is set (conf/reader.go).
        places += [Location(PACKAGE_PATHS[name], name), Location(clean_path(f"~/{name}/config.json", home), name)]
    for place in places:
        # Path.exists() raises for a home that may not be looked into.
        if os.path.exists(place.path):  # noqa: PTH110
            return place
    looked = ", ".join(place.path for place in places)
    raise ConfigError("the configuration", f"is at none of the usual places ({looked})", "name the file", usage=True)
