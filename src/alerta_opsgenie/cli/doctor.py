"""`alerta-opsgenie doctor`: every cause of "nothing happens", each with its mend.

Exit codes: 0 nothing fails (there may be warnings), 1 something fails, 2 wrong usage.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from alerta_opsgenie import __version__
from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.doctor.bundle import write_bundle
from alerta_opsgenie.doctor.finding import FAIL, LEVELS, worst
from alerta_opsgenie.doctor.subject import Request, Subject
from alerta_opsgenie.doctor.table import NAMES, Result, examine
from alerta_opsgenie.doctor.trial import NAME as TRIAL
from alerta_opsgenie.doctor.trial import try_whole_way
from alerta_opsgenie.setup.layout import EDGES
from alerta_opsgenie.vendor.config import DIALECTS
from alerta_opsgenie.vendor.location import find_config
from alerta_opsgenie.vendor.problems import ConfigError

EXIT_FAILS, EXIT_USAGE = 1, 2
_COLOURS = dict(zip(LEVELS, ("green", "yellow", "red")))


@click.command("doctor")
@click.option("--config", "config_path", metavar="FILE", help="The connector's configuration; found where not given.")
@click.option("--edge", type=click.Choice(EDGES), help="Which connector it is; guessed where not given.")
@click.option("--dialect", type=click.Choice(DIALECTS), help="Whose API it is for; guessed by the base URL.")
@click.option("--user", default="", metavar="NAME", help="As whom the connector runs, where it cannot be known.")
@click.option("--service-path", default="", metavar="PATH", help="The PATH of its service, where it cannot be known.")
@click.option("--log-dir", default="", metavar="DIR", help="Where the connector's own logs are.")
@click.option("--spool-dir", default="", metavar="DIR", help="Where its executor's spool is.")
@click.option("--time-limit", type=click.FloatRange(0.1, 60), default=5.0, show_default=True, metavar="SECONDS",
              help="For each request over the network.")  # fmt: skip
@click.option("--only", multiple=True, type=click.Choice(NAMES), metavar="CHECK", help="Only this check.")
@click.option("--skip", multiple=True, type=click.Choice(NAMES), metavar="CHECK", help="Not this check.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with all findings.")
@click.option("--send-test", is_flag=True, help="Make an alert in Alerta, act on it as the connector would, remove it.")
@click.option("--bundle", default="", metavar="FILE", help="Write an archive for a bug report, without secrets.")
def doctor(as_json: bool, send_test: bool, bundle: str, **asked: Any) -> None:
    """Say why nothing happens, and what to do about it.

    Nothing on this host is changed. Run it as root where the connector runs: then it sees what the connector's user
    sees. Exit code 1 where something fails, 0 where all is well or only warned of.
    """
    only, skip = set(asked.pop("only")), set(asked.pop("skip"))
    subject = _subject(**asked)
    results = []
    for result in examine(subject, (only or set(NAMES)) - skip):
        results.append(result)
        _tell(result, quiet=as_json)
    for finding in try_whole_way(subject) if send_test else ():
        results.append(Result(TRIAL, finding))
        _tell(results[-1], quiet=as_json)
    report = _report(subject, results)
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        click.echo(_summary(report))
    if bundle:
        _write_bundle(bundle, subject, report)
    sys.exit(EXIT_FAILS if report["level"] == FAIL else 0)


def _subject(config_path: str | None, time_limit: float, **asked: Any) -> Subject:
    path, dialect = config_path, asked.pop("dialect")
    if not path:
        edge = asked["edge"]
        try:
            place = find_config(dialect=dialect or (edge if edge in DIALECTS else None))
        except ConfigError as error:
            raise Failure(str(error), error.mend, EXIT_USAGE) from None
        path, dialect = place.path, dialect or place.dialect
    return Subject(
        Request(
            config_path=os.path.abspath(path),  # noqa: PTH100 - resolve() would follow links
            dialect=dialect,
            edge=asked["edge"] or "",
            user=asked["user"],
            service_path=asked["service_path"],
            log_directory=asked["log_dir"],
            spool_directory=asked["spool_dir"],
            limit_seconds=time_limit,
        )
    )


def _tell(result: Result, *, quiet: bool) -> None:
    if quiet:
        return
    finding = result.finding
    click.echo(f"{click.style(f'{finding.level:4}', fg=_COLOURS[finding.level])}  {result.check}: {finding.what}")
    if finding.mend:
        click.echo(f"      {' ' * len(result.check)}  {finding.mend}")


def _report(subject: Subject, results: list[Result]) -> dict[str, Any]:
    findings = [result.finding for result in results]
    return {
        "version": __version__,
        "config": subject.path,
        "edge": subject.edge,
        "user": subject.person.name if subject.person else None,
        "level": worst(findings),
        "counts": {level: sum(finding.level == level for finding in findings) for level in LEVELS},
        "findings": [{"check": result.check, **vars(result.finding)} for result in results],
    }


def _summary(report: dict[str, Any]) -> str:
    counts = report["counts"]
    return f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail"


def _write_bundle(path: str, subject: Subject, report: dict[str, Any]) -> None:
    try:
        names = write_bundle(path, subject, report)
    except FileExistsError:
        raise Failure(f"{path} is already there", "name another file for --bundle", EXIT_USAGE) from None
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}", "name another place for --bundle") from None
    click.echo(f"Written: {path} ({', '.join(names)}); look into it before you pass it on", err=True)
