"""A lease per alert, so that all workers and hosts handle one call of the bridge for it at a time.

The lease is a row in Alerta's database. It is taken by one conditional statement, which is atomic in MongoDB too, and
given back at the end of the request. If the process dies, it ends after `SECONDS`. A lock of the database session or
of a transaction does not work here (docs/decisions/0024-lease.md).
"""

import datetime as dt
import os
import secrets
import time
from typing import Any, NamedTuple, Optional

from alerta.app import db
from alerta.exceptions import ApiError
from flask import g, request_tearing_down

from alerta_opsgenie.plugin import LOG, state

SECONDS = 30.0
WAIT_SECONDS = 5.0

_LOOK_SECONDS = 0.02
_DUPLICATE_KEY = 11000  # MongoDB, error codes


class _Held(NamedTuple):
    name: str
    holder: str


def install() -> None:
    """End the lease at the end of each request. A second call changes nothing."""
    request_tearing_down.connect(_give_back)


def take(alert_id: str) -> None:
    """Take the lease of an alert for the current request. Raises ApiError (503) if another call holds it too long."""
    name = f"call:{alert_id.lower()}"
    held: Optional[_Held] = g.get("opsgenie_lease")
    if held is not None and held.name == name:
        return
    reason = "another call for it has not ended in time"
    try:
        if _wait(_Held(name, f"{os.getpid()}:{secrets.token_hex(8)}")):
            return
    except Exception as error:  # noqa: BLE001 - the database drivers' own errors, which are not imported here
        reason = " ".join(str(error).split())
    LOG.warning("opsgenie: a call for alert %s has to be repeated: %s", alert_id, reason)
    raise ApiError(f"repeat the call for alert {alert_id}: another one takes too long", 503)


def _wait(wanted: _Held) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    memory = state.process().memory
    while not (memory.lease(*wanted, SECONDS) if memory else _take_in_mongodb(wanted)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    g.opsgenie_lease = wanted
    return True


def _take_in_mongodb(wanted: _Held) -> bool:
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


def _give_back(_app: Any, **_: object) -> None:
    held: Optional[_Held] = g.pop("opsgenie_lease", None)
    if held is None:
        return
    try:
        memory = state.process().memory
        if memory:
            memory.give_back(*held)
        else:
            db.get_db().alerta_opsgenie_leases.delete_one({"_id": held.name, "holder": held.holder})
    except Exception as error:  # noqa: BLE001 - as above; the lease ends by itself
        LOG.warning("opsgenie: the lease %s is not ended, and expires: %s", held.name, " ".join(str(error).split()))
