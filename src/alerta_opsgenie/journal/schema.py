"""The tables of a journal, version by version."""

import sqlite3
from typing import Tuple

from alerta_opsgenie.journal.rows import number

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
