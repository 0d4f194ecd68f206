"""`alerta-opsgenie spool`: list waiting actions and dead letters, and retry, drop, deliver or move them."""

from __future__ import annotations

import collections
import json
import shutil
import sys
import time
from contextlib import closing
from typing import Any, Iterable, Iterator, NamedTuple

import click

from alerta_opsgenie.agent import state
from alerta_opsgenie.cli.delivery import DeliveryClient
from alerta_opsgenie.cli.failure import Failure, printable
from alerta_opsgenie.cli.options import option_set
from alerta_opsgenie.cli.target import ADVICE, StateDirectory, alerta_options, with_state_directory
from alerta_opsgenie.clients.connection import AddressError
from alerta_opsgenie.journal import Action, Counts, Journal
from alerta_opsgenie.page.markup import age
from alerta_opsgenie.page.view import label_of

LIVING = ("in-flight", "waiting", "dead")
_SHORTEST_ID = 8
_NARROWEST_TABLE_COLUMNS = 110

QUIET_SECONDS = 3.0  # `drain` ends when nothing is in flight and nothing has changed for so long
_LONGEST_STILL_SECONDS = 60.0  # an attempt in flight may last as long as the executor's time limit
_LOOK_SECONDS = 0.25


@click.group()
def spool() -> None:
    """List actions that wait for delivery to Alerta, and decide about those that were refused.

    An action that could not be delivered waits and is tried again automatically. One that was refused permanently, or
    waited for more than 7 days, is a dead letter: it is kept until `retry` or `drop`.
    """


