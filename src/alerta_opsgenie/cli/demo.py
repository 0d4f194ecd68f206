"""`alerta-opsgenie demo`: see it work, on this machine alone."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.demo.alerta_server import AlertaError, AlertaServer
from alerta_opsgenie.demo.tour import Played, Stage, scenes

_LOGIN = ("demo@example.com", "demo-on-loopback")


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, and say how to log in and send more.")
def demo(keep: bool) -> None:
    """Show the bridge at work on a real Alerta and PostgreSQL, on loopback, in a directory that is removed again.

    Each of the seven documented actions goes through the built one-file executor, started as OEC starts it from a
    config.json in the documented form. Ends with 0 only if Alerta then holds what it should.
    """
    console = Console(width=None if sys.stdout.isatty() else 132)
    try:
        with tempfile.TemporaryDirectory(prefix="ao-") as directory, AlertaServer() as alerta:
            console.print(f"Alerta {alerta.url} is up.")
            stage = Stage(alerta, Path(directory))
            played = [stage.play(scene) for scene in scenes(time.time())]
            console.print(_table(played))
            wrong = [f"{one.scene.action}: {difference}" for one in played for difference in one.wrong]
            if keep:
                _keep(console, alerta, stage, played)
    except AlertaError as error:
        raise Failure(str(error), "mend that, then run the demo again") from None
    if wrong:
        raise Failure("; ".join(wrong), "run it again with --keep and look at Alerta")
    console.print(f"All {len(played)} actions are in Alerta as they should be.")


def _table(played: list[Played]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="From Opsgenie to Alerta, through oecAlertaExecutor.py")
    for heading in ("alert", "action in Opsgenie", "before", "after", "outcome", "last line of Alerta's history", ""):
        table.add_column(heading)
    for one in played:
        mark = "[red]wrong[/red]" if one.wrong else "[green]ok[/green]"
        table.add_row(one.scene.event, one.scene.action, one.before, one.after, one.outcome, one.history, mark)
    return table


def _keep(console: Console, alerta: AlertaServer, stage: Stage, played: list[Played]) -> None:
    alerta.create_user(_LOGIN[0], "Demo", _LOGIN[1])
    alert_id = played[-1].alert_id
    console.print(f"\nStill running. Log in as {_LOGIN[0]} / {_LOGIN[1]}, or take the administrator's key:")
    key = f"Authorization: Key {alerta.admin_key}"
    console.print(f"  curl -H '{key}' {alerta.url}/alerts", soft_wrap=True)
    console.print("Send more:")
    send = f"alerta-opsgenie send ack {alert_id} --user alice@example.com --config {stage.config_path}"
    console.print(f"  {send}", soft_wrap=True)
    console.print("Ctrl-C ends it.")
    try:
        while alerta.running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("Ending.")
