"""The outbox in Alerta's PostgreSQL database, which all hosts share.

It has the methods of `journal.Journal`. A claim is a lease on the first request of an alert: no transaction is open
during a request to the vendor, and the requests of a killed process are due again when their leases end. So any number
of hosts may send, one request of an alert at a time, in order. A sent request is deleted; a dead letter stays.
"""

import os
import time
import uuid
from typing import Any, Iterator, List, Optional, Sequence

from alerta_opsgenie.journal import Action, Counts, Journal, New
from alerta_opsgenie.plugin.database import Database

_ATTEMPTS_PER_LEASE = 6
"""The length of a lease, in time limits of a request: for an attempt, the look-up before it, and a margin."""
_LEAST_LEASE_SECONDS = 60.0

_COLUMNS = (
    "id, key, alert, order_ns, kind, body, first_attempt_at, state, attempts, accepted_at, due_at, reason, detail"
)
_APPEND = """INSERT INTO alerta_opsgenie_outbox (key, alert, order_ns, kind, body, accepted_at, due_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (key) DO NOTHING"""
# The first condition is on the row itself, so that PostgreSQL checks it again after it waited for another claim.
# WITH: a plain subquery may be run again for each row, and would then claim more rows than it returns.
_CLAIM = f"""WITH found AS (
    SELECT mine.id, mine.first_attempt_at AS before, mine.reason AS why FROM alerta_opsgenie_outbox AS mine
    WHERE (mine.state = 'waiting' AND (mine.due_at <= %(now)s OR mine.due_at > %(far)s)
        OR mine.state = 'in-flight' AND mine.leased_until < now()) AND NOT EXISTS (
        SELECT 1 FROM alerta_opsgenie_outbox AS first WHERE first.alert = mine.alert AND first.id < mine.id
        AND first.state <> 'dead')
    ORDER BY mine.due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
UPDATE alerta_opsgenie_outbox AS claimed SET state = 'in-flight', holder = %(holder)s, reason = '',
    leased_until = now() + %(lease)s * interval '1 second', first_attempt_at = coalesce(first_attempt_at, %(now)s)
    FROM found WHERE claimed.id = found.id
    RETURNING {", ".join("claimed." + name for name in _COLUMNS.split(", "))}, found.before, found.why"""
_NEXT = """SELECT min(CASE mine.state WHEN 'waiting' THEN mine.due_at ELSE 0 END) FROM alerta_opsgenie_outbox AS mine
    WHERE (mine.state = 'waiting' OR mine.state = 'in-flight' AND mine.leased_until < now()) AND NOT EXISTS (
    SELECT 1 FROM alerta_opsgenie_outbox AS first WHERE first.alert = mine.alert AND first.id < mine.id
    AND first.state <> 'dead')"""
_MINE = "WHERE id = %s AND holder = %s AND state = 'in-flight'"


