"""`alerta-opsgenie send`: one action by hand, handed to the agent as an executor does it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any

import click

from alerta_opsgenie.cli.delivery import DeliveryClient
from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.cli.target import ADVICE, StateDirectory, alerta_options, with_state_directory
from alerta_opsgenie.core.outcome import Kind
from alerta_opsgenie.doctor.send_test import message_of

_ACTIONS = {
    "ack": "Acknowledge", "unack": "UnAcknowledge", "close": "Close", "snooze": "Snooze", "unsnooze": "SnoozeEnded",
    "note": "AddNote", "assign": "AssignOwnership", "take": "TakeOwnership", "tag": "AddTags", "untag": "RemoveTags",
    "priority": "UpdatePriority",
}  # fmt: skip
_NEEDED = {
    "note": "note", "assign": "owner", "tag": "tags", "untag": "tags", "priority": "priority", "snooze": "minutes",
}  # fmt: skip
KEPT_HINT = "; it is kept and tried again by itself; to have it done now: alerta-opsgenie spool drain"


@click.command()
@click.argument("action", type=click.Choice(list(_ACTIONS)))
@click.argument("alert", metavar="ALERT")
@click.option("--user", metavar="NAME", required=True, help="Who does it, as Opsgenie knows them.")
@click.option("--note", metavar="TEXT", help="For note; may go along with ack and close.")
@click.option("--owner", metavar="NAME", help="For assign: whom it is assigned to.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="For snooze: how long.")
@click.option("--tags", metavar="A,B", help="For tag and untag.")
@click.option("--priority", metavar="P1..P5", help="For priority.")
@click.option("--time-limit", type=click.FloatRange(0.5, 3600), default=20.0, show_default=True, metavar="SECONDS")
@alerta_options
@with_state_directory
def send(state_dir: StateDirectory, action: str, alert: str, user: str, time_limit: float, **fields: Any) -> None:
    """Do one ACTION on an ALERT (Alerta's full id), as if it came from Opsgenie: for a test, or in a runbook."""
    if action in _NEEDED and not fields[_NEEDED[action]]:
        raise Failure(f"{action} needs --{_NEEDED[action]}", "alerta-opsgenie send --help", 2)
    options = state_dir.options()[0]._replace(limit_seconds=time_limit)
    minutes, tags = fields.pop("minutes"), fields.pop("tags")
    fields["addedTags" if action == "tag" else "removedTags"] = tags
    fields["snoozedUntil"] = int((time.time() + minutes * 60) * 1000) if minutes else None
    fields = {name: value for name, value in fields.items() if value is not None}
    message = json.dumps(message_of(_ACTIONS[action], alert, user, min(options.settings.sources), **fields))
    with closing(DeliveryClient(options.spool_directory)) as delivery:
        outcome, kept = delivery.submit(options, message)
    detail = f": {outcome.detail}" if outcome.detail else ""
    hint = KEPT_HINT if outcome.kind is Kind.KEPT and kept else ""
    click.echo(f"{outcome.kind.value} ({outcome.reason.value}{detail}){hint}")
    if outcome.needs_person or (outcome.kind is Kind.KEPT and not kept):
        raise Failure(f"{action} was not done", ADVICE.get(outcome.reason.value, "alerta-opsgenie doctor"))
