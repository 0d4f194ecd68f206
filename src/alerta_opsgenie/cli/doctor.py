"""`alerta-opsgenie doctor`: every cause of "nothing happens", each with advice."""

from __future__ import annotations

import itertools
import json
import os
import sys
from typing import Any, BinaryIO

import click

from alerta_opsgenie import __version__
from alerta_opsgenie.cli.failure import Failure, printable
from alerta_opsgenie.cli.keys import is_interactive, read_key_file
from alerta_opsgenie.clients.opsgenie import BASE_URLS
from alerta_opsgenie.core.publish import Dialect
from alerta_opsgenie.core.secret import Secret
from alerta_opsgenie.doctor.bundle import capture, open_bundle, write_bundle
from alerta_opsgenie.doctor.checks import NAMES, run_checks
from alerta_opsgenie.doctor.finding import FAIL, LEVELS, Finding, fail, findings_of, worst
from alerta_opsgenie.doctor.installation import Installation, Request
from alerta_opsgenie.doctor.move_checks import CHECKS as MOVE
from alerta_opsgenie.doctor.move_checks import Move, run_move_checks
from alerta_opsgenie.doctor.send_test import NAME as SEND_TEST
from alerta_opsgenie.doctor.send_test import send_test as do_send_test
from alerta_opsgenie.setup.layout import EDGES
from alerta_opsgenie.vendor.config import DIALECTS, JEC, OEC
from alerta_opsgenie.vendor.location import NATIVE_PATH, PACKAGE_PATHS, find_config
from alerta_opsgenie.vendor.problems import ConfigError

EXIT_FAILS, EXIT_USAGE = 1, 2
_COLOURS = dict(zip(LEVELS, ("green", "cyan", "yellow", "red")))


@click.command("doctor")
@click.option("--config", "config_path", metavar="FILE", help="The configuration (default: the first one found).")
@click.option("--edge", type=click.Choice(EDGES), help="The connector (default: by the configuration).")
@click.option("--dialect", type=click.Choice(DIALECTS), help="The vendor's API (default: guessed by the base URL).")
@click.option("--user", default="", metavar="NAME", help="The connector's user, if it cannot be found out.")
@click.option("--service-path", default="", metavar="PATH", help="The PATH of its service, if it cannot be found out.")
@click.option("--log-dir", "log_directory", default="", metavar="DIR", help="The connector's log directory.")
@click.option("--spool-dir", "state_directory", default="", metavar="DIR", help="Its state directory.")
@click.option("--time-limit", "limit_seconds", type=click.FloatRange(0.1, 60), default=5.0, show_default=True,
              metavar="SECONDS", help="For each request over the network.")  # fmt: skip
@click.option("--only", multiple=True, type=click.Choice([*NAMES, *MOVE]), metavar="CHECK", help="Only this check.")
@click.option("--skip", multiple=True, type=click.Choice([*NAMES, *MOVE]), metavar="CHECK", help="Not this check.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with all findings.")
@click.option("--send-test", is_flag=True, help="Make an alert in Alerta, act on it as the connector would, remove it.")
@click.option("--bundle", default="", metavar="FILE", help="Write an archive for a bug report, without secrets.")
@click.option("--captures", is_flag=True, help="With --bundle: add the last messages and answers, with placeholders for"
              " names, addresses and texts; each is shown, and you are asked, before they are written.")  # fmt: skip
