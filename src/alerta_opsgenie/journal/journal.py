"""What can be done with a journal: append, claim, end; look and set right by hand."""

import json
import os
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from alerta_opsgenie.journal.file import Connection, File
from alerta_opsgenie.journal.rows import (
    COLUMNS,
    DEAD,
    DONE,
    FIELDS,
    IN_FLIGHT,
    WAITING,
    Action,
    Counts,
    Memory,
    New,
    action_of,
    checksum,
    plain,
)
from alerta_opsgenie.journal.salvage import salvage
from alerta_opsgenie.journal.sqlite import sqlite3

_SELECT = f"SELECT {COLUMNS} FROM actions"  # noqa: S608 - a constant
_INSERT = f"INSERT INTO actions ({COLUMNS}) VALUES (NULL{', ?' * len(FIELDS)})"  # noqa: S608
_HEAD = f"{_SELECT} WHERE alert = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1"
_PAGE_ROWS = 256
_PRUNED_ROWS = 1000


class Journal:
    """The journal in one directory. The file is opened at the first use. Any method raises JournalError."""

    def __init__(
        self, directory: Union[str, "os.PathLike[str]"], *, busy_seconds: float = 5.0, name: str = "journal.db"
    ) -> None:
        self._file = File(os.fspath(directory), name, busy_seconds, salvage)

    @property
    def directory(self) -> str:
        """Where it lies."""
        return self._file.directory

    @property
    def set_aside(self) -> str:
        """The damaged file that this object has replaced; empty where there was none."""
        return self._file.set_aside

    @property
    def carried_over(self) -> int:
        """How many actions of that file could be read."""
        return self._file.carried_over

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._file.close()

    # -- Anybody

    def append(self, actions: Sequence[New], now: float, *, claim: bool = False) -> List[Action]:
        """Commit actions. A key that is known gives its row as it is.

        `claim`, which only the holder of the lock may ask for: an action whose alert has nothing waiting or in flight
        is in flight at once.
        """
        return self._file.write(lambda connection: [_append(connection, new, now, claim) for new in actions])

    def bury(self, new: New, now: float, reason: str, detail: str) -> Action:
        """Commit an action as a dead letter."""

        def do(connection: Connection) -> Action:
            action = _append(connection, new, now, claim=False)
            if action.is_new:
                _end(connection, action, DEAD, now, reason, detail)
            return action

        return self._file.write(do)

    # -- The holder of the lock

    def recover(self, now: float) -> int:
        """Let wait what a killed holder of the lock had in flight; gives how many. It is known to have been tried."""

        def do(connection: Connection) -> int:
            alerts = connection.execute("SELECT DISTINCT alert FROM actions WHERE state = 'in-flight'").fetchall()
            count = connection.execute(
                "UPDATE actions SET state = 'waiting', due_at = ?, since = ? WHERE state = 'in-flight'", (now, now)
            ).rowcount
            for (alert,) in alerts:
                _settle(connection, alert)
            return count

        return self._file.write(do)

    def claim(self, now: float, limit: int, longest_pause_seconds: float) -> List[Action]:
        """Take the oldest actions of alerts that are due, and let them be in flight.

        One that lies further ahead than the longest pause is due: a clock was set back.
        """

        def due(connection: Connection) -> List[str]:
            rows = connection.execute(
                "SELECT alert FROM alerts WHERE due_at <= ? OR due_at > ? ORDER BY due_at LIMIT ?",
                (now, now + longest_pause_seconds, limit),
            )
            return [alert for (alert,) in rows]

        def do(connection: Connection) -> List[Action]:
            found = (_claim_next(connection, alert, now) for alert in due(connection))
            return [action for action in found if action is not None]

        # Looked at before the write lock is asked for: most looks find nothing.
        return self._file.write(do) if self._file.read(due) else []

    def next_due(self, now: float, longest_pause_seconds: float) -> Optional[float]:
        """Give the earliest instant at which `claim` could give something; None: never."""

        def do(connection: Connection) -> Optional[float]:
            far = now + longest_pause_seconds
            if connection.execute("SELECT 1 FROM alerts WHERE due_at > ? LIMIT 1", (far,)).fetchone():
                return now
            (found,) = connection.execute("SELECT min(due_at) FROM alerts").fetchone()
            return None if found is None else float(found)

        return self._file.read(do)

    def done(
        self,
        action: Action,
        now: float,
        reason: str,
        detail: str = "",
        *,
        wrote: Mapping[str, int] = {},
        count_words: bool = True,
        claim_next: bool = False,
    ) -> Optional[Action]:
        """Remember an action that is done, what it wrote, and its words; its body is let go of.

        `claim_next`: gives the next action of the alert, in flight, where one is due.
        """

        def do(connection: Connection) -> Optional[Action]:
            ended = action._replace(body="", words=action.words if count_words else "")
            _end(connection, ended, DONE, now, reason, detail)
            for field, updated_ns in wrote.items():
                connection.execute(
                    "INSERT INTO newest (alert, field, updated_ns, at) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET updated_ns = max(updated_ns, excluded.updated_ns), at = excluded.at",
                    (action.alert, field, updated_ns, now),
                )
            return _claim_next(connection, action.alert, now, due_by=now) if claim_next else None

        return self._file.write(do)

    def dead(
        self, action: Action, now: float, reason: str, detail: str, *, claim_next: bool = False
    ) -> Optional[Action]:
        """Make an action a dead letter; `claim_next` as for `done`."""

        def do(connection: Connection) -> Optional[Action]:
            _end(connection, action, DEAD, now, reason, detail)
            return _claim_next(connection, action.alert, now, due_by=now) if claim_next else None

        return self._file.write(do)

    def postpone(self, action: Action, now: float, due_at: float, reason: str, detail: str) -> None:
        """Let an action wait until `due_at`, after an attempt that failed."""
        self._update(
            action,
            "state = 'waiting', attempts = attempts + 1, due_at = ?, since = ?, reason = ?, detail = ?",
            due_at, now, plain(reason), plain(detail),
        )  # fmt: skip

    def release(self, action: Action) -> None:
        """Let an action wait as it did before: it was not tried."""
        self._update(action, "state = 'waiting', first_attempt_at = ?", action.first_attempt_at)

    def _update(self, action: Action, assignments: str, *values: object) -> None:
        def do(connection: Connection) -> None:
            connection.execute(f"UPDATE actions SET {assignments} WHERE id = ?", (*values, action.id))  # noqa: S608
            _settle(connection, action.alert)

        self._file.write(do)

    def expire(self, now: float, older_than_seconds: float) -> List[Action]:
        """Make dead letters of what has waited so long since it was accepted, or since it was retried by hand."""

        def old(connection: Connection) -> List[Tuple[Any, ...]]:
            query = f"{_SELECT} WHERE state = 'waiting' AND accepted_at <= ?"
            return connection.execute(query, (now - older_than_seconds,)).fetchall()

        def do(connection: Connection) -> List[Action]:
            actions = [action_of(row) for row in old(connection)]
            for action in actions:
                why = ": ".join(part for part in (action.reason, action.detail) if part)
                _end(connection, action, DEAD, now, "expired", why)
            return actions

        return self._file.write(do) if self._file.read(old) else []

    def prune(self, now: float, older_than_seconds: float) -> int:
        """Forget what was done so long ago, some at a time; gives how many."""
        before = now - older_than_seconds
        counts = (
            self._prune("actions WHERE state = 'done' AND since < ?", "id", before),
            self._prune("newest WHERE at < ?", "alert, field", before),
        )
        return counts[0]

    def _prune(self, which: str, key: str, before: float) -> int:
        count = 0
        while True:
            some = f"SELECT {key} FROM {which} LIMIT {_PRUNED_ROWS}"  # noqa: S608 - constants
            query = f"DELETE FROM {which.partition(' ')[0]} WHERE ({key}) IN ({some})"  # noqa: S608 - the same
            removed = self._file.write(lambda connection: connection.execute(query, (before,)).rowcount)  # noqa: B023
            count += removed
            if removed < _PRUNED_ROWS:
                return count

    # -- What is known of an alert

    def memory(self, alert: str) -> Memory:
        """Give the newest `updatedAt` of each field of an alert."""

        def do(connection: Connection) -> Memory:
            newest = dict(connection.execute("SELECT field, updated_ns FROM newest WHERE alert = ?", (alert,)))
            for state in (WAITING, IN_FLIGHT):
                rows = connection.execute(
                    f"SELECT writes FROM actions WHERE alert = ? AND state = '{state}'"  # noqa: S608 - a constant
                    " AND first_attempt_at IS NOT NULL AND writes != ''",
                    (alert,),
                )
                for (writes,) in rows:
                    for field, updated_ns in json.loads(writes).items():
                        newest[field] = max(newest.get(field, 0), updated_ns)
            return Memory(newest)

        return self._file.read(do)

    def count_words(self, alert: str, words: str, since: float) -> int:
        """Say how many actions of an alert, done since then, have left these words."""
        query = "SELECT count(*) FROM actions WHERE alert = ? AND words = ? AND state = 'done' AND words != ''"
        return self._file.read(
            lambda connection: int(
                connection.execute(f"{query} AND since >= ?", (alert, words, since)).fetchone()[0]
            )
        )

    # -- Looking, and setting right by hand

    def get(self, number: int) -> Optional[Action]:
        """Give the action with that id."""
        return next(iter(self._rows("WHERE id = ?", number)), None)

    def by_key(self, key: str) -> Optional[Action]:
        """Give the action with that key."""
        return next(iter(self._rows("WHERE key = ?", key)), None)

    def actions(
        self, state: Optional[str] = None, alert: Optional[str] = None, limit: Optional[int] = None
    ) -> Iterator[Action]:
        """Give the actions by id, some hundred at a time: what changes meanwhile may be seen or not."""
        wanted = {name: value for name, value in (("state", state), ("alert", alert)) if value is not None}
        filters = "".join(f" AND {name} = ?" for name in wanted)
        last, left = 0, limit if limit is not None else 2**62
        while left > 0:
            query = f"WHERE id > ?{filters} ORDER BY id LIMIT ?"
            page = self._rows(query, last, *wanted.values(), min(left, _PAGE_ROWS))
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            last, left = page[-1].id, left - len(page)

    def _rows(self, query: str, *values: object) -> List[Action]:
        return self._file.read(
            lambda connection: [action_of(row) for row in connection.execute(f"{_SELECT} {query}", values)]
        )

    def counts(self, now: float) -> Counts:
        """Count what it holds."""

        def do(connection: Connection) -> Counts:
            rows = connection.execute("SELECT state, count(*), min(accepted_at) FROM actions GROUP BY state").fetchall()
            found = {state: (count, max(0.0, now - oldest)) for state, count, oldest in rows}
            alerts = connection.execute("SELECT count(*) FROM alerts").fetchone()[0]
            waiting, flying, dead, done = (found.get(state, (0, 0.0)) for state in (WAITING, IN_FLIGHT, DEAD, DONE))
            return Counts(waiting[0], flying[0], dead[0], done[0], alerts, max(waiting[1], flying[1]), dead[1])

        return self._file.read(do)

    def retry(self, numbers: Iterable[int], now: float) -> int:
        """Let dead letters wait again, and what waits be due, at their old place; gives how many there were."""
        return self._each(
            numbers,
            "UPDATE actions SET due_at = ?, accepted_at = CASE state WHEN 'dead' THEN ? ELSE accepted_at END,"
            " state = 'waiting', since = ? WHERE id = ? AND state IN ('dead', 'waiting')",
            now, now, now,
        )  # fmt: skip

    def drop(self, numbers: Iterable[int]) -> int:
        """Remove actions that wait or are dead, and forget their keys; gives how many there were."""
        return self._each(numbers, "DELETE FROM actions WHERE id = ? AND state IN ('waiting', 'dead')")

    def _each(self, numbers: Iterable[int], statement: str, *values: object) -> int:
        chosen = list(numbers)

        def do(connection: Connection) -> int:
            count = 0
            for number in chosen:
                row = connection.execute("SELECT alert FROM actions WHERE id = ?", (number,)).fetchone()
                if row is not None:
                    count += connection.execute(statement, (*values, number)).rowcount
                    _settle(connection, row[0])
            return count

        return self._file.write(do)

    def export(self) -> Iterator[str]:
        """Give what waits, is in flight or is dead, as lines of JSON."""
        for action in self.actions():
            if action.state != DONE:
                yield json.dumps(dict(zip(FIELDS[1:], action[1:])))

    def import_(self, lines: Iterable[str]) -> int:
        """Append what `export` gave; gives how many were new. What was in flight waits. Raises ValueError."""
        actions = [_read_line(line, number) for number, line in enumerate(lines, 1) if line.strip()]

        def do(connection: Connection) -> int:
            count = 0
            for action in actions:
                if connection.execute("SELECT 1 FROM actions WHERE key = ?", (action.key,)).fetchone() is None:
                    _insert(connection, action)
                    _settle(connection, action.alert)
                    count += 1
            return count

        return self._file.write(do)

    def move_to(self, other: "Journal", numbers: Optional[Iterable[int]] = None) -> int:
        """Move what waits or is dead into another journal (all, or those); gives how many.

        A crash in between leaves an action in both; its key makes the next move remove it here.
        """
        chosen = None if numbers is None else set(numbers)
        moved = [action for action in self.actions() if action.state in (WAITING, DEAD)]
        moved = [action for action in moved if chosen is None or action.id in chosen]
        other.import_(json.dumps(dict(zip(FIELDS[1:], action[1:]))) for action in moved)
        return self.drop(action.id for action in moved)


