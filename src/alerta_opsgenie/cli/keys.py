"""The two API keys of a command: from a file, a variable, or a prompt that does not show the input."""

from __future__ import annotations

import os
import re
import sys

import click

from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.cli.options import option_set
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.vendor.render import REGIONS

_LONGEST_CHARACTERS = 4096
_INTEGRATION_KEY = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""An integration's key is a UUID. Alerta makes keys of 40 characters."""

_NOTHING = Secret("")


source_options = option_set(
    click.option("--alerta-url", default="", metavar="URL", envvar="ALERTA_API_URL",
                 help="Alerta's API, as https://alerta.example.com/api (or ALERTA_API_URL)."),
    click.option("--alerta-key-file", metavar="FILE", help="A file with Alerta's API key (or ALERTA_API_KEY)."),
    click.option("--api-key-file", metavar="FILE", help="A file with the integration's key (or OEC_API_KEY, ...)."),
    click.option("--region", type=click.Choice(REGIONS), default="us", show_default=True, help="Opsgenie's region."),
    click.option("--base-url", default="", metavar="URL", help="The vendor's API (default: the usual host)."),
)  # fmt: skip
"""The options for the values of a configuration."""


def alerta_key(file: str | None, known: Secret = _NOTHING) -> Secret:
    """Get Alerta's API key; `known` is the installed one. Raises `Failure`."""
    return _get("Alerta's API key", file, "ALERTA_API_KEY", "--alerta-key-file", known)


def integration_key(file: str | None, dialect: str, known: Secret = _NOTHING) -> Secret:
    """Get the API key of an OEC or JEC integration. Raises `Failure`."""
    return _get("the integration's API key", file, f"{dialect.upper()}_API_KEY", "--api-key-file", known)


def _get(name: str, file: str | None, variable: str, option: str, known: Secret) -> Secret:
    if file:
        return read_key_file(name, file)
    if os.environ.get(variable):
        return Secret(os.environ[variable])
    if known:
        return known
    if not is_interactive():
        raise Failure(f"{name} is missing", f"give it with {option} FILE or in the variable {variable}", 2)
    return Secret(click.prompt(name[:1].upper() + name[1:], hide_input=True, err=True))


def is_interactive() -> bool:
    """Return whether a person can answer a prompt."""
    return sys.stdin.isatty()


def read_key_file(name: str, path: str) -> Secret:
    """Read a key from a file; `name` is its name in messages. Raises `Failure`."""
    try:
        with click.open_file(path, encoding="utf-8") as file:
            text = file.read(_LONGEST_CHARACTERS).strip()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", f"put {name} into it", 2) from None
    except ValueError:
        raise Failure(f"{path} does not hold a text in UTF-8", f"put {name} into it, on one line", 2) from None
    if len(text.split()) != 1 or not text.isprintable():
        what = "does not hold one key on one line" if text else "is empty"
        raise Failure(f"{path} {what}", f"put {name} into it", 2)
    return Secret(text)


def check_keys(alerta: Secret, integration: Secret) -> None:
    """Raise `Failure` if Alerta's key cannot be one, or if the keys are swapped or equal."""
    text = alerta.reveal()
    if not text.isascii() or not text.isprintable() or " " in text or not text:
        raise Failure("Alerta's API key holds a character that no key has", "give the key alone, as Alerta shows it", 2)
    if _INTEGRATION_KEY.fullmatch(text) and not _INTEGRATION_KEY.fullmatch(integration.reveal()):
        what = "the keys are swapped: what is given as Alerta's key looks like an integration's (a UUID)"
        raise Failure(what, "give Alerta's with --alerta-key-file, the integration's with --api-key-file", 2)
    if alerta == integration:
        what = "Alerta's key and the integration's key are the same text"
        raise Failure(what, "look up each where it was made: in Alerta, and in Opsgenie or JSM", 2)