@click.option("--move", "is_move", is_flag=True, help="Check the move from Opsgenie to JSM.")
@click.option("--old-config", metavar="FILE", help="With --move: the configuration of Opsgenie's connector.")
@click.option("--jsm-key-file", metavar="FILE", help="With --move: a file with the key with which JSM accepts alerts.")
@click.option("--jsm-url", default=BASE_URLS[Dialect.JSM], metavar="URL", help="With --move: JSM's base URL.")
def doctor(as_json: bool, send_test: bool, bundle: str, captures: bool, is_move: bool, **asked: Any) -> None:
    """Find out why nothing happens, and what to do about it.

    Nothing on this host is changed. Run it as root on the connector's host: it then checks as the connector's user.
    "skip" means that something could not be tried. Exit code 1: something fails. With --move the checks are those of
    the move from Opsgenie to JSM, and the options are for JSM's connector.
    """
    only, skip = set(asked.pop("only")), set(asked.pop("skip"))
    if is_move and (bundle or send_test):
        raise Failure("--bundle and --send-test are of one connector", "leave --move out", EXIT_USAGE)
    if captures and not (bundle and is_interactive()):
        raise Failure("--captures shows what it adds to --bundle, and asks", "give both, on a terminal", EXIT_USAGE)
    archive = _open_bundle(bundle) if bundle else None
    of_move = {name: asked.pop(name) for name in ("old_config", "jsm_url", "jsm_key_file")}
    there = None if is_move else _installation(asked)
    inst = there if isinstance(there, Installation) else None
    if isinstance(there, Finding):
        found = iter([there])
    elif inst is None:
        found = run_move_checks(_find_move(asked, **of_move), (only or set(MOVE)) - skip)
    else:
        tests = findings_of(do_send_test(inst), SEND_TEST) if send_test else ()
        found = itertools.chain(run_checks(inst, (only or set(NAMES)) - skip), tests)
    findings = list(found if as_json else map(_show, found))
    report: dict[str, Any] = {
        "version": __version__,
        "config": inst.path if inst else None,
        "edge": inst.edge if inst else None,
        "user": inst.user.name if inst and inst.user else None,
        "level": worst(findings),
        "counts": {level: sum(finding.level == level for finding in findings) for level in LEVELS},
        "findings": [finding._asdict() for finding in findings],
    }
    counts = ", ".join(f"{count} {level}" for level, count in report["counts"].items())
    click.echo(json.dumps(report, indent=2) if as_json else counts)
    if archive is not None and inst is not None:
        with archive:
            names = write_bundle(archive, inst, report, _agreed_captures(inst) if captures else {})
        click.echo(f"Written: {bundle} ({', '.join(names)}); look into it before you pass it on", err=True)
    sys.exit(EXIT_FAILS if report["level"] == FAIL else 0)


def _agreed_captures(inst: Installation) -> dict[str, str]:
    found = {name: inst.redact(text) for name, text in capture(inst).items()}
    for name, text in found.items():
        click.echo(f"--- captures/{name}\n{printable(text)}", err=True)
    if not found or not click.confirm(f"Put these {len(found)} into the archive?", err=True):
        click.echo("No captures are written.", err=True)
        return {}
    return found


def _installation(asked: dict[str, Any]) -> Installation | Finding:
    path, dialect, edge = asked.pop("config_path"), asked.pop("dialect"), asked["edge"]
    if not path:
        try:
            location = find_config(dialect=dialect or (edge if edge in DIALECTS else None))
        except ConfigError as error:
            return fail(str(error), f"alerta-opsgenie install; or {error.advice}", "config")
        path, dialect = location.path, dialect or location.dialect
    inst = Installation(Request(os.path.abspath(path), dialect, **asked))  # noqa: PTH100 - resolve() follows links
    inst.drop_rights()
    return inst


def _find_move(asked: dict[str, Any], old_config: str | None, jsm_url: str, jsm_key_file: str | None) -> Move:
    key = read_key_file("JSM's key", jsm_key_file) if jsm_key_file else Secret("")
    given, _dialect = asked.pop("config_path"), asked.pop("dialect")
    old = _first_installation(OEC, old_config, limit_seconds=asked["limit_seconds"])
    return Move(old, _first_installation(JEC, given, **asked), jsm_url, key)


def _first_installation(dialect: str, given: str | None, **settings: Any) -> Installation | None:
    """Return the first connector of a product, also if its configuration cannot be read: the checks report that."""
    for path in map(os.path.abspath, [given] if given else [PACKAGE_PATHS[dialect], NATIVE_PATH]):
        found = Installation(Request(path, **settings))
        if os.path.lexists(path) and (found.document is None or found.dialect == dialect):
            return found
    return None


def _show(finding: Finding) -> Finding:
    level = click.style(f"{finding.level:4}", fg=_COLOURS[finding.level])
    click.echo(f"{level}  {finding.check}: {finding.what}")
    if finding.advice:
        click.echo(f"      {' ' * len(finding.check)}  {finding.advice}")
    return finding


def _open_bundle(path: str) -> BinaryIO:
    try:
        return open_bundle(path)
    except OSError as error:
        raise Failure(
            f"{path} cannot be made: {error.strerror}", "name another file for --bundle", EXIT_USAGE
        ) from None
