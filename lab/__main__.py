"""`python -m lab`: the demo, on this machine alone."""

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
from lab.alerta_server import AlertaError, AlertaServer
from lab.circle import Circle, Shown, acts, lost_acts
from lab.tour import Stage, scenes

_WIDTH = 132


@click.command()
@click.option("--keep", is_flag=True, help="Leave it running until Ctrl-C, and say how to log in and send more.")
@click.option("--only", type=click.Choice(["executor", "circle"]), help="One of the two parts.")
def main(keep: bool, only: str | None) -> None:
    """Show the bridge at work on a real Alerta and PostgreSQL, on loopback, in a directory that is removed again.

    First the way through the vendor's connector: the seven documented actions, each through the built one-file
    executor, started as OEC starts it. Then the whole circle: people act in a stand-in for Opsgenie and in Alerta, and
    the other side follows, by the plugin in Alerta and by `alerta-opsgenie run` on a real SQS server. Last all messages
    get lost, and the comparison of both sides repairs what then differs. Ends with 0 only
    if each side then holds what it should.
    """
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    wrong: list[str] = []
    try:
        if only != "circle":
            wrong += _show_executor(console, keep=keep and only == "executor")
        if only != "executor":
            wrong += _show_circle(console, keep=keep)
    except AlertaError as error:
        raise Failure(str(error), "fix that, then run the demo again") from None
    if wrong:
        raise Failure("; ".join(wrong), "run it again with --keep and look at Alerta")
    console.print("Each side holds what it should.")


def _show_executor(console: Console, *, keep: bool) -> list[str]:
    with (
        tempfile.TemporaryDirectory(prefix="ao-") as directory,
        AlertaServer() as alerta,
        Stage(alerta, Path(directory)) as stage,
    ):
        played = [stage.play(scene) for scene in scenes(time.time())]
        headings = ("alert", "action in Opsgenie", "before", "after", "outcome", "last line of Alerta's history")
        table = _table("Through oecAlertaExecutor.py, as OEC starts it (no plugin in Alerta)", headings)
        for one in played:
            row = (one.scene.event, one.scene.action, one.before, one.after, one.outcome, one.history)
            table.add_row(*row, _mark(right=not one.wrong))
        console.print(table)
        if keep:
            _keep(console, alerta, stage.config_path, played[-1].alert_id)
        return [f"{one.scene.action}: {difference}" for one in played for difference in one.wrong]


def _show_circle(console: Console, *, keep: bool) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="ao-") as directory, Circle(Path(directory)) as circle:
        shown = [circle.play(act) for act in acts()]
        _print_acts(console, "The whole circle: plugin, cloud, queue, connector", shown)
        lost = [circle.lose(act) for act in lost_acts()]
        _print_acts(console, "All messages lost on purpose: both sides differ until they are compared", lost)
        shown += lost
        wrong = [f"{one.act.what} in {one.act.side} never showed" for one in shown if one.saw is None]
        wrong += [f"a rule of the vendor was broken: {text}" for text in circle.cloud.violations]
        if keep:
            _keep(console, circle.alerta, circle.config_path, circle.new_alert("TryMe"))
        return wrong


def _print_acts(console: Console, title: str, shown: list[Shown]) -> None:
    table = _table(title, ("on this side", "this person", "does this", "and the other side shows", "after"))
    for one in shown:
        row = (one.act.side, one.act.who, one.act.what, one.saw or "nothing", f"{one.seconds:.1f} s")
        table.add_row(*row, _mark(right=one.saw is not None))
    console.print(table)


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for heading in (*headings, ""):
        table.add_column(heading)
    return table


def _mark(*, right: bool) -> str:
    return "[green]ok[/green]" if right else "[red]wrong[/red]"


def _keep(console: Console, alerta: AlertaServer, config_path: Path, alert_id: str) -> None:
    lines = (
        "\nStill running. See what Alerta holds, with its administrator's key:",
        f"  curl -H 'Authorization: Key {alerta.admin_key}' {alerta.url}/alert/{alert_id}",
        "Send more:",
        f"  alerta-opsgenie send ack {alert_id} --user alice@example.com --config {config_path}",
        "Ctrl-C ends it.",
    )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    try:
        while alerta.running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("Ending.")


if __name__ == "__main__":
    main()
