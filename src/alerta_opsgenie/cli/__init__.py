"""The command line: one module per command, imported when the command is used."""

from __future__ import annotations

import importlib
import os
import sys

import click

from alerta_opsgenie import __version__
from alerta_opsgenie.cli.failure import Failure, write_in_any_encoding

_COMMANDS = {
    "install": "Set up a connector on this host: user, layout, executor, configuration, unit.",
    "uninstall": "Undo what install did, and nothing else.",
    "doctor": "Find out why nothing happens, and what to do about it.",
    "run": "Take the queue itself, in the place of OEC or JEC.",
    "agent": "Deliver the actions of OEC's or JEC's scripts, as a service.",
    "config": "Check, show, write and convert a connector's configuration.",
    "status": "Show actions in flight, waiting and dead, and the process that delivers them.",
    "spool": "List actions that wait for delivery to Alerta, and decide about those that were refused.",
    "reconcile": "Compare the open alerts of both sides, and repair what differs.",
    "send": "Do one action by hand, as if it came from Opsgenie.",
}


class _Commands(click.Group):
    """Imports a command only when it is used: most commands need none of the connector's libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = importlib.import_module(f"alerta_opsgenie.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            if str(error.name).startswith("alerta_opsgenie"):
                raise
            raise _needs(cmd_name, error) from None
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="alerta-opsgenie")
def group() -> None:
    """Bridge Alerta and Opsgenie / Jira Service Management.

    Exit codes: 0 done; 1 it failed, the reason and what to do are on standard error; 2 wrong usage.
    """


def main() -> None:
    """Run the command line; a failure is two lines: what is wrong and what to do."""
    write_in_any_encoding()
    try:
        # https://no-color.org: present and not empty, whatever its value
        sys.exit(group.main(standalone_mode=False, color=False if os.environ.get("NO_COLOR") else None) or 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("alerta_opsgenie"):
            raise
        failure = _needs("reading the configuration", error)
        failure.show()
        sys.exit(failure.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def _needs(what: str, error: ModuleNotFoundError) -> Failure:
    missing = f"{what} needs the library {error.name}, which is not installed"
    return Failure(missing, "pip install 'alerta-opsgenie[connector]'")
