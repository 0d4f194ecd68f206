"""Where the configuration is: the connectors' environment variables, then the places where packages put it."""

from __future__ import annotations

import os
from typing import Mapping, NamedTuple

from alerta_opsgenie.vendor.config import CONFIG_NAMES, DIALECTS, HOMES
from alerta_opsgenie.vendor.problems import ConfigError, shown
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

    `OEC_CONF_LOCAL_FILEPATH` and `JEC_CONF_LOCAL_FILEPATH` come first. Raises `ConfigError` where both connectors are
    set up and `dialect` does not choose, where the source is git, and where there is no file.
    """
    given = os.environ if environment is None else environment
    chosen = (dialect,) if dialect else DIALECTS
    parts = ("SOURCE_TYPE", "LOCAL_FILEPATH", "GIT_URL")
    named = [name for name in chosen if any(given.get(f"{name.upper()}_CONF_{part}") for part in parts)]
    if len(named) > 1:
        what = "has the variables of both connectors (OEC_CONF_… and JEC_CONF_…)"
        raise ConfigError("the environment", what, "name the file, or choose with --dialect", usage=True)
    if named:
        return _by_variables(given, named[0])
    places = _usual_places(given, dialect)
    for place in places:
        # Path.exists() raises for a home that may not be looked into.
        if os.path.exists(place.path):  # noqa: PTH110
            return place
    looked = ", ".join(place.path for place in places)
    raise ConfigError("the configuration", f"is at none of the usual places ({looked})", "name the file", usage=True)


def _usual_places(environment: Mapping[str, str], dialect: str | None) -> list[Location]:
    places = [Location(NATIVE_PATH, dialect)]
    for name in (dialect,) if dialect else DIALECTS:
        places.append(Location(PACKAGE_PATHS[name], name))
        if environment.get("HOME"):
            places.append(Location(_home_path(environment, name), name))
    return places


def _home_path(environment: Mapping[str, str], dialect: str) -> str:
    """Give where the Go connectors look when only their source type is set (conf/reader.go)."""
    return clean_path(f"~/{dialect}/config.json", environment.get("HOME", ""))


def _by_variables(environment: Mapping[str, str], dialect: str) -> Location:
    # The Go connectors refuse an empty source type; where a path is given there is nothing to guess.
    prefix = f"{dialect.upper()}_CONF"
    source_type = environment.get(f"{prefix}_SOURCE_TYPE", "").casefold()
    if source_type not in {"local", ""}:
        what = f"is {shown(source_type)}, and only a file of this host can be read here"
        advice = f"set it to local, and {prefix}_LOCAL_FILEPATH to the file (of git: clone the repository first)"
        raise ConfigError(f"{prefix}_SOURCE_TYPE", what, advice, usage=True)
    named = clean_path(environment.get(f"{prefix}_LOCAL_FILEPATH", ""), environment.get("HOME", ""))
    return Location(named or _home_path(environment, dialect), dialect)
