"""The journal itself: actions come in by `append`, are given by `claim`, and end by `done` and `dead`."""

import json
import os
import sqlite3
from typing import Collection, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from alerta_opsgenie.journal import tables
from alerta_opsgenie.journal.directory import PathLike
from alerta_opsgenie.journal.file import File
from alerta_opsgenie.journal.rows import STATES, Action, Counts, New, action_of, plain, read_lines, to_line
from alerta_opsgenie.journal.writer import Writer

_Connection = sqlite3.Connection

_LIKE_ESCAPES = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})
_PAGE_ROWS = 200  # read at a time, so that others need not wait long
_STEP_ROWS = 1000  # removed or changed in one transaction


class Journal:
    """The actions in one directory, shared with every other process and thread that opens it.

    `directory` is made (0700) if need be; it must be this user's alone and on a local disk. The file is opened at the
    first use. `busy_seconds` is how long a call waits for other processes. Every call raises JournalError where the
    disk, the directory or other processes keep it from its work; nothing is half done then. Instants (`now`, `due_at`)
    are seconds since the epoch, always the caller's: the journal has no clock.
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
        """Close for good. A second call does nothing."""
        self._writer.close()

    @property
    def set_aside(self) -> str:
        """The path of the last damaged file that this object has set aside; '': there was none. Say it loudly."""
        return self._file.set_aside

    @property
    def carried_over(self) -> int:
        """How many rows of that file are in the new one."""
        return self._file.carried_over

    def append(self, actions: Sequence[New], now: float, *, due_at: Optional[float] = None) -> List[Action]:
        """Put actions on the disk, all or none, by one commit. Gives a row for each; a known key's as it is."""
        made = [action_of(new, now)._replace(due_at=now if due_at is None else due_at) for new in actions]
        return self._write(lambda connection: [tables.put_new(connection, one) for one in made]) if made else []

    def record_dead(self, new: New, now: float, reason: str, detail: str) -> Action:
        """Append a dead letter: input that was refused. A key that is known gives its row as it is."""
        dead = action_of(new, now, "dead", reason, detail)
        return self._write(lambda connection: tables.put_new(connection, dead))

    def claim(self, now: float, limit: int, longest_pause_seconds: float) -> List[Action]:
        """Take the heads of up to `limit` alerts that are due: in flight then. No alert has two in flight.

        What is due further ahead than the longest pause is due now: a clock was set back.
        """

        def work(connection: _Connection) -> List[Action]:
            alerts = tables.due_alerts(connection, now, limit, longest_pause_seconds)
            return [action for alert in alerts for action in tables.claim_head(connection, alert, now)]

        # Most looks of an idle deliverer find nothing, and need no write lock.
        due = self._read(lambda connection: tables.due_alerts(connection, now, 1, longest_pause_seconds))
        return self._write(work) if due else []

    def next_due(self, now: float, longest_pause_seconds: float) -> Optional[float]:
        """Give the instant at which `claim` finds something next; None: nothing waits that may be claimed."""
        query = "SELECT (SELECT min(ready_at) FROM alerts), (SELECT max(ready_at) FROM alerts)"
        first, last = self._read(lambda connection: connection.execute(query).fetchone())
        found: Optional[float] = first
        return now if found is not None and last > now + longest_pause_seconds else found

    def recover(self, now: float) -> int:
        """Let all that is in flight wait, due now, for a new holder of the lock. Says how many."""
        statement = "UPDATE actions SET state = 'waiting', due_at = ? WHERE state = 'in-flight'"
        return self._write(lambda connection: connection.execute(statement, (now,)).rowcount)

    def done(
        self, action: Action, now: float, reason: str, detail: str = "", *, wrote: Mapping[str, int] = {},
        left: str = "", claim_next: bool = False,
    ) -> Optional[Action]:
        """Remember an action as done, with the newest of `wrote`, and `left` in place of its body."""
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
        """Let an action wait until `due_at` after an attempt."""
        waiting = action._replace(state="waiting", reason=reason, detail=detail)
        self._write(lambda connection: tables.finish(connection, waiting, now, due_at))

    def release(self, action: Action) -> None:
        """Let an action that was given in flight wait again as it was: it was not attempted."""
        statement = (
            "UPDATE actions SET state = 'waiting', first_attempt_at = ?, reason = ? WHERE id = ? AND key = ?"
            " AND state = 'in-flight'"
        )
        values = (action.first_attempt_at, action.reason, action.id, plain(action.key))
        self._write(lambda connection: connection.execute(statement, values))

    def expire(self, now: float, older_than_seconds: float) -> List[Action]:
        """Make dead letters (`expired`) of what has waited so long, counted from now where it came in the future."""
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
        """Forget done actions and memory of that age and older, some at a time. Says how many actions."""
        limit, count = (now - older_than_seconds, _STEP_ROWS), 0
        actions = "DELETE FROM actions WHERE id IN (SELECT id FROM actions WHERE state = 'done' AND since <= ? LIMIT ?)"
        memory = "DELETE FROM newest WHERE (alert, field) IN (SELECT alert, field FROM newest WHERE at <= ? LIMIT ?)"
        while True:
            gone = self._write(lambda found: [found.execute(query, limit).rowcount for query in (actions, memory)])
            count += gone[0]
            if max(gone) < _STEP_ROWS:
                return count

    def memory(self, alert: str) -> Dict[str, int]:
        """Give the newest updatedAt of each field (ns): of done actions, and of attempts whose end is not known."""
        return self._read(lambda connection: tables.newest(connection, plain(alert)))

    def count_words(self, alert: str, words: str, since: float) -> int:
        """Count the done actions on an alert that have left those words since then."""
        query = (
            "SELECT count(*) FROM actions WHERE alert = ? AND words = ? AND since >= ? AND state = 'done'"
            " AND words <> ''"
        )
        return int(self._read(lambda connection: tables.one(connection, query, plain(alert), plain(words), since)))

    def waits(self, alert: str) -> bool:
        """Whether anything on that alert waits or is in flight."""
        return self._read(lambda connection: tables.is_busy(connection, alert))

    def get(self, number: int) -> Optional[Action]:
        """Give the action with that id."""
        return self._read(lambda connection: tables.first(connection, "id = ?", number))

    def actions(self, state: Optional[str] = None) -> Iterator[Action]:
        """Give actions by id, all or those of a state, as they are when they are read."""
        where = "id > ? AND state = ? ORDER BY id LIMIT ?" if state else "id > ? ORDER BY id LIMIT ?"
        last, size = 0, _PAGE_ROWS
        while size == _PAGE_ROWS:
            values = (last, *([state] if state else []), _PAGE_ROWS)
            found = self._read(lambda connection: tables.many(connection, where, *values))  # noqa: B023 - at once
            yield from found
            last, size = found[-1].id if found else last, len(found)

    def latest(self, limit: int, state: Optional[str] = None) -> List[Action]:
        """Give the rows (of one state) that came, waited anew or ended last; the newest first."""
        found: List[Action] = []
        for one in [state] if state else STATES:
            found += self._rows("state = ? ORDER BY since DESC, id DESC", one, limit=limit)
        return sorted(found, key=lambda action: (action.since, action.id), reverse=True)[:limit]

    def about(self, text: str, limit: int) -> List[Action]:
        """Give the newest rows whose alert begins with a text, or whose message has it, of a done one the person."""
        alert, written = plain(text.lower()), json.dumps(text)[1:-1].translate(_LIKE_ESCAPES)
        condition = "(alert >= ? AND alert < ?) OR CAST(body AS TEXT) LIKE ? ESCAPE '\\' ORDER BY id DESC"
        return self._rows(condition, alert, alert + "\U0010ffff", f"%{written}%", limit=limit)

    def of_alert(self, alert: str, limit: int) -> List[Action]:
        """Give the newest rows of an alert, in the order in which they are delivered."""
        return self._rows("alert = ? ORDER BY order_ns DESC, id DESC", plain(alert), limit=limit)[::-1]

    def find(self, key: str) -> Optional[Action]:
        """Give the row with that key."""
        return self._read(lambda connection: tables.by_key(connection, key))

    def oldest_waiting(self, *, but: Collection[str] = ()) -> Optional[Action]:
        """Give what has waited for the longest time, for another reason than those."""
        condition = f"reason NOT IN ({', '.join('?' * len(but))})"
        found = self._rows(f"state = 'waiting' AND state <> 'done' AND {condition} ORDER BY accepted_at", *but, limit=1)
        return next(iter(found), None)

    def _rows(self, condition: str, *values: object, limit: int) -> List[Action]:
        return self._read(lambda connection: tables.many(connection, condition + " LIMIT ?", *values, limit))

    def counts(self, now: float) -> Counts:
        """Count what lies here."""

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
        """Make dead letters wait again, and what waits due: now. Says how many."""
        statement = (
            "UPDATE actions SET since = CASE state WHEN 'dead' THEN ? ELSE since END, state = 'waiting', due_at = ?"
            " WHERE state IN ('waiting', 'dead') AND id = ?"
        )
        return self._change_each(statement, [(now, now, number) for number in set(ids)])

    def drop(self, ids: Iterable[int]) -> int:
        """Remove actions that wait or are dead, and forget their keys. Says how many."""
        statement = "DELETE FROM actions WHERE state IN ('waiting', 'dead') AND id = ?"
        return self._change_each(statement, [(number,) for number in set(ids)])

    def _change_each(self, statement: str, values: Sequence[Sequence[object]]) -> int:
        return self._write(lambda connection: connection.executemany(statement, values).rowcount if values else 0)

    def export(self) -> Iterator[str]:
        """Give what is not done as JSON lines, for `import_`."""
        return (to_line(action) for action in self.actions() if action.state != "done")

    def import_(self, text: Iterable[str]) -> int:
        """Append what `export` gave, all or nothing. Says how many were new. Raises JournalError (`input`)."""
        return self.take(read_lines(text))

    def take(self, actions: Sequence[Action]) -> int:
        """Append actions of another journal, in one commit; what was in flight there waits. Says how many were new."""

        def work(connection: _Connection) -> int:
            waiting = [action._replace(state=action.state.replace("in-flight", "waiting")) for action in actions]
            return sum(tables.put_new(connection, action).is_new for action in waiting)

        return self._write(work)

    def move_to(self, other: "Journal", ids: Optional[Iterable[int]] = None) -> int:
        """Move what waits or is dead (of `ids`, if given) to another journal. Says how many.

        They are on the disk there before they are removed here, and in flight meanwhile, so that nobody claims them.
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
