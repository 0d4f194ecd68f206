"""One call of the bridge for an alert at a time, over all workers and hosts: a lease, a row in Alerta's database.

A lock of the session would do where each request has its own connection to PostgreSQL. Behind PgBouncer in transaction
mode it outlives the request, on a connection that somebody else is given next; and a lock of the transaction ends at
Alerta's next commit (docs/decisions/0024-lease.md). MongoDB has neither, but each of its updates is atomic.

The row is taken by one conditional statement and given back at the end of the request. Where a process dies with it,
it is free again after `SECONDS`.
"""

import contextlib
import datetime as dt
import os
import secrets
import time
from typing import Any, NamedTuple, Optional

from alerta.app import db
from alerta.exceptions import ApiError
from flask import g, request_tearing_down

from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.database import LEASES, MAKING_LOCK

SECONDS = 30.0
WAIT_SECONDS = 5.0

_LOOK_SECONDS = 0.02
# Nothing of it has to outlive a crash of the database, so the commit need not wait for the disk.
_TAKE = """SET LOCAL synchronous_commit TO off;
INSERT INTO alerta_opsgenie_leases VALUES (%s, %s, now() + %s * interval '1 second')
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE alerta_opsgenie_leases.until < now() RETURNING holder"""
_GIVE = "SET LOCAL synchronous_commit TO off; DELETE FROM alerta_opsgenie_leases WHERE name = %s AND holder = %s"


class _Held(NamedTuple):
    name: str
    holder: str


def install() -> None:
    """Give the lease of each request back at its end; more calls change nothing."""
    request_tearing_down.connect(_give_back)


def take(alert_id: str) -> None:
    """Take the lease of an alert for the present request. Raises ApiError (503) where another call keeps it long."""
    name = f"call:{alert_id.lower()}"
    held: Optional[_Held] = g.get("opsgenie_lease")
    if held is not None and held.name == name:
        return
    wanted = _Held(name, f"{os.getpid()}:{secrets.token_hex(8)}")
    why = "it has not ended in time"
    try:
        if _wait(wanted):
            return
    except Exception as error:  # noqa: BLE001 - the drivers' own kinds of error are none of our imports
        _roll_back()
        why = " ".join(str(error).split())
    LOG.warning("opsgenie: another call for alert %s takes too long: %s", alert_id, why)
    raise ApiError(f"another call for alert {alert_id} takes too long", 503)


def _give_back(_app: Any, **_: object) -> None:
    held: Optional[_Held] = g.pop("opsgenie_lease", None)
    if held is None:
        return
    try:
        _give(held)
    except Exception as error:  # noqa: BLE001 - as above; the lease ends by itself
        _roll_back()
        LOG.warning("opsgenie: %s is not given back before its time: %s", held.name, " ".join(str(error).split()))


def _wait(wanted: _Held) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while not _try(wanted):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _try(wanted: _Held) -> bool:
    took = _try_postgres(wanted) if is_postgres() else _try_mongodb(wanted)
    if took:
        g.opsgenie_lease = wanted
    return took


def is_postgres() -> bool:
    """Whether Alerta keeps its alerts in PostgreSQL."""
    return type(db.get_db()).__module__.startswith("psycopg2")


def _try_postgres(wanted: _Held) -> bool:
    cursor = db.get_db().cursor()
    try:
        cursor.execute(_TAKE, (*wanted, SECONDS))
    except Exception as error:
        db.get_db().rollback()
        if getattr(error, "pgcode", "") != "42P01":  # undefined_table (PostgreSQL, appendix A)
            raise
        _make_table()
        return _try_postgres(wanted)
    took = cursor.fetchone() is not None
    db.get_db().commit()
    return took


def _make_table() -> None:
    """Make the table. Alerta makes its own at each start (9.1.0, sql/schema.sql), so it has the right to."""
    cursor = db.get_db().cursor()
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING_LOCK,))
    cursor.execute(LEASES)
    db.get_db().commit()


def _try_mongodb(wanted: _Held) -> bool:
    now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
    until = now + dt.timedelta(seconds=SECONDS)
    leases = db.get_db().alerta_opsgenie_leases
    if leases.update_one({"_id": wanted.name, "until": {"$lt": now}},
                         {"$set": {"holder": wanted.holder, "until": until}}).modified_count:  # fmt: skip
        return True
    try:
        leases.insert_one({"_id": wanted.name, "holder": wanted.holder, "until": until})
    except Exception as error:
        if getattr(error, "code", 0) == _DUPLICATE_KEY:
            return False
        raise
    return True


_DUPLICATE_KEY = 11000  # MongoDB, error codes


def _give(held: _Held) -> None:
    if is_postgres():
        db.get_db().cursor().execute(_GIVE, held)
        db.get_db().commit()
    else:
        db.get_db().alerta_opsgenie_leases.delete_one({"_id": held.name, "holder": held.holder})


def _roll_back() -> None:
    with contextlib.suppress(Exception):
        db.get_db().rollback()
