"""The journal: `append` stores actions, `claim` returns them, `done` and `dead` end them."""

import json
import os
import sqlite3
from typing import Collection, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from alerta_opsgenie.journal import tables
from alerta_opsgenie.journal.directory import PathLike
from alerta_opsgenie.journal.file import File
from alerta_opsgenie.journal.rows import STATES, Action, Counts, New, action_of, read_lines, storable_text, to_line
from alerta_opsgenie.journal.writer import Writer

_Connection = sqlite3.Connection

_LIKE_ESCAPES = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})
_PAGE_ROWS = 200  # read in one step, so that other processes do not wait long
_STEP_ROWS = 1000  # deleted or changed in one transaction


class Journal:
    """The actions in one directory, shared with all processes and threads that open it.

    `directory` is created (0700) if missing; it must be private to this user and on a local disk. The file is opened at
    the first use. `busy_seconds` is how long a call waits for other processes. Every call raises JournalError if the
    disk, the directory or other processes prevent it; then nothing is changed. Instants (`now`, `due_at`) are seconds
    since the epoch by the caller's clock: the journal has none.
    """

    def __init__(self, directory: PathLike, *, busy_seconds: float = 5.0) -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self._file = File(self.directory, busy_seconds)
        self._writer = Writer(self._file)
        self._read, self._write = self._writer.read, self._writer.write

    def __enter__(self) -> "Journal":  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it. A second call does nothing."""
        self._writer.close()

    @property
    def set_aside(self) -> str:
        """The new path of the last damaged file that this object has replaced; empty: none. Log it as an error."""
        return self._file.set_aside

    @property
    def carried_over(self) -> int:
        """The number of rows of that file that are in the new one."""
        return self._file.carried_over

    def append(self, actions: Sequence[New], now: float, *, due_at: Optional[float] = None) -> List[Action]:
        """Store actions in one commit. Return the row of each; for a known key the row as it is."""
        made = [action_of(new, now)._replace(due_at=now if due_at is None else due_at) for new in actions]
        return self._write(lambda connection: [tables.put_new(connection, one) for one in made]) if made else []

    def record_dead(self, new: New, now: float, reason: str, detail: str) -> Action:
        """Append a refused message as a dead letter. For a known key return the row as it is."""
        dead = action_of(new, now, "dead", reason, detail)
        return self._write(lambda connection: tables.put_new(connection, dead))

    def claim(self, now: float, limit: int, longest_pause_seconds: float) -> List[Action]:
        """Put the first action of up to `limit` due alerts in flight, and return them. No alert has two in flight.

        An action that is due further ahead than the longest pause is due now: a clock was set back.
        """

        def work(connection: _Connection) -> List[Action]:
            alerts = tables.due_alerts(connection, now, limit, longest_pause_seconds)
            return [action for alert in alerts for action in tables.claim_head(connection, alert, now)]

        # Usually an idle deliverer finds nothing, and needs no write lock.
        due = self._read(lambda connection: tables.due_alerts(connection, now, 1, longest_pause_seconds))
        return self._write(work) if due else []

    def next_due(self, now: float, longest_pause_seconds: float) -> Optional[float]:
        """Return when `claim` will find the next action; None if no waiting action may be claimed."""
        query = "SELECT (SELECT min(ready_at) FROM alerts), (SELECT max(ready_at) FROM alerts)"
        first, last = self._read(lambda connection: connection.execute(query).fetchone())
        found: Optional[float] = first
        return now if found is not None and last > now + longest_pause_seconds else found

    def recover(self, now: float) -> int:
        """Make all in-flight actions waiting, due now, when a new process has the lock. Return their number."""
        statement = "UPDATE actions SET state = 'waiting', due_at = ? WHERE state = 'in-flight'"
        return self._write(lambda connection: connection.execute(statement, (now,)).rowcount)

    def done(
        self, action: Action, now: float, reason: str, detail: str = "", *, wrote: Mapping[str, int] = {},
        left: str = "", claim_next: bool = False,
    ) -> Optional[Action]:
        """Store an action as done, the registers `wrote`, and `left` in place of its body.

        With `claim_next`, claim the next action of the alert in the same transaction, and return it.
        """
        ended = action._replace(body=left, options="", writes="", state="done", reason=reason, detail=detail)
        return self._end(ended, now, wrote, claim_next=claim_next)

    def dead(
        self, action: Action, now: float, reason: str, detail: str, *, claim_next: bool = False
    ) -> Optional[Action]:
        """Make an action a dead letter. `claim_next` as in `done`."""
        return self._end(action._replace(state="dead", reason=reason, detail=detail), now, {}, claim_next=claim_next)

    def _end(self, ended: Action, now: float, wrote: Mapping[str, int], *, claim_next: bool) -> Optional[Action]:
        def work(connection: _Connection) -> Optional[Action]:
            tables.finish(connection, ended, now)
            tables.remember(connection, ended.alert, wrote, now)
            return tables.claim_next(connection, ended.alert, now) if claim_next else None

        return self._write(work)

    def postpone(self, action: Action, now: float, due_at: float, reason: str, detail: str) -> None:
        """Make an action waiting until `due_at`, after an attempt."""
        waiting = action._replace(state="waiting", reason=reason, detail=detail)
        self._write(lambda connection: tables.finish(connection, waiting, now, due_at))

    def release(self, action: Action) -> None:
        """Make a claimed action waiting as before: it was not attempted."""
        statement = (
            "UPDATE actions SET state = 'waiting', first_attempt_at = ?, reason = ? WHERE id = ? AND key = ?"
            " AND state = 'in-flight'"
        )
        values = (action.first_attempt_at, action.reason, action.id, storable_text(action.key))
        self._write(lambda connection: connection.execute(statement, values))

    def expire(self, now: float, older_than_seconds: float) -> List[Action]:
        """Make actions that waited so long dead letters (`expired`). A time in the future counts as now."""
        limit = now - older_than_seconds
        any_found = "SELECT 1 FROM actions WHERE state = 'waiting' AND (since <= ? OR since > ?)"
        expire = (
            "UPDATE actions SET state = 'dead', since = ?, reason = 'expired',"
            " detail = CASE reason WHEN '' THEN '' ELSE reason || ': ' || detail END WHERE id = ?"
        )

        def work(connection: _Connection) -> List[Action]:
            connection.execute("UPDATE actions SET since = ? WHERE state = 'waiting' AND since > ?", (now, now))
            old = "state = 'waiting' AND since <= ? ORDER BY id LIMIT ?"
            ids = [action.id for action in tables.many(connection, old, limit, _STEP_ROWS)]
            connection.executemany(expire, [(now, number) for number in ids])
            return [action for number in ids for action in tables.many(connection, "id = ?", number)]

        return self._write(work) if self._read(lambda found: tables.one(found, any_found, limit, now)) else []

    def prune(self, now: float, older_than_seconds: float) -> int:
        """Delete done actions and registers of at least that age, in steps. Return the number of actions."""
        limit, count = (now - older_than_seconds, _STEP_ROWS), 0
        actions = "DELETE FROM actions WHERE id IN (SELECT id FROM actions WHERE state = 'done' AND since <= ? LIMIT ?)"
        memory = "DELETE FROM newest WHERE (alert, field) IN (SELECT alert, field FROM newest WHERE at <= ? LIMIT ?)"
        while True:
            gone = self._write(lambda found: [found.execute(query, limit).rowcount for query in (actions, memory)])
            count += gone[0]
            if max(gone) < _STEP_ROWS:
                return count

    def memory(self, alert: str) -> Dict[str, int]:
        """Return the newest updatedAt (ns) of each field: of done actions, and of attempts of unknown end."""
        return self._read(lambda connection: tables.newest(connection, storable_text(alert)))

    def count_words(self, alert: str, words: str, since: float) -> int:
        """Count the done actions on an alert with those `words` since then."""
        query = (
            "SELECT count(*) FROM actions WHERE alert = ? AND words = ? AND since >= ? AND state = 'done'"
            " AND words <> ''"
        )
        values = (storable_text(alert), storable_text(words), since)
        return int(self._read(lambda connection: tables.one(connection, query, *values)))

    def waits(self, alert: str) -> bool:
        """Whether an action on that alert is waiting or in flight."""
        return self._read(lambda connection: tables.is_busy(connection, alert))

    def get(self, number: int) -> Optional[Action]:
        """Return the action with that id."""
        return self._read(lambda connection: tables.first(connection, "id = ?", number))

    def actions(self, state: Optional[str] = None) -> Iterator[Action]:
        """Yield actions by id, all or those of a state, each as it is when it is read."""
        where = "id > ? AND state = ? ORDER BY id LIMIT ?" if state else "id > ? ORDER BY id LIMIT ?"
        last, size = 0, _PAGE_ROWS
        while size == _PAGE_ROWS:
            values = (last, *([state] if state else []), _PAGE_ROWS)
            found = self._read(lambda connection: tables.many(connection, where, *values))  # noqa: B023 - at once
            yield from found
            last, size = found[-1].id if found else last, len(found)

    def latest(self, limit: int, state: Optional[str] = None) -> List[Action]:
        """Return the rows (of one state) with the latest `since`, the newest first."""
        found: List[Action] = []
        for one in [state] if state else STATES:
            found += self._rows("state = ? ORDER BY since DESC, id DESC", one, limit=limit)
        return sorted(found, key=lambda action: (action.since, action.id), reverse=True)[:limit]

    def search(self, text: str, limit: int) -> List[Action]:
        """Return the newest rows whose alert begins with a text, or whose body contains it."""
        alert, written = storable_text(text.lower()), json.dumps(text)[1:-1].translate(_LIKE_ESCAPES)
        condition = "(alert >= ? AND alert < ?) OR CAST(body AS TEXT) LIKE ? ESCAPE '\\' ORDER BY id DESC"
        return self._rows(condition, alert, alert + "\U0010ffff", f"%{written}%", limit=limit)

    def of_alert(self, alert: str, limit: int) -> List[Action]:
        """Return the newest rows of an alert, in the order of delivery."""
        return self._rows("alert = ? ORDER BY order_ns DESC, id DESC", storable_text(alert), limit=limit)[::-1]

    def find(self, key: str) -> Optional[Action]:
        """Return the row with that key."""
        return self._read(lambda connection: tables.by_key(connection, key))

    def oldest_waiting(self, *, but: Collection[str] = ()) -> Optional[Action]:
        """Return the action that has waited longest, except for those reasons."""
        condition = f"reason NOT IN ({', '.join('?' * len(but))})"
        found = self._rows(f"state = 'waiting' AND state <> 'done' AND {condition} ORDER BY accepted_at", *but, limit=1)
        return next(iter(found), None)

    def _rows(self, condition: str, *values: object, limit: int) -> List[Action]:
        return self._read(lambda connection: tables.many(connection, condition + " LIMIT ?", *values, limit))

    def counts(self, now: float) -> Counts:
        """Return the numbers and ages of the actions."""

        def work(connection: _Connection) -> Counts:
            query = "SELECT state, count(*), min(accepted_at) FROM actions WHERE state <> 'done' GROUP BY state"
            found = {state: rest for state, *rest in connection.execute(query).fetchall()}
            waiting, in_flight, dead = (found.get(state, (0, now)) for state in ("waiting", "in-flight", "dead"))
            done = tables.one(connection, "SELECT count(*) FROM actions WHERE state = 'done'")
            alerts = in_flight[0] + tables.one(connection, "SELECT count(*) FROM alerts")
            ages = [max(0.0, now - at) for at in (min(waiting[1], in_flight[1]), dead[1])]
            return Counts(waiting[0], in_flight[0], dead[0], done, ages[0], ages[1], alerts)

        return self._read(work)

    def retry(self, ids: Iterable[int], now: float) -> int:
        """Make dead letters waiting, and waiting actions due now. Return their number."""
        statement = (
            "UPDATE actions SET since = CASE state WHEN 'dead' THEN ? ELSE since END, state = 'waiting', due_at = ?"
            " WHERE state IN ('waiting', 'dead') AND id = ?"
        )
        return self._change_each(statement, [(now, now, number) for number in set(ids)])

    def drop(self, ids: Iterable[int]) -> int:
        """Delete waiting actions and dead letters, with their keys. Return their number."""
        statement = "DELETE FROM actions WHERE state IN ('waiting', 'dead') AND id = ?"
        return self._change_each(statement, [(number,) for number in set(ids)])

    def _change_each(self, statement: str, values: Sequence[Sequence[object]]) -> int:
        return self._write(lambda connection: connection.executemany(statement, values).rowcount if values else 0)

    def export(self) -> Iterator[str]:
        """Return all actions that are not done as JSON lines, for `import_`."""
        return (to_line(action) for action in self.actions() if action.state != "done")

    def import_(self, text: Iterable[str]) -> int:
        """Append lines of `export`, all or none. Return the number of new ones. Raises JournalError (`input`)."""
        return self.take(read_lines(text))

    def take(self, actions: Sequence[Action]) -> int:
        """Append actions of another journal in one commit, in-flight ones as waiting. Return the number of new ones."""

        def work(connection: _Connection) -> int:
            waiting = [action._replace(state=action.state.replace("in-flight", "waiting")) for action in actions]
            return sum(tables.put_new(connection, action).is_new for action in waiting)

        return self._write(work)

    def move_to(self, other: "Journal", ids: Optional[Iterable[int]] = None) -> int:
        """Move waiting actions and dead letters (of `ids`, if given) to another journal. Return their number.

        They are on disk there before they are deleted here. Meanwhile they are in flight, so they cannot be claimed.
        """
        wanted = None if ids is None else set(ids)

        def hold(connection: _Connection) -> List[Action]:
            found = tables.many(connection, "state IN ('waiting', 'dead') ORDER BY id")
            held = [action for action in found if wanted is None or action.id in wanted]
            begin = "UPDATE actions SET state = 'in-flight' WHERE state = 'waiting' AND id = ?"
            connection.executemany(begin, [(action.id,) for action in held])
            return held

        batch = self._write(hold)
        try:
            other.take(batch)
        except BaseException:
            for action in batch:
                self.release(action)
            raise
        return self._change_each("DELETE FROM actions WHERE id = ?", [(action.id,) for action in batch])
