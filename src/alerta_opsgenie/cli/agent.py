"""`alerta-opsgenie agent`: the agent as a service for OEC or JEC, in the foreground."""

from __future__ import annotations

import click

from alerta_opsgenie.agent import client, state
from alerta_opsgenie.agent.resident import Agent
from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.cli.target import StateDirectory, alerta_options, with_state_directory


@click.command()
@alerta_options
@with_state_directory
def agent(state_dir: StateDirectory) -> None:
    """Deliver the actions of OEC's or JEC's scripts, and those that have waited since before a reboot.

    Without this service, the first action starts an agent, which ends after ten idle minutes. This one stays until
    SIGTERM, and replaces a running one.
    """
    options = state_dir.options()
    state.prepare(state_dir.path)
    running = client.ask_status(state_dir.path)
    if running is not None and running.get("kind") == "run":
        what = f"`alerta-opsgenie run` (process {running.get('pid')}) delivers what is in {state_dir.path}"
        raise Failure(what, "stop it, or this service: one of them is enough")
    Agent(state_dir.path, idle_seconds=None).run(take_over=True, accesses=options)