@spool.command("list")
@click.option("--state", "wanted", type=click.Choice(LIVING), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one object with the actions and the counts.")
@with_state_directory
def list_actions(state_dir: StateDirectory, wanted: str | None, as_json: bool) -> None:
    """List actions in flight, waiting actions, and dead letters."""
    now = time.time()
    rows = [row for row in _rows_of(state_dir) if wanted in {None, row.action.state}]
    counts = total(journal.counts(now) for _, journal in state_dir.journals())
    if as_json:
        actions = [_fields(row) for row in rows]
        click.echo(json.dumps({"directory": state_dir.path, **counts, "actions": actions}, indent=2))
        return
    if not rows and not any(state_dir.journals()):
        click.echo(f"note: nothing has been kept in {state_dir.path} yet", err=True)
    for line in _table(rows, now):
        click.echo(line)
    click.echo(summary(counts))


@spool.command()
@click.argument("prefix", metavar="ID")
@with_state_directory
def show(state_dir: StateDirectory, prefix: str) -> None:
    """Show one action in full, with its message. The beginning of its ID is enough."""
    (row,) = _choose(state_dir, [prefix])
    for name, value in _fields(row).items():
        click.echo(printable(f"{name + ':':14} {value}"))
    click.echo(printable(_readable(row.action.body)))


_selection = option_set(
    click.argument("prefixes", metavar="[ID]...", nargs=-1),
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option("--all", "every", is_flag=True, help="All dead letters."),
)


@spool.command()
@_selection
@with_state_directory
def retry(state_dir: StateDirectory, **selection: Any) -> None:
    """Put dead letters back into the queue, due at once."""
    done = _decide("retry", state_dir, lambda one, ids: one.retry(ids, time.time()), **selection)
    click.echo(f"{done} will be tried again; to have it done now: alerta-opsgenie spool drain")


@spool.command()
@_selection
@with_state_directory
def drop(state_dir: StateDirectory, **selection: Any) -> None:
    """Remove dead letters (or, by ID, any action) permanently. `--all` removes all dead letters and nothing else."""
    click.echo(f"{_decide('drop', state_dir, Journal.drop, **selection)} dropped")


def _decide(verb: str, state_dir: StateDirectory, do: Any, *, prefixes: tuple[str, ...], every: bool, yes: bool) -> int:
    if every == bool(prefixes):
        raise Failure("name the actions by their ID, or give --all", "alerta-opsgenie spool list", 2)
    rows = [row for row in _rows_of(state_dir) if row.action.state == "dead"] if every else _choose(state_dir, prefixes)
    for line in _table(rows, time.time()):
        click.echo(line)
    if not yes:
        click.confirm(f"{verb} {len(rows)}?", abort=True)
    ids = collections.defaultdict(list)
    for row in rows:
        ids[row.journal].append(row.action.id)
    return sum(do(journal, found) for journal, found in ids.items())


@spool.command()
@alerta_options
@with_state_directory
def drain(state_dir: StateDirectory) -> None:
    """Deliver waiting actions now, and end when none waits.

    Waiting actions are tried again automatically; use this when the cause is corrected, for example after a new API
    key. Exit code 1: something is left.
    """
    accesses = state_dir.options()
    ours = {state.target_name(options.alerta_url): options.alerta_url for options in accesses}
    if any(_waiting(journal) for name, journal in state_dir.journals() if name in ours):
        with closing(DeliveryClient(state_dir.path)) as delivery:
            for options in accesses:
                delivery.wake(options)
            _watch(state_dir, set(ours))
    _report_left(state_dir, ours)


def _watch(state_dir: StateDirectory, ours: set[str]) -> None:
    seen, changed_at = "", time.monotonic()
    while True:
        counts = total(journal.counts(time.time()) for name, journal in state_dir.journals() if name in ours)
        line, now = summary({**counts, "oldest_waiting_seconds": None}), time.monotonic()
        if line != seen:
            click.echo(line)
            seen, changed_at = line, now
        still = now - changed_at
        is_still = still > (_LONGEST_STILL_SECONDS if counts["in_flight"] else QUIET_SECONDS)
        if is_still or not counts["waiting"] + counts["in_flight"]:
            return
        time.sleep(_LOOK_SECONDS)


def _report_left(state_dir: StateDirectory, ours: dict[str, str]) -> None:
    left = {name: _waiting(journal) for name, journal in state_dir.journals()}
    if left.pop("", 0):
        click.echo("what waits for Opsgenie is delivered by the plugin inside Alerta")
    for name, count in left.items():
        if count and name not in ours:
            old, new = state.target_url(name), next(iter(ours.values()))
            click.echo(f"{count} wait for {old}, which the configuration does not name; to move them:")
            click.echo(f"  alerta-opsgenie spool retarget {old} {new} --spool-dir {state_dir.path}")
    if not any(left.values()):
        click.echo("nothing waits")
        return
    reasons = [row.action.reason for row in _rows_of(state_dir) if row.action.state != "dead" and row.target in ours]
    reason = max(set(reasons), key=reasons.count, default="")
    what = f"{sum(left.values())} could not be delivered" + (f" ({reason})" if reason else "")
    raise Failure(what, ADVICE.get(reason, "alerta-opsgenie spool list"))


def _waiting(journal: Journal) -> int:
    counts = journal.counts(time.time())
    return counts.waiting + counts.in_flight


@spool.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_state_directory
def retarget(state_dir: StateDirectory, old: str, new: str, yes: bool) -> None:
    """Move waiting actions for the Alerta at the URL OLD to the Alerta at the URL NEW."""
    try:
        source, target = state.target_name(old), state.target_name(new)
    except AddressError as error:
        raise Failure(str(error), "give both as URLs of Alerta's API", 2) from None
    journals = dict(state_dir.journals())
    if source not in journals:
        known = ", ".join(map(label_of, journals)) or "none"
        raise Failure(f"nothing was ever kept for {old}", f"there are actions for: {known}", 2)
    if source == target:
        raise Failure(f"{old} and {new} are the same target", "alerta-opsgenie spool list", 2)
    if not yes:
        what = f"{_waiting(journals[source])} from {state.target_url(source)} to {state.target_url(target)}"
        click.confirm(f"move {what}?", abort=True)
    moved = journals[source].move_to(state.journal_of(state_dir.path, target))
    click.echo(f"{moved} moved; to have them delivered now: alerta-opsgenie spool drain")


@spool.command("export")
@with_state_directory
def export_actions(state_dir: StateDirectory) -> None:
    """Write all actions as JSON lines; a line with the target comes before the actions of each target."""
    for name, journal in state_dir.journals():
        click.echo(json.dumps({"target": label_of(name)}))
        for line in journal.export():
            click.echo(line.rstrip("\n"))


@spool.command("import")
@with_state_directory
def import_actions(state_dir: StateDirectory) -> None:
    """Read the lines of `export` from standard input. Known actions stay unchanged."""
    state.prepare(state_dir.path)
    count = sum(state.journal_of(state_dir.path, target).import_(lines) for target, lines in _by_target(sys.stdin))
    click.echo(f"{count} imported")


def _by_target(lines: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    target = ""
    try:
        for line in lines:
            value = json.loads(line)
            if set(value) == {"target"}:
                target = state.target_name(value["target"])
            else:
                found.setdefault(target, []).append(line)
    except (ValueError, AttributeError, TypeError):
        raise Failure("this is not what `spool export` writes", "alerta-opsgenie spool export > FILE", 2) from None
    if "" in found:
        raise Failure("the first line names no target", "alerta-opsgenie spool export", 2)
    return found.items()


# -- How actions are shown


class _Row(NamedTuple):
    target: str
    journal: Journal
    action: Action
    id: str = ""


def _rows_of(state_dir: StateDirectory) -> list[_Row]:
    """Return the actions that are not done, with the shortest ids that are different."""
    rows = [
        _Row(name, journal, action)
        for name, journal in state_dir.journals()
        for wanted in LIVING
        for action in journal.actions(wanted)
    ]
    keys = {row.action.key for row in rows}
    length = _SHORTEST_ID
    while len({key[:length] for key in keys}) < len(keys):
        length += 4
    return [row._replace(id=row.action.key[:length]) for row in rows]


def _choose(state_dir: StateDirectory, prefixes: Iterable[str]) -> list[_Row]:
    rows = _rows_of(state_dir)
    chosen = {}
    for prefix in prefixes:
        found = [row for row in rows if row.action.key.startswith(prefix)]
        if len(found) != 1:
            what = f"{prefix} matches {len(found)} actions" if found else f"there is no action {prefix}"
            raise Failure(what, "alerta-opsgenie spool list", 2)
        chosen[found[0].id] = found[0]
    return list(chosen.values())


def total(counts: Iterable[Counts]) -> dict[str, Any]:
    """Return the sum of the counts of all targets."""
    found = list(counts)
    sums = {name: sum(getattr(one, name) for one in found) for name in ("waiting", "in_flight", "dead")}
    oldest = ("oldest_waiting_seconds", "oldest_dead_seconds")
    return {**sums, **{name: round(max((getattr(one, name) for one in found), default=0.0), 1) for name in oldest}}


def summary(counts: dict[str, Any]) -> str:
    """Return the counts in one line."""
    oldest = f", the oldest for {age(counts['oldest_waiting_seconds'])}" if counts["oldest_waiting_seconds"] else ""
    return f"{counts['in_flight']} in flight; {counts['waiting']} waiting{oldest}; {counts['dead']} dead"


def _readable(body: str) -> str:
    """Return a message as indented JSON; if it is no JSON, as a JSON text, without control characters."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return json.dumps(body)


def _fields(row: _Row) -> dict[str, Any]:
    action = row.action
    same = {name: getattr(action, name) for name in ("state", "alert", "reason", "detail", "attempts", "key")}
    times = {name: _instant(getattr(action, name)) for name in ("accepted_at", "due_at")}
    return {"id": row.id, "target": label_of(row.target), "action": action.kind, **same, **times}


def _table(rows: list[_Row], now: float) -> Iterator[str]:
    is_narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns < _NARROWEST_TABLE_COLUMNS
    has_targets = len({row.target for row in rows}) > 1
    if rows and not is_narrow:
        yield f"{'ID':8} {'STATE':9} {'AGE':>6} {'TRIES':>5} {'ACTION':16} {'ALERT':36} {'TARGET ' * has_targets}REASON"
    for row in rows:
        action, target = row.action, f"{label_of(row.target)} " * has_targets
        what = f"{action.reason}: {' '.join(action.detail.split())}" if action.detail else action.reason
        head = f"{row.id:8} {action.state:9} {age(now - action.accepted_at):>6}"
        if is_narrow:
            yield printable(f"{head} {action.kind}\n  {action.alert}\n  {target}{what}")
        else:
            yield printable(f"{head} {action.attempts:5} {action.kind:16.16} {action.alert:36} {target}{what}")


def _instant(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
