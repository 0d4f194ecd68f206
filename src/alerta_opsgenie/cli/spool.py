"""`alerta-opsgenie spool`: what waits, what is dead, and what a person does about it."""

import functools
import json
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar

import click

from alerta_opsgenie.cli.failure import Failure
from alerta_opsgenie.cli.target import alerta_options, courier_of, directory_of, options_of, spool_option
from alerta_opsgenie.core.outcome import Outcome
from alerta_opsgenie.executor.drainer import Drainer
from alerta_opsgenie.journal import Counts, Entry, Spool, SpoolUnavailable
from alerta_opsgenie.keeping import adopt
from alerta_opsgenie.lanes import Desk, mend_of

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _explained(command: _Command) -> _Command:
    """Turn what the spool and the system say into two lines and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except SpoolUnavailable as error:
            raise Failure(error.reason, error.mend) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}", mend_of(error)) from None

    return run  # type: ignore[return-value]


@click.group()
def spool() -> None:
    """See and mend what waits to be delivered to Alerta.

    What an executor could not deliver waits in its spool and is delivered by itself. What was refused for good, or
    waited for more than 7 days, is a dead letter: it is kept until `retry` or `drop`.
    """


@spool.command("list")
@click.option("--state", type=click.Choice(["waiting", "dead"]), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with the entries and the counts.")
@spool_option
@_explained
def list_entries(state: Optional[Any], as_json: bool, spool_dir: Optional[str]) -> None:
    """List what waits and what is dead."""
    now = time.time()
    entries, counts = _look(spool_dir, state, now)
    if as_json:
        summary = {
            "waiting": counts.waiting,
            "dead": counts.dead,
            "oldest_waiting_seconds": round(counts.oldest_waiting_seconds, 1),
            "oldest_dead_seconds": round(counts.oldest_dead_seconds, 1),
            "entries": [_fields(entry) for entry in entries],
        }
        click.echo(json.dumps(summary, indent=2))
        return
    for line in _table(entries, now):
        click.echo(line)
    oldest = f", the oldest for {_age(counts.oldest_waiting_seconds)}" if counts.waiting else ""
    click.echo(f"{counts.waiting} waiting{oldest}; {counts.dead} dead")


def _look(spool_dir: Optional[str], state: Optional[Any], now: float) -> Tuple[List[Entry], Counts]:
    """Read what lies there. Where nothing was ever kept there is no spool, which is as it should be."""
    try:
        with _open(spool_dir) as opened:
            adopt(Desk(opened.directory), opened)
            return list(opened.entries(state)), opened.counts(now)
    except SpoolUnavailable as error:
        if error.label != "absent":
            raise
        click.echo(f"note: nothing has been kept in {directory_of(spool_dir)} yet", err=True)
        return [], Counts(0, 0, 0, 0.0, 0.0)


@spool.command()
@click.argument("number", metavar="ID", type=int)
@spool_option
@_explained
def show(number: int, spool_dir: Optional[str]) -> None:
    """Show one entry whole, with its message."""
    with _open(spool_dir) as opened:
        entry = opened.get(number)
    if entry is None:
        raise _no_entry(number)
    for name, value in _fields(entry).items():
        click.echo(f"{name + ':':14} {value}")
    click.echo(_readable(entry.body))


def _selection(command: Any) -> Any:
    command = click.option("--all", "every", is_flag=True, help="All of them.")(command)
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    return click.argument("numbers", metavar="[ID]...", type=int, nargs=-1)(command)


@spool.command()
@_selection
@spool_option
@_explained
def retry(numbers: Tuple[int, ...], every: bool, yes: bool, spool_dir: Optional[str]) -> None:
    """Let dead letters wait again, due at once."""
    with _open(spool_dir) as opened:
        chosen = _choose(opened, numbers, "dead", every=every)
        _confirm("retry", chosen, yes=yes)
        desk = Desk(opened.directory)
        # What comes for these alerts from here on goes behind them.
        for entry in chosen:
            desk.lane(entry.lane).mark_waiting(waits=True)
        desk.mark_waiting(waits=True)
        done = opened.retry([entry.id for entry in chosen], time.time())
    click.echo(f"{done} will be tried again by the next drainer: alerta-opsgenie spool drain")


@spool.command()
@_selection
@spool_option
@_explained
def drop(numbers: Tuple[int, ...], every: bool, yes: bool, spool_dir: Optional[str]) -> None:
    """Remove dead letters (or, by ID, anything) for good. `--all` takes the dead ones alone."""
    with _open(spool_dir) as opened:
        chosen = _choose(opened, numbers, "dead", every=every)
        _confirm("drop", chosen, yes=yes)
        done = opened.drop([entry.id for entry in chosen])
    click.echo(f"{done} dropped")


@spool.command()
@click.option("--watch", is_flag=True, help="Go on for ever, as a service does.")
@alerta_options
@spool_option
@_explained
def drain(
    watch: bool,
    config_path: Optional[str],
    alerta_url: Optional[str],
    alerta_key_file: Optional[str],
    alerta_ca_file: Optional[str],
    spool_dir: Optional[str],
) -> None:
    """Deliver what waits, now, and end when nothing waits any more.

    An executor that leaves something behind starts a drainer by itself; this is for cron, for a service of one's own,
    or after the API key was mended. Ends with 1 where something is left.
    """
    options = options_of(config_path, alerta_url, alerta_key_file, alerta_ca_file, spool_dir)
    courier_of(options)
    drainer = Drainer(options.spool_directory, lambda: courier_of(options), _report)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: drainer.stop())
    if not drainer.run(watch=watch):
        click.echo("another drainer is at work on this spool already")
        return
    with Spool(options.spool_directory) as opened:
        counts = opened.counts(time.time())
    click.echo(f"{counts.waiting} waiting, {counts.dead} dead")
    if drainer.refused:
        raise Failure(drainer.refused.detail, drainer.refused.mend)
    if counts.waiting and not watch:
        raise Failure(f"{counts.waiting} could not be delivered", "see why with: alerta-opsgenie spool list")


def _report(entry: Entry, outcome: Outcome) -> None:
    detail = f", {outcome.detail}" if outcome.detail else ""
    click.echo(f"{outcome.kind.value:9} {entry.kind:16} {entry.lane} {outcome.reason.value}{detail}")


def _open(spool_dir: Optional[str]) -> Spool:
    directory = directory_of(spool_dir)
    # An executor whose SQLite failed may have left actions beside a spool that is not there.
    opened = Spool(directory, create=(Path(directory) / "taken").is_dir())
    Desk(directory).prepare()
    if opened.set_aside:
        click.echo(f"warning: the spool was damaged and lies in {opened.set_aside} now; look at it", err=True)
    return opened


def _no_entry(number: int) -> Failure:
    return Failure(f"there is no entry {number}", "alerta-opsgenie spool list", 2)


def _choose(opened: Spool, numbers: Sequence[int], state: Any, *, every: bool) -> List[Entry]:
    if every == bool(numbers):
        raise Failure("name the entries by their ID, or say --all", "alerta-opsgenie spool list", 2)
    if every:
        return list(opened.entries(state))
    chosen = []
    for number in numbers:
        entry = opened.get(number)
        if entry is None:
            raise _no_entry(number)
        chosen.append(entry)
    return chosen


def _confirm(verb: str, chosen: Sequence[Entry], *, yes: bool) -> None:
    for line in _table(chosen, time.time()):
        click.echo(line)
    if not yes and not click.confirm(f"{verb} {len(chosen)}?"):
        raise click.Abort


def _readable(body: str) -> str:
    """Give a message as JSON for people; one that is none as a JSON text, so that no terminal obeys it."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return json.dumps(body)


def _fields(entry: Entry) -> Dict[str, Any]:
    return {
        "id": entry.id,
        "state": entry.state,
        "action": entry.kind,
        "alert": entry.lane,
        "reason": entry.reason,
        "detail": entry.detail,
        "attempts": entry.attempts,
        "kept_at": _instant(entry.kept_at),
        "due_at": _instant(entry.due_at),
        "key": entry.key,
    }


def _table(entries: Sequence[Entry], now: float) -> Iterator[str]:
    if entries:
        yield f"{'ID':>6} {'STATE':8} {'AGE':>6} {'TRIES':>5} {'ACTION':16} {'ALERT':36} REASON"
    for entry in entries:
        age, what = _age(now - entry.kept_at), f"{entry.reason}: {entry.detail}" if entry.detail else entry.reason
        yield f"{entry.id:6} {entry.state:8} {age:>6} {entry.attempts:5} {entry.kind:16.16} {entry.lane:36} {what}"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _instant(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
