"""Actions as a person sees them on the command line: found by their ids, and laid out."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import Any, Iterable, Iterator, NamedTuple

from alerta_opsgenie.cli.failure import Failure, printable
from alerta_opsgenie.cli.target import Place
from alerta_opsgenie.journal import Action, Counts, Journal
from alerta_opsgenie.page.markup import age
from alerta_opsgenie.page.view import label_of

LIVING = ("in-flight", "waiting", "dead")

_SHORTEST_ID = 8
_NARROWEST_TABLE_COLUMNS = 110


class Row(NamedTuple):
    """An action with the target that it is for."""

    target: str
    journal: Journal
    action: Action
    id: str = ""


def rows_of(place: Place) -> list[Row]:
    """Give the actions that are not done, with the shortest ids that tell them apart."""
    rows = [
        Row(name, journal, action)
        for name, journal in place.journals()
        for wanted in LIVING
        for action in journal.actions(wanted)
    ]
    keys = {row.action.key for row in rows}
    length = _SHORTEST_ID
    while len({key[:length] for key in keys}) < len(keys):
        length += 4
    return [row._replace(id=row.action.key[:length]) for row in rows]


def choose(place: Place, prefixes: Iterable[str]) -> list[Row]:
    """Find actions by the beginnings of their ids. Raises `Failure`."""
    rows = rows_of(place)
    chosen = {}
    for prefix in prefixes:
        found = [row for row in rows if row.action.key.startswith(prefix)]
        if len(found) != 1:
            what = f"{prefix} stands for {len(found)} actions" if found else f"there is no action {prefix}"
            raise Failure(what, "alerta-opsgenie spool list", 2)
        chosen[found[0].id] = found[0]
    return list(chosen.values())


def total(counts: Iterable[Counts]) -> dict[str, Any]:
    """Add the counts of all targets up."""
    found = list(counts)
    sums = {name: sum(getattr(one, name) for one in found) for name in ("waiting", "in_flight", "dead")}
    oldest = ("oldest_waiting_seconds", "oldest_dead_seconds")
    return {**sums, **{name: round(max((getattr(one, name) for one in found), default=0.0), 1) for name in oldest}}


def summary(counts: dict[str, Any]) -> str:
    """Say the counts in one line."""
    oldest = f", the oldest for {age(counts['oldest_waiting_seconds'])}" if counts["oldest_waiting_seconds"] else ""
    return f"{counts['in_flight']} in flight; {counts['waiting']} waiting{oldest}; {counts['dead']} dead"


def readable(body: str) -> str:
    """Give a message as JSON for people; one that is none as a JSON text, so that no terminal obeys it."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return json.dumps(body)


def fields(row: Row) -> dict[str, Any]:
    """Give what is shown of an action, by name."""
    action = row.action
    return {
        "id": row.id,
        "target": label_of(row.target),
        "state": action.state,
        "action": action.kind,
        "alert": action.alert,
        "reason": action.reason,
        "detail": action.detail,
        "attempts": action.attempts,
        "accepted_at": _instant(action.accepted_at),
        "due_at": _instant(action.due_at),
        "key": action.key,
    }


def table(rows: list[Row], now: float) -> Iterator[str]:
    """Lay the actions out: a line for each, or three where the terminal is narrow."""
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