class DatabaseJournal:
    """The outbox's table. Thread-safe. Each method is one short transaction, and raises JournalError."""

    def __init__(self, database: Database, timeout_seconds: float = 10.0) -> None:
        self._transaction = database.transaction
        self._host = f"{os.uname().nodename}:"
        self._holder = self._host + uuid.uuid4().hex
        self._lease_seconds = max(_LEAST_LEASE_SECONDS, _ATTEMPTS_PER_LEASE * timeout_seconds)
        self.set_aside, self.carried_over = "", 0

    def append(self, actions: Sequence[New], now: float, *, due_at: Optional[float] = None) -> None:
        """Add requests, all or none. A key that is there already is ignored."""
        with self._transaction() as cursor:
            for new in actions:
                texts = (new.key, _plain(new.alert), new.order_ns, new.kind, _plain(new.body))
                cursor.execute(_APPEND, (*texts, now, now if due_at is None else due_at))

    def claim(self, now: float, limit: int, longest_pause_seconds: float) -> List[Action]:
        """Take a lease on the first request of up to `limit` alerts, of those that are due, and return them."""
        values = {
            "now": now, "far": now + longest_pause_seconds, "limit": limit, "holder": self._holder,
            "lease": self._lease_seconds,
        }  # fmt: skip
        with self._transaction() as cursor:
            cursor.execute(_CLAIM, values)
            # The returned reason is of the last attempt. In the table it is empty: this attempt has no result yet.
            return [_to_action(row[:-1])._replace(reason=row[-1]) for row in cursor.fetchall()]

    def next_due(self, now: float, longest_pause_seconds: float) -> Optional[float]:
        """Return when the next request is due; None if none waits."""
        with self._transaction() as cursor:
            cursor.execute(_NEXT)
            due: Optional[float] = cursor.fetchone()[0]
        return None if due is None else now if due > now + longest_pause_seconds else due

    def done(self, action: Action, _now: float, _reason: str) -> None:
        """Delete a request that was sent, or that is not needed."""
        self._change(f"DELETE FROM alerta_opsgenie_outbox {_MINE}", action)

    def dead(self, action: Action, now: float, reason: str, detail: str) -> None:
        """Make a request a dead letter."""
        self._end(action, "dead", now, reason, detail)

    def postpone(self, action: Action, _now: float, due_at: float, reason: str, detail: str) -> None:
        """Let a request wait after an attempt."""
        self._end(action, "waiting", due_at, reason, detail)

    def recover(self, _now: float) -> int:
        """End the leases of this host's other processes, and return how many. For the process that sends now."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE alerta_opsgenie_outbox SET leased_until = '-infinity'"
                " WHERE state = 'in-flight' AND position(%s IN holder) = 1 AND holder <> %s",
                (self._host, self._holder),
            )
            return int(cursor.rowcount)

    def prune(self, _now: float, _older_than_seconds: float) -> int:
        """Do nothing: `done` deletes a request at once."""
        return 0

    def waits(self, alert: str) -> bool:
        """Whether a request for that alert waits or is in flight."""
        with self._transaction() as cursor:
            cursor.execute(
                "SELECT 1 FROM alerta_opsgenie_outbox WHERE alert = %s AND state <> 'dead' LIMIT 1", (_plain(alert),)
            )
            return cursor.fetchone() is not None

    def counts(self, now: float) -> Counts:
        """Count the requests."""
        query = (
            "SELECT state, count(*), min(accepted_at), count(DISTINCT alert) FROM alerta_opsgenie_outbox GROUP BY state"
        )
        with self._transaction() as cursor:
            cursor.execute(query)
            found = {row[0]: row[1:] for row in cursor.fetchall()}
        waiting, in_flight, dead = (found.get(state, (0, now, 0)) for state in ("waiting", "in-flight", "dead"))
        oldest = max(0.0, now - min(waiting[1], in_flight[1]))
        return Counts(
            waiting[0], in_flight[0], dead[0], 0, oldest, max(0.0, now - dead[1]), waiting[2] + in_flight[2]
        )  # fmt: skip

    def actions(self, state: Optional[str] = None, alert: Optional[str] = None) -> Iterator[Action]:
        """Return the requests, of one state and one alert if given."""
        query = (
            f"SELECT {_COLUMNS}, first_attempt_at FROM alerta_opsgenie_outbox"
            " WHERE coalesce(%s, state) = state AND coalesce(%s, alert) = alert ORDER BY id"
        )
        with self._transaction() as cursor:
            cursor.execute(query, (state, alert))
            rows = cursor.fetchall()
        return map(_to_action, rows)

    def take_over(self, disk: Journal) -> int:
        """Move the waiting requests of an outbox on this host's disk to the table, and return how many."""
        waiting = list(disk.actions("waiting"))
        for action in waiting:
            self.append([New._make(action[1 : 1 + len(New._fields)])], action.accepted_at)
            disk.done(action, time.time(), "moved")
        return len(waiting)

    def _end(self, action: Action, state: str, due_at: float, reason: str, detail: str) -> None:
        self._change(
            "UPDATE alerta_opsgenie_outbox SET state = %s, due_at = %s, reason = %s, detail = %s, holder = '',"
            f" attempts = attempts + 1 {_MINE}",
            action, state, due_at, _plain(reason), _plain(detail),
        )  # fmt: skip

    def _change(self, query: str, action: Action, *values: object) -> None:
        """Change a request whose lease this process has; nothing if another process has it now."""
        with self._transaction() as cursor:
            cursor.execute(query, (*values, action.id, self._holder))


def _plain(text: str) -> str:
    """Return a text that PostgreSQL accepts: without NUL and without lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode("utf-8")


def _to_action(row: Sequence[Any]) -> Action:
    number, key, alert, order_ns, kind, body, _first, state, attempts, accepted_at, due_at, reason, detail, before = row
    return Action(
        number, key, alert, order_ns, kind, body, "", "", "", before, state, attempts, accepted_at, due_at,
        accepted_at, reason, detail,
    )  # fmt: skip
