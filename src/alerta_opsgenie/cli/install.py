"""`alerta-opsgenie install`: plan a connector's whole layout, show the plan, then make it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import click

from alerta_opsgenie.cli.failure import Failure, explain_errors
from alerta_opsgenie.cli.keys import alerta_key, check_keys, integration_key, is_interactive, source_options
from alerta_opsgenie.cli.options import option_set
from alerta_opsgenie.clients.alerta import address_of
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.setup.connector_config import Existing, make_config, read_existing, take_over
from alerta_opsgenie.setup.host import Host
from alerta_opsgenie.setup.interpreter import Interpreter, build_executor, find_interpreter
from alerta_opsgenie.setup.layout import EDGES, SERVICE_PATH, Layout, layout_for
from alerta_opsgenie.setup.plan import Change, Contents, apply_plan, make_plan
from alerta_opsgenie.setup.record import Record
from alerta_opsgenie.setup.unit import DEFAULT_COMMAND, render_unit
from alerta_opsgenie.vendor.config import DIALECTS, NATIVE, OEC
from alerta_opsgenie.vendor.problems import shown
from alerta_opsgenie.vendor.render import RenderOptions

EXIT_USAGE = 2
_NO_NUMBER = 2**32 - 1  # chown(2) takes it for "leave it"
_COMMAND = "alerta-opsgenie"
_COMMAND_PATH = re.compile(r"(?:/[A-Za-z0-9._+@-]+)+")  # a unit's line has no room for blanks and % signs

installation_options = option_set(
    click.option("--edge", type=click.Choice(EDGES), required=True, help="Opsgenie's connector, JSM's, or our own."),
    click.option("--user", default="", metavar="NAME", help="The connector's user (default: the usual one)."),
    click.option("--root", default="", metavar="DIR", help="Work on the image in this directory; makes no users."),
)
"""The options that select an installation."""


@click.command("install")
@installation_options
@source_options
@click.option("--dialect", type=click.Choice(DIALECTS), help="For native: the product of the integration's key.")
@click.option("--alerta-ca-file", default="", metavar="FILE", help="Certificates (PEM) of a private CA.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Act on alerts with this source.")
@click.option("--home", default="", metavar="DIR", help="The user's home (default: the documented one).")
@click.option("--log-dir", default="", metavar="DIR", help="The log directory (default: the documented one).")
@click.option("--service-path", default="", metavar="PATH", help="The PATH that the connector's service has.")
@click.option("--command", default="", metavar="PATH", help="The alerta-opsgenie that the unit starts.")
@click.option("--owner", default="", metavar="UID:GID", help="With --root: the user by number (default: root).")
@click.option("--from", "taken_from", default="", metavar="FILE", help="Start from another connector's configuration.")
@click.option("--keep-config", is_flag=True, help="Keep an existing configuration unchanged.")
@click.option("--force", is_flag=True, help="Replace an existing configuration without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking; an edited configuration still needs --force.")
@explain_errors
def install(root: str, user: str, home: str, log_dir: str, owner: str, dry_run: bool, yes: bool, **asked: Any) -> None:
    """Set up a connector: user, directories, executor, configuration, Alerta's key, systemd unit.

    The unit is the native connector's; for OEC and JEC, the agent's. The plan is shown before anything is changed. Run
    again, it corrects only what differs. A replaced file is kept under a dated name; `alerta-opsgenie
    uninstall` restores it. With another --user, all paths are named after that user.
    """
    force = asked.pop("force")
    layout = layout_for(asked.pop("edge"), user, home, log_dir)
    host = open_host(root, owner, dry_run=dry_run)
    record = Record(host, layout.edge, layout.user)
    plan = make_plan(host, layout, record, _contents(host, layout, **asked))
    _show(plan)
    if dry_run:
        click.echo("Nothing was changed (--dry-run).")
        return
    plan = _confirm(plan, force=force, yes=yes)
    if plan:
        apply_plan(layout, record, plan, lambda text: click.echo(f"  done: {text}"))
    _print_next_steps(host, layout)


def open_host(root: str, owner: str = "", *, dry_run: bool = False) -> Host:
    """Return this host, or the image at `root`. Raises `Failure`."""
    if not root:
        if os.geteuid() != 0 and not dry_run:
            raise Failure("this takes root's rights", "the same command with sudo, or with --root DIR", EXIT_USAGE)
        return Host()
    if not Path(root).is_dir():
        raise Failure(f"--root {root} is no directory", f"mkdir {root}", EXIT_USAGE)
    numbers = tuple(int(part) if part.isdecimal() else -1 for part in owner.split(":")) if owner else ()
    if owner and (len(numbers) != 2 or min(numbers) < 0 or max(numbers) >= _NO_NUMBER):  # noqa: PLR2004
        raise Failure(f"--owner {owner} is not a user and a group by number", "write --owner 990:990", EXIT_USAGE)
    return Host(str(Path(root).resolve()), (numbers[0], numbers[1]) if owner else None)


def _contents(host: Host, layout: Layout, *, taken_from: str, keep_config: bool, service_path: str, command: str,
              **given: Any) -> Contents:  # fmt: skip
    """Return the contents of the files. A missing value is taken from the existing configuration, or asked for."""
    if taken_from and keep_config:
        raise Failure("--from and --keep-config exclude each other", "leave one of them out", EXIT_USAGE)
    dialect = given.pop("dialect")
    if taken_from:
        existing = take_over(host, layout, str(Path(taken_from).absolute()), dialect)
    else:
        existing = read_existing(host, layout, dialect)
    wanted, key = _wanted(layout, existing, dialect, **given)
    interpreter = _interpreter(host, layout, service_path)
    executor = build_executor(interpreter, service_path or SERVICE_PATH) if layout.scripts else b""
    unit = render_unit(layout, _unit_command(command, host))
    if keep_config and existing.document is not None:
        _warn_of_state(layout, existing.state_directory)
        return Contents(executor, None, key, unit, existing.state_directory)
    return Contents(executor, make_config(layout, wanted, existing), key, unit)


def _warn_of_state(layout: Layout, kept: str) -> None:
    if kept not in {"", layout.state_directory}:
        what = f"the configuration names the state directory {shown(kept)}, and the unit may write to another"
        click.echo(f'warning: {what}: put "--spoolDir" and {layout.state_directory} into globalArgs', err=True)


def _interpreter(host: Host, layout: Layout, service_path: str) -> Interpreter | None:
    """Find the Python for the executor on the connector's PATH."""
    if not layout.scripts or (host.staged and not service_path):
        return None
    path, identity = service_path or SERVICE_PATH, host.numbers(layout.ownership)
    for name in ("python3", "python"):
        found = find_interpreter(name, path, identity)
        if found is not None and found.is_usable:
            return found
    what = f"there is no Python 3.9 or later on the service's PATH ({path})"
    click.echo(f"warning: {what}: install one, or name the right PATH with --service-path", err=True)
    return None