# -- Rows


def _append(connection: Connection, new: New, now: float, claim: bool) -> Action:
    texts: Dict[str, Any] = {name: plain(text) for name, text in new._asdict().items() if isinstance(text, str)}
    new = new._replace(**texts)
    row = connection.execute(f"{_SELECT} WHERE key = ?", (new.key,)).fetchone()
    if row is not None:
        return action_of(row)
    flies = claim and not _is_busy(connection, new.alert)
    state = IN_FLIGHT if flies else WAITING
    action = Action(0, *new, state, 0, now, now, now, "", "", is_new=True)
    first = now if flies and new.first_attempt_at is None else new.first_attempt_at
    number = _insert(connection, action._replace(first_attempt_at=first))
    if not flies:
        _settle(connection, new.alert)
    return action._replace(id=number)


def _is_busy(connection: Connection, alert: str) -> bool:
    return any(
        connection.execute(f"SELECT 1 FROM actions WHERE alert = ? AND state = '{state}'", (alert,)).fetchone()  # noqa: S608
        for state in (IN_FLIGHT, WAITING)
    )


def _insert(connection: Connection, action: Action) -> int:
    number = connection.execute(_INSERT, (*action[1:-1], checksum(*action[1:8]))).lastrowid
    return int(number or 0)


def _claim_next(connection: Connection, alert: str, now: float, due_by: Optional[float] = None) -> Optional[Action]:
    """Let the oldest action of an alert be in flight, if it is due, and give it as it was."""
    row = connection.execute(_HEAD, (alert,)).fetchone()
    if row is None:
        _settle(connection, alert)
        return None
    action = action_of(row)
    if due_by is not None and action.due_at > due_by:
        _settle(connection, alert)
        return None
    connection.execute(
        "UPDATE actions SET state = 'in-flight', first_attempt_at = coalesce(first_attempt_at, ?) WHERE id = ?",
        (now, action.id),
    )
    connection.execute("DELETE FROM alerts WHERE alert = ?", (alert,))
    return action._replace(state=IN_FLIGHT)


