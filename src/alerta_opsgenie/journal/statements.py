"""The tables of a journal, and what is done to them within a transaction."""

import json
import sqlite3
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from alerta_opsgenie.journal.rows import COLUMNS, Action, New, checksum, fixed_columns, number, plain, to_action

_Connection = sqlite3.Connection

SELECT = f"SELECT {COLUMNS} FROM actions"  # noqa: S608 - a constant
INSERT = (
    "INSERT INTO actions (key, alert, order_ns, kind, body, options, writes, words, first_attempt_at, state, attempts,"
    " accepted_at, due_at, since, reason, detail, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

APPLICATION_ID = 0x414F4A4C  # "AOJL", so that another program's file is known for what it is

# One script per version, applied in order; the file's `user_version` tells how many it has had. Never edit one that
# was released. `alerts` says when the next action of an alert may be claimed; it has no row for an alert of which one
# is in flight or none waits. It can be made anew from `actions` at any time (`settle`).
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


class End(NamedTuple):
    """How an action ended or why it waits. `state` is `done`, `dead` or `waiting`."""

    state: str
    at: float
    reason: str
    detail: str


def one(connection: _Connection, query: str, *values: object) -> Any:
    """Give the one value that a query asks for."""
    return connection.execute(query, values).fetchone()[0]


def first(connection: _Connection, condition: str, *values: object) -> Optional[Action]:
    """Give the first action that a condition (with its order) asks for."""
    row = connection.execute(f"{SELECT} WHERE {condition}", values).fetchone()
    return None if row is None else to_action(row)


def many(connection: _Connection, query: str, values: Tuple[object, ...]) -> List[Action]:
    """Give the actions that a query for rows asks for."""
    return [to_action(row) for row in connection.execute(query, values).fetchall()]


def by_key(connection: _Connection, key: str) -> Optional[Action]:
    """Give the action with that key."""
    return first(connection, "key = ?", plain(key))


def is_busy(connection: _Connection, alert: str) -> bool:
    """Whether anything on an alert waits or is in flight."""
    waiting = "SELECT 1 FROM actions WHERE alert = ? AND state = 'waiting'"
    in_flight = "SELECT 1 FROM actions WHERE alert = ? AND state = 'in-flight'"
    return any(connection.execute(query, (plain(alert),)).fetchone() for query in (waiting, in_flight))


def settle(connection: sqlite3.Connection, alert: str) -> None:
    """Bring the row in `alerts` up to date after anything about the alert's actions has changed."""
    head = connection.execute(
        "SELECT due_at FROM actions WHERE alert = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1", (alert,)
    ).fetchone()
    held = connection.execute("SELECT 1 FROM actions WHERE alert = ? AND state = 'in-flight'", (alert,)).fetchone()
    if head is None or held:
        connection.execute("DELETE FROM alerts WHERE alert = ?", (alert,))
    else:
        connection.execute("INSERT OR REPLACE INTO alerts (alert, ready_at) VALUES (?, ?)", (alert, number(head[0])))


def append(connection: _Connection, new: New, now: float, *, claim: bool) -> Action:
    """Insert an action, in flight at once if it is the only one of its alert and `claim` allows it."""
    known = by_key(connection, new.key)
    if known is not None:
        return known
    if not claim or is_busy(connection, new.alert):
        return insert(connection, new, End("waiting", now, "", ""))
    begun = new._replace(first_attempt_at=now if new.first_attempt_at is None else new.first_attempt_at)
    return insert(connection, begun, End("in-flight", now, "", ""))._replace(first_attempt_at=new.first_attempt_at)


def insert(
    connection: _Connection, new: New, end: End, due_at: Optional[float] = None, *, attempts: int = 0
) -> Action:
    """Insert a row whose key is not known."""
    due_at = end.at if due_at is None else due_at
    return put(connection, (*new, end.state, attempts, end.at, due_at, end.at, end.reason, end.detail))


def put(connection: _Connection, row: Tuple[Any, ...]) -> Action:
    """Insert a row of all columns but the id, whose key is not known."""
    new = New._make(row[: len(New._fields)])
    fixed = fixed_columns(new)
    *rest, reason, detail = row[len(fixed) :]
    columns = (*fixed, *rest, plain(reason), plain(detail))
    row_id = connection.execute(INSERT, (*columns, checksum(fixed))).lastrowid
    if columns[len(New._fields)] == "waiting":
        settle(connection, fixed[1])
    body = fixed[4].decode("utf-8", "surrogatepass")
    return Action._make((row_id, *columns[:4], body, *columns[5:], True))


def begin(connection: _Connection, action: Action, now: float) -> Action:
    """Put an action in flight; what is given tells of earlier attempts."""
    connection.execute(
        "UPDATE actions SET state = 'in-flight', first_attempt_at = coalesce(first_attempt_at, ?) WHERE id = ?",
        (now, action.id),
    )
    settle(connection, action.alert)
    return action._replace(state="in-flight")


def claim_head(connection: _Connection, alert: str, now: float) -> List[Action]:
    """Put the first action of an alert in flight."""
    head = first(connection, "alert = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1", alert)
    if head is None:
        settle(connection, alert)
        return []
    return [begin(connection, head, now)]


def claim_next(connection: _Connection, alert: str, now: float) -> Optional[Action]:
    """Take the next action of an alert, if nothing of it is in flight and its head is due."""
    ready = connection.execute("SELECT ready_at FROM alerts WHERE alert = ?", (plain(alert),)).fetchone()
    found = claim_head(connection, plain(alert), now) if ready and ready[0] <= now else []
    return found[0] if found else None


def due_alerts(connection: _Connection, now: float, limit: int, longest_pause_seconds: float) -> List[str]:
    """Name alerts whose head may be claimed: the longest due first, and those that a clock set back would park."""
    due = "SELECT alert FROM alerts WHERE ready_at <= ? ORDER BY ready_at LIMIT ?"
    too_far = "SELECT alert FROM alerts WHERE ready_at > ? LIMIT ?"
    found = connection.execute(due, (now, limit)).fetchall()
    if len(found) < limit:
        found += connection.execute(too_far, (now + longest_pause_seconds, limit - len(found))).fetchall()
    return [alert for (alert,) in found]


def finish(
    connection: _Connection, action: Action, end: End, left: Optional[New] = None, due_at: Optional[float] = None
) -> None:
    """Note how an attempt ended; `left` is what is kept of the action. One lost with a damaged file is made anew."""
    new = left or new_of(action)
    fixed = fixed_columns(new)
    instants = (due_at, None if end.state == "waiting" else end.at)
    changed = connection.execute(
        "UPDATE actions SET state = ?, due_at = coalesce(?, due_at), since = coalesce(?, since), reason = ?,"
        " detail = ?, body = ?, options = ?, writes = ?, words = ?, checksum = ?, attempts = attempts + 1"
        " WHERE id = ? AND key = ? AND state IN ('in-flight', 'waiting')",
        (end.state, *instants, plain(end.reason), plain(end.detail), *fixed[4:], checksum(fixed), action.id, fixed[0]),
    ).rowcount
    if not changed and by_key(connection, action.key) is None:
        tried_at = action.first_attempt_at or (end.at if end.state == "waiting" else None)
        insert(connection, new._replace(first_attempt_at=tried_at), end, due_at, attempts=1)
    settle(connection, fixed[1])


def remember(connection: _Connection, alert: str, wrote: Mapping[str, int], now: float) -> None:
    """Keep the newest updatedAt of each field."""
    for field, order_ns in wrote.items():
        connection.execute(
            "INSERT INTO newest (alert, field, order_ns, at) VALUES (?, ?, ?, ?) ON CONFLICT (alert, field)"
            " DO UPDATE SET order_ns = max(order_ns, excluded.order_ns), at = excluded.at",
            (plain(alert), plain(field), order_ns, now),
        )


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


def expire(connection: _Connection, action: Action, now: float) -> Action:
    """Make a dead letter of an action that has waited too long."""
    detail = f"{action.reason}: {action.detail}" if action.reason else ""
    expired = action._replace(state="dead", since=now, reason="expired", detail=detail)
    connection.execute(
        "UPDATE actions SET state = 'dead', since = ?, reason = 'expired', detail = ? WHERE id = ?",
        (now, detail, action.id),
    )
    settle(connection, action.alert)
    return expired


def change_each(connection: _Connection, ids: List[int], statement: str, values: Tuple[object, ...]) -> int:
    """Run a statement for each id and say how many rows it changed."""
    count = 0
    for one_id in dict.fromkeys(ids):
        found = connection.execute("SELECT alert FROM actions WHERE id = ?", (one_id,)).fetchone()
        if found and connection.execute(statement, (*values, one_id)).rowcount:
            settle(connection, found[0])
            count += 1
    return count


def hold(connection: _Connection, wanted: Optional[Set[int]]) -> List[Action]:
    """Give what waits or is dead, to be moved; what waits is in flight then, so that nobody claims it meanwhile."""
    found = many(connection, f"{SELECT} WHERE state IN ('waiting', 'dead') ORDER BY id", ())
    held = [action for action in found if wanted is None or action.id in wanted]
    waiting = [action.id for action in held if action.state == "waiting"]
    change_each(connection, waiting, "UPDATE actions SET state = 'in-flight' WHERE id = ?", ())
    return held


def restore(connection: _Connection, action: Action) -> bool:
    """Insert an action of another journal; False: its key is known. What was in flight there waits here."""
    if by_key(connection, action.key) is not None:
        return False
    state = "waiting" if action.state == "in-flight" else action.state
    put(connection, action._replace(state=state)[1:-1])
    return True


def new_of(action: Action) -> New:
    """Give the part of a row that was appended."""
    return New._make(action[1 : 1 + len(New._fields)])
