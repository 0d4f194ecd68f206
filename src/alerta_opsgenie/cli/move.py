"""`alerta-opsgenie doctor --move`: which connectors of this host are moved, and by which key JSM takes alerts."""

from __future__ import annotations

import os
from typing import Any, Iterable

import click

from alerta_opsgenie.cli.keys import read_key_file
from alerta_opsgenie.cli.options import option_set
from alerta_opsgenie.clients.opsgenie import BASE_URLS
from alerta_opsgenie.core.publish import Dialect
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.doctor.installation import Installation, Request
from alerta_opsgenie.doctor.move_checks import Move
from alerta_opsgenie.vendor.config import JEC, OEC
from alerta_opsgenie.vendor.location import NATIVE_PATH, PACKAGE_PATHS

move_options = option_set(
    click.option("--move", "is_move", is_flag=True, help="Say how far the move from Opsgenie to JSM is."),
    click.option("--old-config", metavar="FILE", help="With --move: the configuration of Opsgenie's connector."),
    click.option("--jsm-key-file", metavar="FILE", help="With --move: a file with the key that JSM takes alerts by."),
    click.option("--jsm-url", default=BASE_URLS[Dialect.JSM], metavar="URL", help="With --move: JSM's base URL."),
)
"""The options of `doctor --move`."""


def find_move(asked: dict[str, Any], old_config: str | None, jsm_url: str, jsm_key_file: str | None) -> Move:
    """Find both connectors, by the usual places where no file is named. Raises `Failure`."""
    key = read_key_file("JSM's key", jsm_key_file) if jsm_key_file else Secret("")
    given, limit = asked["config_path"], asked["time_limit"]
    of_new = {name: asked[name] for name in ("user", "service_path")}
    of_new.update(log_directory=asked["log_dir"], state_directory=asked["spool_dir"], edge=asked["edge"] or "")
    new = _first(JEC, [given] if given else [PACKAGE_PATHS[JEC], NATIVE_PATH], limit_seconds=limit, **of_new)
    old = _first(OEC, [old_config] if old_config else [PACKAGE_PATHS[OEC], NATIVE_PATH], limit_seconds=limit)
    return Move(old, new, jsm_url, key)


def _first(dialect: str, paths: Iterable[str], **settings: Any) -> Installation | None:
    """Give the first connector of a product; one whose configuration cannot be read is left to the checks."""
    for path in map(os.path.abspath, paths):
        found = Installation(Request(path, **settings))
        if os.path.lexists(path) and (found.document is None or found.dialect == dialect):
            return found
    return None
