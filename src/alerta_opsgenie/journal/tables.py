"""The tables of a journal, and what several of its transactions do to them.

`alerts` says when the next action of an alert may be claimed. It has no row for an alert of which one is in flight or
none waits. Triggers of the connection keep it, so a statement that changes an action need not think of it.
"""

import json
import sqlite3
from typing import Any, Dict, List, Mapping, Optional, Tuple

from alerta_opsgenie.journal.rows import COLUMNS, Action, plain, to_action, to_row

_Connection = sqlite3.Connection

SELECT = f"SELECT {', '.join(COLUMNS)} FROM actions"  # noqa: S608 - constants
_INSERT = f"INSERT INTO actions ({', '.join(COLUMNS[1:])}) VALUES ({', '.join('?' * len(COLUMNS[1:]))})"  # noqa: S608
_ENDED = ("state", "reason", "detail", "body", "options", "writes", "words", "checksum")
_FINISH = (
    f"UPDATE actions SET {' = ?, '.join(_ENDED)} = ?, attempts = attempts + 1, due_at = coalesce(?, due_at),"  # noqa: S608
    " since = coalesce(?, since) WHERE id = ? AND key = ? AND state IN ('in-flight', 'waiting')"
)

APPLICATION_ID = 0x414F4A4C  # "AOJL", so that another program's file is known for what it is

# One script per version, applied in order; the file's `user_version` tells how many it has had. Never edit one that
# was released.
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
    """Give the one value that a query asks for; None where it finds nothing."""
    row = connection.execute(query, values).fetchone()
    return row and row[0]


def many(connection: _Connection, condition: str, *values: object) -> List[Action]:
    """Give the actions that a condition, with its order, asks for."""
    return [to_action(row) for row in connection.execute(f"{SELECT} WHERE {condition}", values).fetchall()]


def first(connection: _Connection, condition: str, *values: object) -> Optional[Action]:
    """Give the first of them."""
    return next(iter(many(connection, condition + " LIMIT 1", *values)), None)


def by_key(connection: _Connection, key: str) -> Optional[Action]:
    """Give the action with that key."""
    return first(connection, "key = ?", plain(key))


def is_busy(connection: _Connection, alert: str) -> bool:
    """Whether anything on an alert waits or is in flight."""
    waiting = "SELECT 1 FROM actions WHERE alert = ? AND state = 'waiting'"
    in_flight = "SELECT 1 FROM actions WHERE alert = ? AND state = 'in-flight'"
    return any(one(connection, query, plain(alert)) for query in (waiting, in_flight))


def due_alerts(connection: _Connection, now: float, limit: int, longest_pause_seconds: float) -> List[str]:
    """Name alerts whose head may be claimed: the longest due first, and those that a clock set back would park."""
    due = "SELECT alert FROM alerts WHERE ready_at <= ? ORDER BY ready_at LIMIT ?"
    too_far = "SELECT alert FROM alerts WHERE ready_at > ? LIMIT ?"
    found = connection.execute(due, (now, limit)).fetchall()
    if len(found) < limit:
        found += connection.execute(too_far, (now + longest_pause_seconds, limit - len(found))).fetchall()
    return [alert for (alert,) in found]


def newest(connection: _Connection, alert: str) -> Dict[str, int]:
    """Give per field the newest updatedAt that was written, or may have been by an attempt of unknown end."""
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
    """Read what an action writes; what is not what we write ourselves writes nothing."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    fits = isinstance(found, dict) and all(type(order_ns) is int for order_ns in found.values())
    return found if fits else {}


def put(connection: _Connection, action: Action) -> Action:
    """Insert an action whose key is not known."""
    row = to_row(action)
    row_id = connection.execute(_INSERT, row).lastrowid
    return to_action((row_id, *row))._replace(is_new=True)


def put_new(connection: _Connection, action: Action) -> Action:
    """Insert an action; a known key gives its row as it is."""
    return by_key(connection, action.key) or put(connection, action)


def claim_head(connection: _Connection, alert: str, now: float) -> List[Action]:
    """Put the first action of an alert in flight, and return it with the reason of its last attempt.

    The row loses that reason: after a kill nobody knows how the attempt that begins now has ended.
    """
    head = many(connection, "alert = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1", alert)
    connection.executemany(
        "UPDATE actions SET state = 'in-flight', reason = '', first_attempt_at = coalesce(first_attempt_at, ?)"
        " WHERE id = ?",
        [(now, action.id) for action in head],
    )
    if not head:  # as damage may leave it
        connection.execute("DELETE FROM alerts WHERE alert = ?", (alert,))
    return [action._replace(state="in-flight") for action in head]


def claim_next(connection: _Connection, alert: str, now: float) -> Optional[Action]:
    """Take the next action of an alert, if nothing of it is in flight and its head is due."""
    ready_at = one(connection, "SELECT ready_at FROM alerts WHERE alert = ?", plain(alert))
    if ready_at is None or ready_at > now:
        return None
    return next(iter(claim_head(connection, plain(alert), now)), None)


def finish(connection: _Connection, ended: Action, now: float, due_at: Optional[float] = None) -> None:
    """Note how an attempt ended, or why its action waits until `due_at`. One lost with a damaged file is made anew."""
    row = dict(zip(COLUMNS[1:], to_row(ended)))
    since = None if ended.state == "waiting" else now
    values = (*(row[name] for name in _ENDED), due_at, since, ended.id, row["key"])
    changed = connection.execute(_FINISH, values).rowcount
    if not changed and by_key(connection, ended.key) is None:
        begun_at = now if ended.first_attempt_at is None else ended.first_attempt_at
        put(connection, ended._replace(attempts=1, first_attempt_at=begun_at, due_at=due_at or now, since=now))


def remember(connection: _Connection, alert: str, wrote: Mapping[str, int], now: float) -> None:
    """Keep the newest updatedAt of each field."""
    connection.executemany(
        "INSERT INTO newest (alert, field, order_ns, at) VALUES (?, ?, ?, ?) ON CONFLICT (alert, field)"
        " DO UPDATE SET order_ns = max(order_ns, excluded.order_ns), at = excluded.at",
        [(plain(alert), plain(field), order_ns, now) for field, order_ns in wrote.items()],
    )
