"""Where the configuration is: the connectors' environment variables, then the places where packages put it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping

from alerta_opsgenie.vendor.config import DIALECTS, JEC, OEC
from alerta_opsgenie.vendor.problems import ConfigError, shown
from alerta_opsgenie.vendor.structure import clean_path

HOME_PATHS: Mapping[str, str] = {OEC: "~/oec/config.json", JEC: "~/jec/config.json"}
"""Where the Go connectors look when only their source type is set (conf/reader.go)."""

PACKAGE_PATHS: Mapping[str, str] = {
    OEC: "/home/opsgenie/oec/conf/config.json",
    JEC: "/home/jsm/jec/conf/jec-config.json",
}
"""Where the vendor's packages put it."""

NATIVE_PATH = "/etc/alerta-opsgenie/config.json"
"""Where our own installation puts it."""


@dataclass(frozen=True)
class Location:
    """A configuration file's path, and the dialect where the place already tells it."""

    path: str
    dialect: str | None


def find_config(environment: Mapping[str, str] | None = None, *, dialect: str | None = None) -> Location:
    """Find the configuration as the connectors would, else where it is usually put.

    `OEC_CONF_LOCAL_FILEPATH` and `JEC_CONF_LOCAL_FILEPATH` come first. Raises `ConfigError` where both connectors are
    set up and `dialect` does not choose, where the source is git, and where there is no file.
    """
    given = os.environ if environment is None else environment
    named = [name for name in DIALECTS if dialect in {None, name} and _source_type(given, name) is not None]
    if len(named) > 1:
        raise ConfigError(
            "the environment",
            "has the variables of both connectors (OEC_CONF_… and JEC_CONF_…)",
            "name the file, or choose with --dialect",
            usage=True,
        )
    if named:
        return _location_of(given, named[0])
    places = _usual_places(given, dialect)
    for place in places:
        # Path.exists() raises for a home that may not be looked into.
        if os.path.exists(place.path):  # noqa: PTH110
            return place
    looked = ", ".join(place.path for place in places)
    raise ConfigError("the configuration", f"is at none of the usual places ({looked})", "name the file", usage=True)


def _source_type(environment: Mapping[str, str], dialect: str) -> str | None:
    prefix = dialect.upper()
    if not any(environment.get(f"{prefix}_CONF_{name}") for name in ("SOURCE_TYPE", "LOCAL_FILEPATH", "GIT_URL")):
        return None
    return environment.get(f"{prefix}_CONF_SOURCE_TYPE", "").casefold()


def _location_of(environment: Mapping[str, str], dialect: str) -> Location:
    prefix = dialect.upper()
    source_type = _source_type(environment, dialect)
    if source_type == "git":
        raise ConfigError(
            f"{prefix}_CONF_SOURCE_TYPE",
            'is "git", and only a file of this host can be read here',
            f"clone the repository and set {prefix}_CONF_SOURCE_TYPE=local and {prefix}_CONF_LOCAL_FILEPATH",
            usage=True,
        )
    # The Go connectors refuse an empty source type; where a path is given there is nothing to guess.
    if source_type not in {"local", ""}:
        what = f"is {shown(source_type or '')}"
        raise ConfigError(f"{prefix}_CONF_SOURCE_TYPE", what, 'set it to "local"', usage=True)
    path = environment.get(f"{prefix}_CONF_LOCAL_FILEPATH") or HOME_PATHS[dialect]
    return Location(clean_path(path, environment.get("HOME", "")), dialect)


def _usual_places(environment: Mapping[str, str], dialect: str | None) -> list[Location]:
    home = environment.get("HOME", "")
    chosen = [dialect] if dialect else list(DIALECTS)
    places = [Location(NATIVE_PATH, dialect)]
    for name in chosen:
        places.append(Location(PACKAGE_PATHS[name], name))
        if home:
            places.append(Location(clean_path(HOME_PATHS[name], home), name))
    return places
