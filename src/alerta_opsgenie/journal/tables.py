"""The tables of a journal, and the statements that several transactions share.

`alerts` holds when the next action of an alert may be claimed. It has no row for an alert with an action in flight or
without a waiting one. Triggers of the connection update it with each statement that changes an action.
"""

import json
import sqlite3
from typing import Any, Dict, List, Mapping, Optional, Tuple

from alerta_opsgenie.journal.rows import COLUMNS, Action, storable_text, to_action, to_row

_Connection = sqlite3.Connection

SELECT = f"SELECT {', '.join(COLUMNS)} FROM actions"  # noqa: S608 - constants
_INSERT = f"INSERT INTO actions ({', '.join(COLUMNS[1:])}) VALUES ({', '.join('?' * len(COLUMNS[1:]))})"  # noqa: S608
_ENDED = ("state", "reason", "detail", "body", "options", "writes", "words", "checksum")
_FINISH = (
    f"UPDATE actions SET {' = ?, '.join(_ENDED)} = ?, attempts = attempts + 1, due_at = coalesce(?, due_at),"  # noqa: S608
    " since = coalesce(?, since) WHERE id = ? AND key = ? AND state IN ('in-flight', 'waiting')"
)

APPLICATION_ID = 0x414F4A4C  # "AOJL", by which the file of another program is recognised

# One script per version, applied in order; the file's `user_version` is the number of applied ones. Never edit a
# released one.
MIGRATIONS: Tuple[Tuple[str, ...], ...] = (
    (
        """CREATE TABLE actions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL UNIQUE,
            alert TEXT NOT NULL,
            order_ns INTEGER NOT NULL,
            kind TEXT NOT NULL,
            body BLOB NOT NULL,
            options TEXT NOT NULL,
            writes TEXT NOT NULL,
            words TEXT NOT NULL,
            first_attempt_at REAL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'in-flight', 'done', 'dead')),
            attempts INTEGER NOT NULL,
            accepted_at REAL NOT NULL,
            due_at REAL NOT NULL,
            since REAL NOT NULL,
            reason TEXT NOT NULL,
            detail TEXT NOT NULL,
            checksum INTEGER NOT NULL
        )""",
        "CREATE INDEX actions_waiting ON actions (alert, order_ns, id) WHERE state = 'waiting'",
        "CREATE INDEX actions_in_flight ON actions (alert) WHERE state = 'in-flight'",
        "CREATE INDEX actions_tried ON actions (alert) WHERE state = 'waiting' AND first_attempt_at IS NOT NULL",
        "CREATE INDEX actions_said ON actions (alert, words, since) WHERE state = 'done' AND words <> ''",
        "CREATE INDEX actions_since ON actions (state, since)",
        "CREATE INDEX actions_age ON actions (state, accepted_at) WHERE state <> 'done'",
        "CREATE TABLE alerts (alert TEXT PRIMARY KEY, ready_at REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX alerts_ready ON alerts (ready_at)",
        """CREATE TABLE newest (
            alert TEXT, field TEXT, order_ns INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (alert, field)
        ) WITHOUT ROWID""",
        "CREATE INDEX newest_at ON newest (at)",
    ),
)

TRIGGERS = tuple(
    f"""CREATE TEMP TRIGGER alerts_after_{event[:6].lower()} AFTER {event} ON main.actions BEGIN
        DELETE FROM alerts WHERE alert = {row}.alert;
        INSERT INTO alerts (alert, ready_at) SELECT alert, due_at FROM actions
            WHERE alert = {row}.alert AND state = 'waiting' AND NOT EXISTS
                (SELECT 1 FROM actions WHERE alert = {row}.alert AND state = 'in-flight')
            ORDER BY order_ns, id LIMIT 1;
    END"""  # noqa: S608 - constants
    for event, row in (("INSERT", "new"), ("UPDATE OF state, due_at", "new"), ("DELETE", "old"))
)


def one(connection: _Connection, query: str, *values: object) -> Any:
    """Return the first value of the first row; None if there is no row."""
    row = connection.execute(query, values).fetchone()
    return row and row[0]


def many(connection: _Connection, condition: str, *values: object) -> List[Action]:
    """Return the actions that match a condition, which may include an order."""
    return [to_action(row) for row in connection.execute(f"{SELECT} WHERE {condition}", values).fetchall()]


def first(connection: _Connection, condition: str, *values: object) -> Optional[Action]:
    """Return the first action that matches."""
    return next(iter(many(connection, condition + " LIMIT 1", *values)), None)


def by_key(connection: _Connection, key: str) -> Optional[Action]:
    """Return the action with that key."""
    return first(connection, "key = ?", storable_text(key))


