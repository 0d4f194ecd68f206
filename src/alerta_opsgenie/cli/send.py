"""`alerta-opsgenie send`: one action by hand, through the same relay as everything else."""

import contextlib
import json
import time
import uuid
from typing import Any, Dict, Optional

import click

from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.cli.target import alerta_options, courier_of, options_of, spool_option
from alerta_opsgenie.core.message import parse
from alerta_opsgenie.core.outcome import Kind

_ACTIONS: Dict[str, str] = {
    "ack": "Acknowledge",
    "unack": "UnAcknowledge",
    "close": "Close",
    "snooze": "Snooze",
    "unsnooze": "SnoozeEnded",
    "note": "AddNote",
    "assign": "AssignOwnership",
    "take": "TakeOwnership",
    "tag": "AddTags",
    "untag": "RemoveTags",
    "priority": "UpdatePriority",
}
KEPT_HINT = "; it is kept, and delivered by the next executor or by: alerta-opsgenie spool drain"
_NEEDED: Dict[str, str] = {
    "note": "--note",
    "assign": "--owner",
    "tag": "--tags",
    "untag": "--tags",
    "priority": "--priority",
    "snooze": "--minutes",
}


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
@spool_option
def send(  # noqa: PLR0913, PLR0917 - an option each
    action: str,
    alert: str,
    user: str,
    note: Optional[str],
    owner: Optional[str],
    minutes: Optional[float],
    tags: Optional[str],
    priority: Optional[str],
    time_limit: float,
    **target: Any,
) -> None:
    """Do one ACTION on an ALERT (Alerta's whole id), as if it came from Opsgenie: to try things, or in a runbook."""
    now = time.time()
    given = {"--note": note, "--owner": owner, "--minutes": minutes, "--tags": tags, "--priority": priority}
    if action in _NEEDED and not given[_NEEDED[action]]:
        raise Failure(f"{action} needs {_NEEDED[action]}", "alerta-opsgenie send --help", 2)
    options = options_of(**target)
    fields: Dict[str, Any] = {
        "note": note,
        "owner": owner,
        "priority": priority,
        "snoozedUntil": int((now + minutes * 60) * 1000) if minutes else None,
        "addedTags" if action == "tag" else "removedTags": tags,
    }
    body = {
        "action": _ACTIONS[action],
        "requestId": str(uuid.uuid4()),
        "source": {"name": "alerta-opsgenie send", "type": "cli"},
        "alert": {
            "alias": alert,
            "source": next(iter(sorted(options.settings.sources))),
            "username": user,
            "updatedAt": time.time_ns(),
            **{name: value for name, value in fields.items() if value is not None},
        },
    }
    with contextlib.closing(courier_of(options)) as courier:
        delivery = courier.deliver(parse(json.dumps(body)), time.monotonic() + time_limit)
    outcome = delivery.outcome
    detail = f": {outcome.detail}" if outcome.detail else ""
    click.echo(f"{outcome.kind.value} ({outcome.reason.value}{detail})" + (KEPT_HINT if delivery.kept else ""))
    if outcome.kind is Kind.REJECTED or outcome.loud or (outcome.kind is Kind.KEPT and not delivery.kept):
        raise Failure(f"{action} was not done", outcome.mend or delivery.trouble or "mend what the line above says")
