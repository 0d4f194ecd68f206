"""The journal itself: actions come in by `append`, are given by `claim`, and end by `done` and `dead`."""

import os
import sqlite3
from functools import partial
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, TypeVar

from alerta_opsgenie.journal import statements
from alerta_opsgenie.journal.directory import PathLike
from alerta_opsgenie.journal.file import File
from alerta_opsgenie.journal.rows import Action, Counts, Memory, New, plain, read_lines, to_line
from alerta_opsgenie.journal.statements import End, settle
from alerta_opsgenie.journal.writer import Writer

_T = TypeVar("_T")
_Connection = sqlite3.Connection

_PAGE_ROWS = 200  # read at a time, so that others need not wait long
_STEP_ROWS = 1000  # removed or changed in one transaction


class Journal:
    """The actions in one directory, shared with every other process and thread that opens it.

    `directory` is made (0700) if need be; it must be this user's alone and on a local disk. The file is opened at the
    first use. `busy_seconds` is how long a call waits for other processes. Every call raises JournalError where the
    disk, the directory or other processes keep it from its work; nothing is half done then. Instants (`now`, `due_at`)
    are seconds since the epoch, always the caller's: the journal has no clock.

    `set_aside` is the path of a damaged file that this object has replaced ('' for none), `carried_over` how many rows
    of it were saved. Whoever finds one should say so loudly.
    """

    def __init__(self, directory: PathLike, *, busy_seconds: float = 5.0, name: str = "journal.db") -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self._file = File(self.directory, name, busy_seconds)
        self._writer = Writer(self._file)

    def __enter__(self) -> "Journal":  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close for good. A second call does nothing."""
        self._writer.close()

    @property
    def set_aside(self) -> str:
        """The path of the last damaged file that this object has set aside; '': there was none."""
        return self._file.set_aside

    @property
    def carried_over(self) -> int:
        """How many rows of that file are in the new one."""
        return self._file.carried_over

    # -- Coming in

    def append(self, actions: Sequence[New], now: float, *, claim: bool = False) -> List[Action]:
        """Put actions on the disk, all or none, by one commit. Gives a row for each.

        A key that is known gives its row as it is. With `claim` (only for the holder of the lock) a new action whose
        alert has nothing waiting or in flight is in flight at once.
        """

        def work(connection: _Connection) -> List[Action]:
            found: Dict[int, Action] = {}
            for place, new in sorted(enumerate(actions), key=lambda item: item[1].order_ns):
                found[place] = statements.append(connection, new, now, claim=claim)
            return [found[place] for place in range(len(actions))]

        return self._writer.write(work) if actions else []

    def bury(self, new: New, now: float, reason: str, detail: str) -> Action:
        """Append a dead letter: input that was refused. A key that is known gives its row as it is."""

        def work(connection: _Connection) -> Action:
            known = statements.by_key(connection, new.key)
            return known or statements.insert(connection, new, End("dead", now, reason, detail))

        return self._writer.write(work)

    # -- Going out: for the holder of the lock alone

    def claim(self, now: float, limit: int, longest_pause_seconds: float) -> List[Action]:
        """Take the heads of up to `limit` alerts that are due: in flight then. No alert has two in flight.

        What is due further ahead than the longest pause is due now: a clock was set back.
        """

        def work(connection: _Connection) -> List[Action]:
            alerts = statements.due_alerts(connection, now, limit, longest_pause_seconds)
            return [action for alert in alerts for action in statements.claim_head(connection, alert, now)]

        # Most looks of an idle deliverer find nothing, and need no write lock.
        due = self._read(lambda connection: statements.due_alerts(connection, now, 1, longest_pause_seconds))
        return self._writer.write(work) if due else []

    def next_due(self, now: float, longest_pause_seconds: float) -> Optional[float]:
        """Give the instant at which `claim` finds something next; None: nothing waits that may be claimed."""

        def work(connection: _Connection) -> Optional[float]:
            due = statements.due_alerts(connection, now, 1, longest_pause_seconds)
            found: Optional[float] = statements.one(connection, "SELECT min(ready_at) FROM alerts")
            return now if due else found

        return self._read(work)

    def recover(self, now: float) -> int:
        """Let everything wait that is in flight, due now; for a new holder of the lock. Says how many.

        Their attempts have an unknown end, which `first_attempt_at` tells.
        """

        def work(connection: _Connection) -> int:
            alerts = connection.execute("SELECT alert FROM actions WHERE state = 'in-flight'").fetchall()
            connection.execute("UPDATE actions SET state = 'waiting', due_at = ? WHERE state = 'in-flight'", (now,))
            for (alert,) in set(alerts):
                settle(connection, alert)
            return len(alerts)

        return self._writer.write(work)

    def done(
        self, action: Action, now: float, reason: str, detail: str = "", *, wrote: Mapping[str, int] = {},
        count_words: bool = True, claim_next: bool = False,
    ) -> Optional[Action]:
        """Remember an action as done: its key, the newest of `wrote` (field: updatedAt in ns), its words; not its body.

        With `claim_next` it gives the next action of the same alert, in flight, if one is due.
        """

        def work(connection: _Connection) -> Optional[Action]:
            words = action.words if count_words else ""
            left = statements.new_of(action)._replace(body="", options="", writes="", words=words)
            statements.finish(connection, action, End("done", now, reason, detail), left)
            statements.remember(connection, action.alert, wrote, now)
            return statements.claim_next(connection, action.alert, now) if claim_next else None

        return self._writer.write(work)

    def dead(
        self, action: Action, now: float, reason: str, detail: str, *, claim_next: bool = False
    ) -> Optional[Action]:
        """Make an action a dead letter. `claim_next` as in `done`."""

        def work(connection: _Connection) -> Optional[Action]:
            statements.finish(connection, action, End("dead", now, reason, detail))
            return statements.claim_next(connection, action.alert, now) if claim_next else None

        return self._writer.write(work)

    def postpone(self, action: Action, now: float, due_at: float, reason: str, detail: str) -> None:
        """Let an action wait until `due_at` after an attempt."""
        end = End("waiting", now, reason, detail)
        self._writer.write(lambda connection: statements.finish(connection, action, end, due_at=due_at))

    def release(self, action: Action) -> None:
        """Let an action that was given in flight wait again as it was: it was not attempted."""

        def work(connection: _Connection) -> None:
            connection.execute(
                "UPDATE actions SET state = 'waiting', first_attempt_at = ? WHERE id = ? AND key = ?"
                " AND state = 'in-flight'",
                (action.first_attempt_at, action.id, plain(action.key)),
            )
            settle(connection, plain(action.alert))

        self._writer.write(work)

    def expire(self, now: float, older_than_seconds: float) -> List[Action]:
        """Make dead letters (`expired`) of what has waited so long. Gives them.

        What was accepted in the future, by a clock that was set back since, counts from now.
        """
        limit = now - older_than_seconds
        any_found = "SELECT 1 FROM actions WHERE state = 'waiting' AND (since <= ? OR since > ?)"
        old = f"{statements.SELECT} WHERE state = 'waiting' AND since <= ? ORDER BY id LIMIT ?"

        def work(connection: _Connection) -> List[Action]:
            connection.execute("UPDATE actions SET since = ? WHERE state = 'waiting' AND since > ?", (now, now))
            found = statements.many(connection, old, (limit, _STEP_ROWS))
            return [statements.expire(connection, action, now) for action in found]

        found = self._read(lambda connection: connection.execute(any_found, (limit, now)).fetchone())
        return self._writer.write(work) if found else []

    def prune(self, now: float, older_than_seconds: float) -> int:
        """Forget done actions and memory of that age and older, some at a time. Says how many actions."""
        limit, count = (now - older_than_seconds, _STEP_ROWS), 0
        actions = "DELETE FROM actions WHERE id IN (SELECT id FROM actions WHERE state = 'done' AND since <= ? LIMIT ?)"
        memory = "DELETE FROM newest WHERE (alert, field) IN (SELECT alert, field FROM newest WHERE at <= ? LIMIT ?)"
        while True:
            gone = self._writer.write(
                lambda connection: [connection.execute(query, limit).rowcount for query in (actions, memory)]
            )
            count += gone[0]
            if max(gone) < _STEP_ROWS:
                return count

    # -- What is known of an alert

    def memory(self, alert: str) -> Memory:
        """Give the newest updatedAt of each field: of done actions, and of attempts whose end is not known."""
        return Memory(self._read(lambda connection: statements.newest(connection, plain(alert))))

    def count_words(self, alert: str, words: str, since: float) -> int:
        """Count the done actions on an alert that have left those words since then."""
        query = (
            "SELECT count(*) FROM actions WHERE alert = ? AND words = ? AND since >= ? AND state = 'done'"
            " AND words <> ''"
        )
        return int(self._read(lambda connection: statements.one(connection, query, plain(alert), plain(words), since)))

    def waits(self, alert: str) -> bool:
        """Whether anything on that alert waits or is in flight."""
        return self._read(lambda connection: statements.is_busy(connection, alert))

    # -- For people and their tools

    def get(self, number: int) -> Optional[Action]:
        """Give the action with that id."""
        return self._read(lambda connection: statements.first(connection, "id = ?", number))

    def by_key(self, key: str) -> Optional[Action]:
        """Give the action with that key."""
        return self._read(lambda connection: statements.by_key(connection, key))

    def actions(
        self, state: Optional[str] = None, alert: Optional[str] = None, limit: Optional[int] = None
    ) -> Iterator[Action]:
        """Give actions by id, as they are when they are read; those of a state, of an alert, so many at most."""
        where = "id > ?" + (" AND state = ?" if state else "") + (" AND alert = ?" if alert is not None else "")
        query = f"{statements.SELECT} WHERE {where} ORDER BY id LIMIT ?"
        chosen = [*([state] if state else []), *([] if alert is None else [plain(alert)])]
        last, given = 0, 0
        while limit is None or given < limit:
            size = _PAGE_ROWS if limit is None else min(limit - given, _PAGE_ROWS)
            found = self._read(partial(statements.many, query=query, values=(last, *chosen, size)))
            yield from found
            if len(found) < size:
                return
            last, given = found[-1].id, given + size

    def counts(self, now: float) -> Counts:
        """Count what lies here."""

        def work(connection: _Connection) -> Counts:
            numbers = dict(connection.execute("SELECT state, count(*) FROM actions GROUP BY state").fetchall())
            oldest = dict(connection.execute(
                "SELECT CASE state WHEN 'dead' THEN 'dead' ELSE 'waiting' END, min(accepted_at) FROM actions"
                " WHERE state <> 'done' GROUP BY 1"
            ).fetchall())  # fmt: skip
            waiting, in_flight = numbers.get("waiting", 0), numbers.get("in-flight", 0)
            alerts = in_flight + int(statements.one(connection, "SELECT count(*) FROM alerts"))
            ages = [max(0.0, now - oldest.get(state, now)) for state in ("waiting", "dead")]
            return Counts(waiting, in_flight, numbers.get("dead", 0), numbers.get("done", 0), ages[0], ages[1], alerts)

        return self._read(work)

    def retry(self, ids: Iterable[int], now: float) -> int:
        """Make dead letters wait again, and what waits due: now. Says how many."""
        statement = (
            "UPDATE actions SET since = CASE state WHEN 'dead' THEN ? ELSE since END, state = 'waiting', due_at = ?"
            " WHERE state IN ('waiting', 'dead') AND id = ?"
        )
        numbers = list(ids)
        return self._writer.write(lambda found: statements.change_each(found, numbers, statement, (now, now)))

    def drop(self, ids: Iterable[int]) -> int:
        """Remove actions that wait or are dead, and forget their keys. Says how many."""
        statement = "DELETE FROM actions WHERE state IN ('waiting', 'dead') AND id = ?"
        numbers = list(ids)
        return self._writer.write(lambda connection: statements.change_each(connection, numbers, statement, ()))

    def export(self) -> Iterator[str]:
        """Give what is not done as JSON lines, for `import_`."""
        return (to_line(action) for action in self.actions() if action.state != "done")

    def import_(self, text: Iterable[str]) -> int:
        """Append what `export` gave, all or nothing. Says how many were new. Raises JournalError (`input`)."""
        return self.take(read_lines(text))

    def take(self, actions: Sequence[Action]) -> int:
        """Append actions of another journal as they are there, in one commit. Says how many were new."""
        return self._writer.write(lambda found: sum(statements.restore(found, action) for action in actions))

    def move_to(self, other: "Journal", ids: Optional[Iterable[int]] = None) -> int:
        """Move what waits or is dead (of `ids`, if given) to another journal. Says how many.

        They are on the disk there before they are removed here.
        """
        wanted = None if ids is None else set(ids)
        batch = self._writer.write(lambda connection: statements.hold(connection, wanted))
        try:
            other.take(batch)
        except BaseException:
            for action in batch:
                self.release(action)
            raise
        numbers, statement = [action.id for action in batch], "DELETE FROM actions WHERE id = ?"
        return self._writer.write(lambda connection: statements.change_each(connection, numbers, statement, ()))

    def _read(self, work: Callable[[_Connection], _T]) -> _T:
        return self._writer.read(work)
