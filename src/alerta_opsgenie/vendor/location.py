"""Find the configuration: by the connectors' environment variables, then in the packages' directories."""

from __future__ import annotations

import os
from typing import Mapping, NamedTuple

from alerta_opsgenie.vendor.config import CONFIG_NAMES, DIALECTS, HOMES
from alerta_opsgenie.vendor.problems import ConfigError
from alerta_opsgenie.vendor.structure import clean_path

PACKAGE_PATHS: Mapping[str, str] = {name: f"{HOMES[name]}/{name}/conf/{CONFIG_NAMES[name]}" for name in DIALECTS}
"""The path in the vendor's packages."""

NATIVE_PATH = "/etc/alerta-opsgenie/config.json"
"""The path in our own installation."""


class Location(NamedTuple):
    """A configuration file's path, and the dialect if the path or variable determines it."""

    path: str
    dialect: str | None


def locate(path: str | None, dialect: str | None) -> Location:
    """Return the file at `path`; without one, the result of `find_config`, with `dialect` if it is given."""
    if path:
        return Location(path, dialect)
    found = find_config(dialect=dialect)
    return found._replace(dialect=dialect or found.dialect)


def find_config(environment: Mapping[str, str] | None = None, *, dialect: str | None = None) -> Location:
    """Find the configuration as the connectors would, else in the usual places.

    `OEC_CONF_LOCAL_FILEPATH` and `JEC_CONF_LOCAL_FILEPATH` come first. Raises `ConfigError` if both are set and
    `dialect` does not choose one, and if there is no file.
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
        # Path.exists() raises for a directory that this user may not enter.
        if os.path.exists(place.path):  # noqa: PTH110
            return place
    looked = ", ".join(place.path for place in places)
    raise ConfigError("the configuration", f"is at none of the usual places ({looked})", "name the file", usage=True)