def is_busy(connection: _Connection, alert: str) -> bool:
    """Whether an action on the alert is waiting or in flight."""
    waiting = "SELECT 1 FROM actions WHERE alert = ? AND state = 'waiting'"
    in_flight = "SELECT 1 FROM actions WHERE alert = ? AND state = 'in-flight'"
    return any(one(connection, query, storable_text(alert)) for query in (waiting, in_flight))


def due_alerts(connection: _Connection, now: float, limit: int, longest_pause_seconds: float) -> List[str]:
    """Return alerts whose first action may be claimed: the longest due first, then those due too far in the future."""
    due = "SELECT alert FROM alerts WHERE ready_at <= ? ORDER BY ready_at LIMIT ?"
    too_far = "SELECT alert FROM alerts WHERE ready_at > ? LIMIT ?"
    found = connection.execute(due, (now, limit)).fetchall()
    if len(found) < limit:
        found += connection.execute(too_far, (now + longest_pause_seconds, limit - len(found))).fetchall()
    return [alert for (alert,) in found]


def newest(connection: _Connection, alert: str) -> Dict[str, int]:
    """Return the newest updatedAt of each field, including attempts of unknown end."""
    found: Dict[str, int] = dict(
        connection.execute("SELECT field, order_ns FROM newest WHERE alert = ?", (alert,)).fetchall()
    )
    begun = connection.execute(
        "SELECT writes FROM actions WHERE alert = ? AND state = 'in-flight' UNION ALL"
        " SELECT writes FROM actions WHERE alert = ? AND state = 'waiting' AND first_attempt_at IS NOT NULL",
        (alert, alert),
    ).fetchall()
    for (writes,) in begun:
        for field, order_ns in _writes(writes).items():
            found[field] = max(order_ns, found.get(field, order_ns))
    return found


def _writes(text: str) -> Dict[str, int]:
    """Read the column `writes`; empty if it is invalid."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    fits = isinstance(found, dict) and all(type(order_ns) is int for order_ns in found.values())
    return found if fits else {}


def put(connection: _Connection, action: Action) -> Action:
    """Insert an action with a new key."""
    row = to_row(action)
    row_id = connection.execute(_INSERT, row).lastrowid
    return to_action((row_id, *row))._replace(is_new=True)


def put_new(connection: _Connection, action: Action) -> Action:
    """Insert an action; for a known key return its row unchanged."""
    return by_key(connection, action.key) or put(connection, action)


def claim_head(connection: _Connection, alert: str, now: float) -> List[Action]:
    """Put the first action of an alert in flight, and return it with the reason of its last attempt.

    The row loses that reason: if the process is killed, the end of the new attempt is unknown.
    """
    head = many(connection, "alert = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1", alert)
    connection.executemany(
        "UPDATE actions SET state = 'in-flight', reason = '', first_attempt_at = coalesce(first_attempt_at, ?)"
        " WHERE id = ?",
        [(now, action.id) for action in head],
    )
    if not head:  # after damage
        connection.execute("DELETE FROM alerts WHERE alert = ?", (alert,))
    return [action._replace(state="in-flight") for action in head]


def claim_next(connection: _Connection, alert: str, now: float) -> Optional[Action]:
    """Claim the next action of an alert if it is due and none is in flight."""
    ready_at = one(connection, "SELECT ready_at FROM alerts WHERE alert = ?", storable_text(alert))
    if ready_at is None or ready_at > now:
        return None
    return next(iter(claim_head(connection, storable_text(alert), now)), None)


def finish(connection: _Connection, ended: Action, now: float, due_at: Optional[float] = None) -> None:
    """Store the end of an attempt, or why its action waits until `due_at`. Insert it if damage has lost its row."""
    row = dict(zip(COLUMNS[1:], to_row(ended)))
    since = None if ended.state == "waiting" else now
    values = (*(row[name] for name in _ENDED), due_at, since, ended.id, row["key"])
    changed = connection.execute(_FINISH, values).rowcount
    if not changed and by_key(connection, ended.key) is None:
        begun_at = now if ended.first_attempt_at is None else ended.first_attempt_at
        put(connection, ended._replace(attempts=1, first_attempt_at=begun_at, due_at=due_at or now, since=now))


def remember(connection: _Connection, alert: str, wrote: Mapping[str, int], now: float) -> None:
    """Store the newest updatedAt of each field."""
    connection.executemany(
        "INSERT INTO newest (alert, field, order_ns, at) VALUES (?, ?, ?, ?) ON CONFLICT (alert, field)"
        " DO UPDATE SET order_ns = max(order_ns, excluded.order_ns), at = excluded.at",
        [(storable_text(alert), storable_text(field), order_ns, now) for field, order_ns in wrote.items()],
    )