def _wanted(layout: Layout, existing: Existing, given: str | None, *, alerta_url: str, alerta_key_file: str | None,
            api_key_file: str | None, alerta_ca_file: str, **more: Any) -> tuple[RenderOptions, Secret]:  # fmt: skip
    """Return the values for the configuration, and Alerta's key."""
    dialect = given or existing.dialect or (OEC if layout.edge == NATIVE else layout.edge)
    if layout.edge not in {NATIVE, dialect}:
        raise Failure(f"--dialect {dialect} does not go with --edge {layout.edge}", "leave it out", EXIT_USAGE)
    url = alerta_url or existing.alerta_url or _ask_url()
    try:
        address_of(url)
    except AddressError as error:
        raise Failure(str(error), "give it with --alerta-url", EXIT_USAGE) from None
    key = alerta_key(alerta_key_file, existing.alerta_key)
    api_key = integration_key(api_key_file, dialect, existing.api_key)
    check_keys(key, api_key)
    ca_file = str(Path(alerta_ca_file).absolute()) if alerta_ca_file else ""
    return RenderOptions(dialect, api_key, url, ca_file=ca_file, **more), key


def _ask_url() -> str:
    if not is_interactive():
        raise Failure("Alerta's URL is missing", "give it with --alerta-url https://…/api", EXIT_USAGE)
    return str(click.prompt("URL of Alerta's API (https://alerta.example.com/api)", err=True))


def _unit_command(given: str, host: Host) -> str:
    if given and not _COMMAND_PATH.fullmatch(given):
        raise Failure(f"--command {given} is not an absolute path", f"give one like {DEFAULT_COMMAND}", EXIT_USAGE)
    command = given or (DEFAULT_COMMAND if host.staged else str(Path(sys.executable).with_name(_COMMAND)))
    if command.startswith(("/root/", "/home/")) and not host.staged:
        what = f"the unit will start {command}, which the service's user may not be able to read"
        click.echo(f"warning: {what}: install this package below /opt or /usr, or give --command", err=True)
    return command


# -- the plan


def _show(plan: list[Change]) -> None:
    shown = [change for change in plan if change.text]
    for change in shown:
        click.echo(f"  + {change.text}")
        if change.difference:
            click.echo("\n".join(f"      {line}" for line in change.difference.splitlines()))
    click.echo(f"{len(shown)} changes to make." if shown else "Nothing to do: all is as it should be.")


def _confirm(plan: list[Change], *, force: bool, yes: bool) -> list[Change]:
    """Ask before an edited configuration is replaced, and before the first change."""
    chosen = [change for change in plan if not change.question or force or _agrees(change.question)]
    confirm("Do it?", yes=yes or not any(change.text for change in chosen))
    return chosen


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `yes`. Raises `Failure` for a no, and if no person can answer."""
    if yes:
        return
    if not is_interactive():
        what = "nothing was changed: without a terminal no question can be asked"
        raise Failure(what, "look at the plan, then add --yes", EXIT_USAGE)
    if not click.confirm(question, err=True):
        raise Failure("nothing was changed", "run it again when it should be done")


def _agrees(question: str) -> bool:
    if not is_interactive():
        what = f"{question[:-1].replace('Replace ', '')} was edited, and would be replaced by what is shown above"
        raise Failure(what, "--force replaces it (a dated copy stays), --keep-config leaves it", EXIT_USAGE)
    return click.confirm(question, err=True)


def _print_next_steps(host: Host, layout: Layout) -> None:
    if host.staged:
        click.echo(f"Installed below {host.root}.")
        if host.owner is None and os.geteuid() == 0:
            click.echo("All of it is root's: with --owner UID:GID the connector's files are its user's.")
        return
    restart = (
        f"systemctl restart {layout.edge}.service" if layout.scripts else f"systemctl enable --now {layout.unit_name}"
    )
    click.echo(f"Next: {restart}; alerta-opsgenie doctor --config {layout.config}")
