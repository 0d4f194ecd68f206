"""`alerta-opsgenie agent`: the agent as a service beside OEC or JEC, in the foreground."""

from __future__ import annotations

from typing import Any

import click

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.agent.resident import Agent
from alerta_opsgenie.cli.failure import Failure, explained
from alerta_opsgenie.cli.target import alerta_options, find_place, place_options


@click.command()
@place_options
@alerta_options
@explained
def agent(**place: Any) -> None:
    """Deliver what OEC's or JEC's scripts hand over, and what has waited since before a reboot.

    The first action starts an agent by itself, which ends after ten idle minutes. This one stays until SIGTERM, and
    takes over from one that runs already.
    """
    found = find_place(**place)
    options = found.options()
    state.prepare(found.directory)
    running = client.ask_status(found.directory)
    if running is not None and running.get("kind") == "run":
        what = f"`alerta-opsgenie run` (process {running.get('pid')}) delivers what is in {found.directory}"
        raise Failure(what, "stop it, or this service: one of them is enough")
    Agent(found.directory, idle_seconds=None).run(take_over=True, accesses=options)
