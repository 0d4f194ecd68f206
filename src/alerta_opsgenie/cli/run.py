"""`alerta-opsgenie run`: the native connector."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Any

import click

from alerta_opsgenie.cli.failure import Failure, explain_errors
from alerta_opsgenie.connector import logs
from alerta_opsgenie.connector.service import ListenError, Service
from alerta_opsgenie.connector.settings import (
    DEFAULT_LISTEN,
    DEFAULT_WORKERS,
    LOG_LEVELS,
    Plan,
    parse_listen,
    read_plan,
)
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import DIALECTS, NATIVE
from alerta_opsgenie.vendor.document import load_document
from alerta_opsgenie.vendor.location import locate
from alerta_opsgenie.vendor.problems import ERROR
from alerta_opsgenie.vendor.runner import prepare_scripts

_log = logging.getLogger("alerta_opsgenie.run")


@click.command()
@click.option("--config", "path", metavar="FILE", help="The configuration (default: where OEC or JEC would look).")
@click.option("--dialect", type=click.Choice(DIALECTS), help="The connector of the file (default: guessed by the URL).")
@click.option("--workers", type=click.IntRange(1, 256), help=f"Alerts processed at once (default {DEFAULT_WORKERS}).")
@click.option("--listen", metavar="HOST:PORT", help=f"Address of page and metrics (default {DEFAULT_LISTEN}), or off.")
@click.option("--people", metavar="FILE", help="Alerta's logins for the vendor's ids (default: from globalArgs).")
@click.option("--once", is_flag=True, help="Take the messages that wait, deliver them, and end.")
@click.option("--log-format", type=click.Choice(logs.FORMATS), default="text", show_default=True)
@click.option("--log-level", type=click.Choice(LOG_LEVELS), help="Default: info, or alertaOpsgenie.logLevel.")
@explain_errors
def run(path: str | None, dialect: str | None, people: str | None, once: bool, log_format: str, **own: Any) -> None:
    """Take the queue in OEC's or JEC's place, with their own configuration, and apply people's actions in Alerta.

    SIGTERM ends it within 10 seconds, SIGHUP reads the configuration again.
    """

    def read() -> Plan:
        return read_plan(where, dialect=chosen, people_file=people_file, overrides=own)

    people_file = os.path.abspath(people) if people else None  # noqa: PTH100 - resolve() would follow links
    where, chosen = locate(path, dialect)
    plan = read()
    parse_listen(plan.settings.listen)
    logs.set_up(log_format, plan.settings.log_level)
    logs.hide(plan.secrets())
    _warn(where, chosen, plan)
    service = Service(plan, read, once=once)
    try:
        left = service.run()
    except ListenError as error:
        raise Failure(str(error), "give another place with --listen HOST:PORT, or --listen off") from None
    if once:
        click.echo(service.reporter.summary())
    if once and left:
        raise Failure(left, "alerta-opsgenie spool list shows what waits; run it again when the cause is away")


def _warn(path: str, dialect: str | None, plan: Plan) -> None:
    """Log the problems of the configuration, and make other scripts than ours executable."""
    for problem in check_config(load_document(path), dialect=dialect, target=NATIVE):
        level = logging.ERROR if problem.level == ERROR else logging.WARNING
        _log.log(level, "%s: %s; %s", problem.path, problem.what, problem.advice)
    foreign = {name: one for name, one in plan.config.mappings.items() if not one.is_alerta_executor}
    for line in prepare_scripts(replace(plan.config, mappings=foreign)):
        _log.warning("%s", line)
