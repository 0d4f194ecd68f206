"""`alerta-opsgenie config`: check, show, render and convert the Edge Connector's configuration.

Exit codes: 0 no problem, 1 problems were found, 2 wrong usage. The output has no secrets, except the document with
`--output -`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Mapping

import click

from alerta_opsgenie.cli.failure import Failure, explain_errors
from alerta_opsgenie.cli.keys import alerta_key, check_keys, integration_key, read_key_file, source_options
from alerta_opsgenie.cli.options import option_set
from alerta_opsgenie.vendor.checks import check_config
from alerta_opsgenie.vendor.config import DIALECTS, NATIVE, guess_dialect
from alerta_opsgenie.vendor.convert import convert_config, difference
from alerta_opsgenie.vendor.document import Document, load_document
from alerta_opsgenie.vendor.location import locate
from alerta_opsgenie.vendor.problems import ERROR, LEVELS, WARNING, ConfigError, Problem
from alerta_opsgenie.vendor.redaction import effective_config, redact_document
from alerta_opsgenie.vendor.render import DEFAULT_STATE_DIRECTORIES, RenderOptions, render_config
from alerta_opsgenie.vendor.store import dump_document, write_document
from alerta_opsgenie.vendor.structure import read_config

EXIT_PROBLEMS = 1
TARGETS = (*DIALECTS, NATIVE)

_dialect_option = click.option(
    "--dialect", type=click.Choice(DIALECTS), help="The connector whose file it is (default: guessed by its base URL)."
)
_file_options = option_set(
    click.argument("file", required=False),
    _dialect_option,
    click.option("--for", "target", type=click.Choice(TARGETS),
                 help="The connector that will use the file (default: by --dialect)."),
)
_output_options = option_set(
    click.option("--output", metavar="FILE", help="Write it there (.json, .yml), mode 0600; - is standard output."),
    click.option("--force", is_flag=True, help="Replace the file at --output; a dated copy of it is kept."),
)


@click.group("config", help="Check, show, render and convert the Edge Connector's configuration.")
def config() -> None:
    """Group the commands."""


@config.command("check")
@_file_options
@click.option("--strict", is_flag=True, help="Count warnings as problems, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@explain_errors
def check(file: str | None, dialect: str | None, target: str | None, strict: bool, as_json: bool) -> None:
    """Report the problems of a configuration, each with advice.

    Without FILE, it is searched by the connectors' variables (OEC_CONF_LOCAL_FILEPATH, JEC_CONF_LOCAL_FILEPATH) and in
    the usual places.
    """
    location = locate(file, dialect)
    chosen, problems = location.dialect, []
    try:
        document = load_document(location.path)
    except ConfigError as error:
        if error.usage:
            raise
        problems = [Problem(ERROR, "$", error.what, error.advice)]
    else:
        chosen = location.dialect or guess_dialect(document, os.environ)
        problems = check_config(document, dialect=location.dialect, target=target)
    problems.sort(key=lambda problem: problem.level != ERROR)
    _print_problems(location.path, chosen, problems, as_json=as_json)
    counting = {ERROR, WARNING} if strict else {ERROR}
    if any(problem.level in counting for problem in problems):
        sys.exit(EXIT_PROBLEMS)


def _print_problems(path: str, dialect: str | None, problems: list[Problem], *, as_json: bool) -> None:
    if as_json:
        listed = [vars(problem) for problem in problems]
        click.echo(json.dumps({"file": path, "dialect": dialect, "problems": listed}, indent=2, ensure_ascii=False))
        return
    for problem in problems:
        click.echo(f"{problem.level}: {problem.path}: {problem.what}\n    {problem.advice}")
    read_as = f" (read as {dialect.upper()}'s)" if dialect else ""
    click.echo(f"{path}: {_count(problems)}{read_as}")


def _count(problems: list[Problem]) -> str:
    parts = [(sum(problem.level == level for problem in problems), level) for level in LEVELS]
    return ", ".join(f"{number} {name}{'s' * (number > 1)}" for number, name in parts if number) or "no problems"


@config.command("show")
@_file_options
@explain_errors
def show(file: str | None, dialect: str | None, target: str | None) -> None:
    """Print the configuration in effect as JSON: defaults filled in, how scripts are started, secrets hidden."""
    location = locate(file, dialect)
    shown = effective_config(read_config(location.path, dialect=location.dialect, target=target))
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


@config.command("render")
@click.option("--edge", type=click.Choice(DIALECTS), default="oec", show_default=True, help="The connector.")
@source_options
@click.option("--alerta-key-in", "key_in", type=click.Choice(["env", "file"]), default="env", show_default=True,
              help="How the script gets Alerta's key: in its environment, or by the path of that file.")  # fmt: skip
@click.option("--script", default="", metavar="PATH", help="The executor; by default where install puts it.")
@click.option("--log-dir", "log_directory", default="", metavar="DIR", help="Where the script's output goes.")
@click.option("--state-dir", "state_directory", metavar="DIR",
              help="Where actions wait; by default in the home of OEC's or JEC's user.")  # fmt: skip
@_output_options
@explain_errors
def render(edge: str, output: str | None, force: bool, **options: Any) -> None:
    """Make a configuration from options, for configuration management.

    Without --output it is shown with the secrets hidden, and nothing is written.
    """
    value = render_config(_render_options(edge, **options))
    problems = check_config(Document(value, "json", output or "the result"), dialect=edge, environment={})
    for problem in problems:
        click.echo(f"{problem.level}: {problem.path}: {problem.what}; {problem.advice}", err=True)
    errors = [problem for problem in problems if problem.level == ERROR]
    if errors:
        raise Failure(f"the options make no usable configuration ({_count(errors)})", "correct what is named above")
    _put_out(value, output, force=force)


def _render_options(edge: str, *, key_in: str, alerta_key_file: str | None, api_key_file: str | None,
                    state_directory: str | None, **given: Any) -> RenderOptions:  # fmt: skip
    if not given["alerta_url"]:
        raise ConfigError("--alerta-url", "is missing", "name Alerta's API: --alerta-url https://…/api", usage=True)
    if key_in == "file" and not alerta_key_file:
        raise ConfigError("--alerta-key-in file", "needs the file", "name it: --alerta-key-file FILE", usage=True)
    given["state_directory"] = state_directory or DEFAULT_STATE_DIRECTORIES[edge]
    if key_in == "file":
        file = str(Path(alerta_key_file or "").absolute())
        return RenderOptions(edge, integration_key(api_key_file, edge), alerta_key_file=file, **given)
    key, api_key = alerta_key(alerta_key_file), integration_key(api_key_file, edge)
    check_keys(key, api_key)
    return RenderOptions(edge, api_key, alerta_key=key, **given)


def _put_out(value: Mapping[str, Any], output: str | None, *, force: bool, show: bool = True) -> None:
    if output == "-":
        click.echo(dump_document(value), nl=False)
    elif output:
        backup = write_document(output, value, force=force)
        kept = f"; the one before is kept as {backup}" if backup else ""
        click.echo(f"Written: {output}{kept}", err=True)
    else:
        if show:
            click.echo(dump_document(redact_document(value)), nl=False)
        click.echo("Nothing is written; --output FILE writes it with its secrets.", err=True)


@config.command("convert")
@click.argument("file", required=False)
@click.option("--to", "to", type=click.Choice(TARGETS), required=True, help="The connector to convert for.")
@_dialect_option
@click.option("--api-key-file", metavar="FILE", help="The key of the new integration (default: a placeholder).")
@click.option("--base-url", default="", metavar="URL", help="The new base URL (default: the vendor's).")
@_output_options
@explain_errors
def convert(file: str | None, to: str, dialect: str | None, api_key_file: str | None, base_url: str,
            output: str | None, force: bool) -> None:  # fmt: skip
    """Convert one connector's configuration for another: keys, base URL, paths, names of mappings, arguments.

    The difference is shown with the secrets hidden; nothing is written without --output.
    """
    location = locate(file, dialect)
    document = load_document(location.path)
    key = read_key_file("the integration's API key", api_key_file) if api_key_file else None
    source = location.dialect or guess_dialect(document, os.environ)
    made = convert_config(document, to=to, dialect=source, api_key=key, base_url=base_url)
    aside = output == "-"  # the document has standard output for itself
    names = (document.where, output if output and not aside else f"for {to}")
    click.echo(difference(document.value, made, names=names) or "Nothing to change.", err=aside)
    _put_out(made, output, force=force, show=False)
    result = Document(made, "json", "the result")
    problems = check_config(result, dialect=source if to == NATIVE else to, target=to, environment={})
    for problem in problems:
        click.echo(f"Still {problem.level}: {problem.path}: {problem.what}\n    {problem.advice}", err=True)
    if any(problem.level == ERROR for problem in problems):
        sys.exit(EXIT_PROBLEMS)