def _end(connection: Connection, action: Action, state: str, now: float, reason: str, detail: str) -> None:
    connection.execute(
        "UPDATE actions SET state = ?, since = ?, reason = ?, detail = ?, body = ?, words = ?, checksum = ?"
        " WHERE id = ?",
        (state, now, plain(reason), plain(detail), action.body, action.words, checksum(*action[1:8]), action.id),
    )
    _settle(connection, action.alert)


def _settle(connection: Connection, alert: str) -> None:
    """Bring the row in `alerts` up to date: when the oldest action may be claimed; none while one is in flight."""
    flying = connection.execute("SELECT 1 FROM actions WHERE alert = ? AND state = 'in-flight'", (alert,)).fetchone()
    head = connection.execute(
        "SELECT due_at FROM actions WHERE alert = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1", (alert,)
    ).fetchone()
    if flying is not None or head is None:
        connection.execute("DELETE FROM alerts WHERE alert = ?", (alert,))
    else:
        connection.execute("INSERT OR REPLACE INTO alerts (alert, due_at) VALUES (?, ?)", (alert, head[0]))


def _read_line(line: str, number: int) -> Action:
    """Read a line of an export; it waits, unless it is a dead letter. Raises ValueError."""
    try:
        found = json.loads(line)
        values = {name: found[name] for name in FIELDS if name != "id"}
        action = Action(id=0, **values)
        action = action._replace(state=DEAD if action.state == DEAD else WAITING)
        action_of((*action[:-1], checksum(*action[1:8])))
    except (ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
        raise ValueError(f"line {number} is no action of an export: {error}") from None
    return action
