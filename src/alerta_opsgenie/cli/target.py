"""Where Alerta is and where the spool lies: from a connector's configuration, options, or the environment."""

import contextlib
import os
import pwd
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar

import click

from alerta_opsgenie.agent.options import Options, UsageError, read_options, split, spool_directory
from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.clients.alerta import AlertaClient
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.executor.delivery import Courier

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--config", "config_path", metavar="FILE", help="Take Alerta's URL and key from OEC's or JEC's file."),
    click.option("--alerta-url", metavar="URL", help="Alerta's API, with or without /alert (or ALERTA_API_URL)."),
    click.option("--alerta-key-file", metavar="FILE", help="A file with its API key (or ALERTA_API_KEY)."),
    click.option("--alerta-ca-file", metavar="FILE", help="Certificates (PEM) of a private CA."),
)


def spool_option(command: _F) -> _F:
    """Add `--spool-dir`."""
    text = "The spool's directory (or ALERTA_OPSGENIE_SPOOL_DIR; default: that of the user who runs this)."
    return click.option("--spool-dir", metavar="DIR", help=text)(command)


def alerta_options(command: _F) -> _F:
    """Add the options that say where Alerta is."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def directory_of(spool_dir: Optional[str]) -> str:
    """Name the spool's directory; root goes on as the user whose it is."""
    directory = spool_dir or spool_directory(os.environ)
    with contextlib.suppress(OSError):
        _go_on_as(Path(directory).stat().st_uid)
    return directory


def _go_on_as(uid: int) -> None:
    """Let root become that user for good: files that root made in a spool would be of no use to the connector."""
    if os.geteuid() != 0 or uid == 0:
        return
    with contextlib.suppress(KeyError):
        group = pwd.getpwuid(uid).pw_gid
        os.setgroups([])
        os.setgid(group)
        os.setuid(uid)


def options_of(
    config_path: Optional[str],
    alerta_url: Optional[str],
    alerta_key_file: Optional[str],
    alerta_ca_file: Optional[str],
    spool_dir: Optional[str],
) -> Options:
    """Read where Alerta is. Raises `Failure`."""
    found: Dict[str, List[str]] = {}
    notes: List[str] = []
    environment: Mapping[str, str] = os.environ
    try:
        if config_path:
            arguments, variables = _told_by(config_path)
            found, notes = split(arguments)
            environment = {**_state_of(config_path), **os.environ, **variables}
        given = {
            "alertaApiUrl": alerta_url,
            "alertaApiKeyFile": alerta_key_file,
            "alertaCaFile": alerta_ca_file,
            "spoolDir": spool_dir,
        }
        found.update({name: [value] for name, value in given.items() if value})
        if alerta_key_file:
            found.pop("alertaApiKey", None)
        found["drain"] = []
        options = read_options(found, notes, environment)
        return options._replace(spool_directory=directory_of(options.spool_directory))
    except UsageError as error:
        raise Failure(str(error), "or name the connector's own file with --config", 2) from None


def _state_of(config_path: str) -> Dict[str, str]:
    """Name the state directory of the user whose configuration it is, where root asks: the spool lies there."""
    with contextlib.suppress(OSError, KeyError):
        owner = Path(config_path).stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            return {"XDG_STATE_HOME": f"{pwd.getpwuid(owner).pw_dir}/.local/state"}
    return {}


def courier_of(options: Options) -> Courier:
    """Make a courier to that Alerta. Raises `Failure`."""
    try:
        client = AlertaClient(options.alerta_url, options.alerta_key, ca_file=options.ca_file)
    except AddressError as error:
        raise Failure(str(error), "give the URL of Alerta's API with --alerta-url", 2) from None
    return Courier(client, options.settings, options.spool_directory)


def _told_by(path: str) -> "Tuple[List[str], Mapping[str, str]]":
    """Give the arguments and the variables that the connector would start our executor with."""
    try:
        from alerta_opsgenie.setup.told import our_mapping  # noqa: PLC0415
        from alerta_opsgenie.vendor.arguments import mapping_arguments  # noqa: PLC0415 - needs Python 3.10
        from alerta_opsgenie.vendor.config import read_config  # noqa: PLC0415
        from alerta_opsgenie.vendor.problems import ConfigError  # noqa: PLC0415
    except (ImportError, SyntaxError, TypeError):
        raise Failure("--config needs Python 3.10 or later", "give --alerta-url and --alerta-key-file", 2) from None
    try:
        config = read_config(path)
    except ConfigError as error:
        raise Failure(f"{error.where}: {error.what}", error.mend, 2) from None
    return mapping_arguments(config, our_mapping(config))
