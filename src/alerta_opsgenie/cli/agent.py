"""`alerta-opsgenie agent`: the agent as a service beside OEC or JEC, in the foreground."""

from __future__ import annotations

import click

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.agent.resident import Agent
from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.cli.target import Place, alerta_options, at_place


@click.command()
@alerta_options
@at_place
def agent(place: Place) -> None:
    """Deliver what OEC's or JEC's scripts hand over, and what has waited since before a reboot.

    The first action starts an agent by itself, which ends after ten idle minutes. This one stays until SIGTERM, and
    takes over from one that runs already.
    """
    options = place.options()
    state.prepare(place.directory)
    running = client.ask_status(place.directory)
    if running is not None and running.get("kind") == "run":
        what = f"`alerta-opsgenie run` (process {running.get('pid')}) delivers what is in {place.directory}"
        raise Failure(what, "stop it, or this service: one of them is enough")
    Agent(place.directory, idle_seconds=None).run(take_over=True, accesses=options)
