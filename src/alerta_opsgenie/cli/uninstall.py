"""`alerta-opsgenie uninstall`: remove what `install` made, and restore what it replaced."""

from __future__ import annotations

import click

from alerta_opsgenie.cli.failure import Failure, explain_errors
from alerta_opsgenie.cli.install import EXIT_USAGE, confirm, installation_options, open_host
from alerta_opsgenie.setup.layout import layout_for
from alerta_opsgenie.setup.record import Record
from alerta_opsgenie.setup.removal import Removal, describe_undo


@click.command("uninstall")
@installation_options
@click.option("--purge", is_flag=True, help="Remove also what was changed since, and actions that wait.")
@click.option("--dry-run", is_flag=True, help="Show what would be undone and change nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@explain_errors
def uninstall(edge: str, user: str, root: str, purge: bool, dry_run: bool, yes: bool) -> None:
    """Undo what `install` did here, last step first.

    Files that were changed since, and directories with other files, are left and named; run it again when they are
    gone, or with --purge. It refuses while the connector still runs.
    """
    host = open_host(root)
    record = Record(host, edge, layout_for(edge, user).user)
    if not record.entries:
        advice = f"name the installation with --edge and --user; its record would be {record.path}"
        raise Failure(f"nothing of {edge} was installed here for {user or 'the usual user'}", advice, EXIT_USAGE)
    layout = layout_for(edge, user, record.places.get("home", ""), record.places.get("log_directory", ""))
    for entry in reversed(record.entries):
        click.echo(f"  - {describe_undo(entry)}")
    if dry_run:
        click.echo("Nothing was changed (--dry-run).")
        return
    confirm("Undo all this?", yes=yes)
    with record.opened():
        left = Removal(host, layout, record, purge=purge).run(lambda text: click.echo(f"  {text}"))
    click.echo("Undone." if not left else f"Undone; {left} left as named above. Run it again for what is left.")
