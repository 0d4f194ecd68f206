"""What version 1 has left in a directory, taken over: its spool, and the actions that were under way."""

import contextlib
import glob
import json
import os
import time
from typing import Any, Dict, Iterator, List

from alerta_opsgenie.journal.journal import Journal
from alerta_opsgenie.journal.rows import New
from alerta_opsgenie.journal.sqlite import sqlite3

_QUERY = "SELECT key, lane, order_ns, kind, body, state, attempted_at, reason, detail FROM entries ORDER BY id"


def take_over_spool(journal: Journal, directory: str) -> int:
    """Append what version 1 kept in `spool.db` and `taken/`, then remove its files; gives how many actions.

    What it remembers of done actions (`lanes/`) is not read: it is older than any message that can still come.
    """
    if not os.path.isdir(directory):
        return 0
    spool = os.path.join(directory, "spool.db")
    under_way = [path for path in glob.glob(os.path.join(glob.escape(directory), "taken", "*")) if os.path.isfile(path)]
    if not os.path.exists(spool) and not under_way:
        return 0
    entries = _entries(spool) if os.path.exists(spool) else []
    journal.append([_new(entry) for entry in entries if entry["state"] == "waiting"], time.time())
    for entry in entries:
        if entry["state"] == "dead":
            journal.bury(_new(entry), time.time(), entry["reason"], entry["detail"])
    taken = list(_taken(under_way))
    journal.append(taken, time.time())
    _remove([spool, spool + "-wal", spool + "-shm", *under_way])
    return len(entries) + len(taken)


def _entries(path: str) -> List[Dict[str, Any]]:
    """Read the old spool. One that cannot be read is left where it is, for a person, and gives nothing."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(_QUERY)]
    except sqlite3.Error:
        os.replace(path, f"{path}.unreadable")
        return []


def _new(entry: Dict[str, Any]) -> New:
    body = entry["body"]
    return New(
        key=f"v1:{entry['key']}",
        alert=entry["lane"],
        order_ns=entry["order_ns"],
        kind=entry["kind"],
        body=body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body),
        first_attempt_at=entry["attempted_at"],
    )


def _taken(paths: List[str]) -> Iterator[New]:
    for path in paths:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="ascii") as file:
            job = json.load(file)
            yield _new({**job, "attempted_at": float(job["taken_at"])})


def _remove(paths: List[str]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
