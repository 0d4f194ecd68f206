"""Loaded by Python itself in an Alerta without a MongoDB: mongomock in its place, in this one process.

Added to mongomock is what it lacks and Alerta 9.1.0 needs: `$add` of a date and milliseconds, and the command
`ismaster`. The administrator's key comes from the environment, because no other process can write one.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import mongomock
import mongomock.aggregate
import mongomock.database
import pymongo

_CLIENT: Any = mongomock.MongoClient()
_parser: Any = mongomock.aggregate._Parser
_arithmetic = _parser._handle_arithmetic_operator
_command = mongomock.database.Database.command


def _add_to_dates(self: Any, operator: str, values: Any) -> Any:
    if operator == "$add":
        parts = [self.parse(value) for value in values]
        dates = [part for part in parts if isinstance(part, dt.datetime)]
        if dates:
            rest = sum(part for part in parts if not isinstance(part, dt.datetime))
            return dates[0] + dt.timedelta(milliseconds=rest)
    return _arithmetic(self, operator, values)


def _is_master(self: Any, command: Any, **more: Any) -> Any:
    return {"ok": 1.0} if command == "ismaster" else _command(self, command, **more)


_parser._handle_arithmetic_operator = _add_to_dates
mongomock.database.Database.command = _is_master
setattr(pymongo, "MongoClient", lambda *_args, **_more: _CLIENT)  # noqa: B010 - its type is another

if os.environ.get("ALERTA_TEST_ADMIN_KEY"):
    _CLIENT[os.environ["ALERTA_TEST_DATABASE"]].keys.insert_one(
        {
            "_id": "0" * 32,
            "key": os.environ["ALERTA_TEST_ADMIN_KEY"],
            "user": os.environ["ALERTA_TEST_ADMIN"],
            "scopes": ["admin", "write", "read"],
            "text": "",
            "expireTime": dt.datetime.now(dt.timezone.utc).replace(tzinfo=None) + dt.timedelta(days=1),
            "count": 0,
            "lastUsedTime": None,
        }
    )
