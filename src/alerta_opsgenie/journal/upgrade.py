"""What version 1 left in a directory: `spool.db`, and the files `taken/*` and `lanes/*/*` of its executors."""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from typing import Any, Iterator, List, Tuple

from alerta_opsgenie.journal.errors import JournalError, failure, is_busy, is_damage
from alerta_opsgenie.journal.file import open_connection
from alerta_opsgenie.journal.journal import Journal
from alerta_opsgenie.journal.rows import Action, New, action_of

_APPLICATION_ID = 0x414F5350
_COLUMNS = "key, lane, order_ns, body, kind, state, attempts, kept_at, due_at, reason, detail, attempted_at, since"


def take_over_spool(journal: Journal, directory: str) -> int:
    """Move what version 1 left in a directory into the journal. Says how many actions were new there.

    The old files are renamed (`spool.db.taken-over`) or removed only after their actions are committed. Where a
    process of version 1 still holds an action, its file stays for the next time. Raises JournalError.
    """
    try:
        count = _take_database(journal, os.path.join(directory, "spool.db"))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            names = sorted(os.listdir(os.path.join(directory, "taken")))
            count += sum(_take_file(journal, os.path.join(directory, "taken", name)) for name in names)
        _remove_unused(directory)
    except OSError as error:
        raise failure(directory, error) from error
    return count


def _take_database(journal: Journal, path: str) -> int:
    if not os.path.isfile(path) or os.path.islink(path):
        return 0
    kept: List[Action] = []
    delivered: List[Action] = []
    try:
        with contextlib.closing(open_connection(path)) as connection:
            _read(connection, kept, delivered)
    except sqlite3.Error as error:
        if is_busy(error):
            reason = f"another process has {path} of version 1 open"
            raise JournalError(reason, "stop what still runs version 1", "busy") from error
        if not is_damage(error):
            raise failure(os.path.dirname(path), error) from error
    count = journal.take(kept)
    journal.take(delivered)
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + suffix, f"{path}.taken-over{suffix}")
    return count


def _read(connection: sqlite3.Connection, kept: List[Action], delivered: List[Action]) -> None:
    """Read the rows of an old spool, as far as it can be read: what it kept, and what it knew as delivered."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        return
    # By id from both sides would save more of a damaged file; version 1 itself has done that when it found it.
    for row in connection.execute(f"SELECT {_COLUMNS} FROM entries NOT INDEXED ORDER BY id"):  # noqa: S608
        kept += _actions(row)
    for key, at in connection.execute("SELECT key, at FROM delivered"):
        delivered.append(action_of(New(key, "", 0, "", ""), at, "done"))


def _actions(row: Tuple[Any, ...]) -> Iterator[Action]:
    """Make an action of an old row of `_COLUMNS`, if it is one."""
    key, alert, order_ns, body, kind, state, attempts, kept_at, due_at, reason, detail, attempted_at, since = row
    if state in ("waiting", "dead") and isinstance(body, bytes):
        text = body.decode("utf-8", "replace")
        new = New(key, alert, order_ns, kind, text, first_attempt_at=attempted_at)
        found = action_of(new, kept_at, state, reason, detail)
        yield found._replace(attempts=attempts, due_at=due_at, since=since)


def _take_file(journal: Journal, path: str) -> int:
    """Take over what an executor of version 1 had under way, unless that still runs."""
    with contextlib.ExitStack() as closing:
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            closing.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        with open(file, "rb", closefd=False) as reader:
            count = journal.take(_unfinished(reader.read()))
        os.unlink(path)
        return count


def _unfinished(content: bytes) -> List[Action]:
    """Read an action that a process of version 1 had under way; none where it was killed while it wrote it down."""
    try:
        job = json.loads(content)
        key, alert, order_ns, kind, body = (job[name] for name in ("key", "lane", "order_ns", "kind", "body"))
        at = float(job["taken_at"])
    except (ValueError, KeyError, TypeError):
        return []
    fits = all(isinstance(text, str) for text in (key, alert, kind, body)) and isinstance(order_ns, int)
    new = New(key, alert, order_ns, kind, body, first_attempt_at=at)
    return [action_of(new, at)._replace(due_at=time.time())] if fits else []


def _remove_unused(directory: str) -> None:
    """Remove what version 1 remembered, once nothing of it is under way."""
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(directory, "taken"))
    if not os.path.isdir(os.path.join(directory, "taken")) and os.path.isdir(os.path.join(directory, "lanes")):
        import shutil  # noqa: PLC0415 - it loads three libraries for archives, and is needed once

        shutil.rmtree(os.path.join(directory, "lanes"), ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, "waiting"))
