"""The spool itself: entries come in by `keep` and leave by `deliver`, `bury` and `drop`."""

import dataclasses
import sqlite3
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from alerta_opsgenie.journal.entry import Counts, Entry, State
from alerta_opsgenie.journal.handle import Handle
from alerta_opsgenie.journal.place import PathLike, Place
from alerta_opsgenie.journal.tables import COLUMNS, BadRow, checksum, is_sound, number, settle

_Connection = sqlite3.Connection

_PAGE_ROWS = 200
_MOST_INTEGER = 2**63 - 1  # SQLite's largest: https://www.sqlite.org/datatype3.html

_SELECT = f"SELECT {COLUMNS} FROM entries"  # noqa: S608 - a constant
_BODY = COLUMNS.split(", ").index("body")
# An entry that was claimed is still the claimer's while nobody else has claimed it since.
_MINE = "id = ? AND key = ? AND claims = ? AND leased_until IS NOT NULL"


class Spool:
    """The entries in one directory, shared with every other process and thread that opens it.

    `directory` is made (0700) if need be, unless `create` is false; it must be this user's alone and on a local disk.
    `busy_seconds` is how long a call waits for other processes. Every call raises SpoolUnavailable when the disk, the
    directory or other processes keep it from its work; nothing is half done then. Instants (`now`, `due_at`) are
    seconds since the epoch, always the caller's: the spool has no clock.

    A damaged file is set aside under another name, and what can still be read of it goes into a new one; the process
    that does this finds the damaged file's path in `set_aside` and the number of entries carried over in `salvaged`,
    and should say so loudly.

    Threads may share an object. So may a process and those it forks: the file is closed at the fork, and each
    opens it again at its next call. A fork that skips Python's hooks (uWSGI without `lazy-apps` or
    `py-call-uwsgi-fork-hooks`) leaves the child with a file whose locks are its parent's; there every call raises
    SpoolUnavailable (`forked`), so open the spool after such a fork.

    On a full disk nothing can be claimed either, since a claim is written before it is given: what waits stays, and
    goes on when there is space.
    """

    def __init__(self, directory: PathLike, *, busy_seconds: float = 5.0, create: bool = True) -> None:
        place = Place(directory)
        place.prepare(create=create)
        if not create:
            place.require_file()
        self._handle = Handle(place, busy_seconds)
        self._handle.read(lambda _: None)

    @property
    def directory(self) -> str:
        """The absolute path of the directory."""
        return self._handle.place.directory

    @property
    def set_aside(self) -> Optional[str]:
        """The path of the last damaged file that this object has set aside; None: there was none."""
        return self._handle.aside and self._handle.aside[0]

    @property
    def salvaged(self) -> int:
        """How many entries of that file were carried over into the new one."""
        return self._handle.aside[1] if self._handle.aside else 0

    # --- coming in ---------------------------------------------------------------------------------------------------

    def keep(  # noqa: PLR0913 - an entry's fields
        self, key: str, lane: str, order_ns: int, body: str, *, now: float, kind: str = "", reason: str = "",
        detail: str = "", attempts: int = 0, attempted_at: Optional[float] = None, due_at: Optional[float] = None,
    ) -> bool:
        """Put an entry on the disk, at its place in its lane, due at `due_at` (default: `now`).

        False, and nothing changes, when that key waits, is dead, or was delivered already. `attempts` and
        `attempted_at` tell of deliveries that were tried before it came here.
        """
        key, lane, order_ns = _plain(key), _plain(lane), max(-_MOST_INTEGER, min(order_ns, _MOST_INTEGER))
        fixed = key, lane, order_ns, body.encode("utf-8", "surrogatepass"), _plain(kind)
        values = (
            *fixed, attempts, now, now if due_at is None else due_at, _plain(reason), _plain(detail), attempted_at,
            now, checksum(*fixed),
        )

        def work(connection: _Connection) -> bool:
            known = "SELECT 1 FROM entries WHERE key = ? UNION ALL SELECT 1 FROM delivered WHERE key = ?"
            if connection.execute(known, (key, key)).fetchone():
                return False
            connection.execute(
                "INSERT INTO entries (key, lane, order_ns, body, kind, state, attempts, kept_at, due_at, reason,"
                " detail, attempted_at, since, checksum) VALUES (?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            settle(connection, lane)
            return True

        return self._handle.write(work)

    def is_delivered(self, key: str) -> bool:
        """Whether `deliver` or `remember` had that key, and `prune` not yet."""
        return self._handle.read(
            lambda connection: bool(
                connection.execute("SELECT 1 FROM delivered WHERE key = ?", (_plain(key),)).fetchone()
            )
        )

    def remember(self, key: str, now: float) -> None:
        """Note that what has this key was delivered, without its ever having been kept."""
        self._handle.write(lambda connection: _remember(connection, _plain(key), now))

    def prune(self, now: float, older_than_seconds: float) -> int:
        """Forget delivered keys of that age and older; returns how many."""
        return self._handle.write(
            lambda connection: connection.execute(
                "DELETE FROM delivered WHERE at <= ?", (now - older_than_seconds,)
            ).rowcount
        )

    # --- going out ---------------------------------------------------------------------------------------------------

    def claim(self, now: float, lease_seconds: float, owner: str, lane: Optional[str] = None) -> Optional[Entry]:
        """Take the head of a lane for `lease_seconds`: of the one due the longest, or of `lane`; None: nothing is due.

        A lane has one lease at a time, and its head alone is ever given, so its entries are delivered in order. A
        lease that runs out is free for others again. `owner` is shown in lists.
        """

        def due(connection: _Connection) -> Optional[str]:
            where, values = ("", ()) if lane is None else ("AND lane = ?", (_plain(lane),))
            row = connection.execute(
                f"SELECT lane FROM lanes WHERE ready_at <= ? {where} ORDER BY ready_at LIMIT 1",  # noqa: S608
                (now, *values),
            ).fetchone()
            return row and str(row[0])

        def work(connection: _Connection) -> Optional[Entry]:
            found = due(connection)
            return None if found is None else _lease(connection, found, now, now + lease_seconds, _plain(owner))

        # Looked at before the write lock is asked for: most looks of an idle drainer find nothing.
        return None if self._handle.read(due) is None else self._handle.write(work)

    def deliver(self, entry: Entry, now: float) -> bool:
        """Remove an entry that was delivered and remember its key. False, and nothing changes: the lease was lost."""

        def work(connection: _Connection) -> bool:
            mine = connection.execute(f"DELETE FROM entries WHERE {_MINE}", _proof(entry)).rowcount == 1  # noqa: S608
            if mine:
                _remember(connection, entry.key, now)
                settle(connection, entry.lane)
            return mine

        return self._handle.write(work)

    def postpone(self, entry: Entry, due_at: float, reason: str, detail: str = "") -> bool:
        """Note one failed delivery and let the lane wait until `due_at`. False: the lease was lost."""
        return self._change(
            entry, "attempts = attempts + 1, due_at = ?, reason = ?, detail = ?", due_at, _plain(reason), _plain(detail)
        )

    def bury(self, entry: Entry, reason: str, detail: str, now: float) -> bool:
        """Make it a dead letter, one failed delivery more; the lane goes on without it. False: the lease was lost."""
        return self._change(
            entry, "attempts = attempts + 1, state = 'dead', since = ?, reason = ?, detail = ?",
            now, _plain(reason), _plain(detail),
        )

    def release(self, entry: Entry) -> bool:
        """Give it back as it was. False: the lease was lost."""
        return self._change(entry, "due_at = due_at")

    def renew(self, entry: Entry, now: float, lease_seconds: float) -> bool:
        """Let the lease run from `now` on for `lease_seconds`. False: it was lost."""

        def work(connection: _Connection) -> bool:
            mine = connection.execute(
                f"UPDATE entries SET leased_until = ? WHERE {_MINE}", (now + lease_seconds, *_proof(entry))  # noqa: S608
            ).rowcount == 1
            if mine:
                settle(connection, entry.lane)
            return mine

        return self._handle.write(work)

    def _change(self, entry: Entry, assignments: str, *values: object) -> bool:
        def work(connection: _Connection) -> bool:
            mine = connection.execute(
                f"UPDATE entries SET leased_until = NULL, {assignments} WHERE {_MINE}",  # noqa: S608
                (*values, *_proof(entry)),
            ).rowcount == 1
            if mine:
                settle(connection, entry.lane)
            return mine

        return self._handle.write(work)

    def expire(self, now: float, older_than_seconds: float) -> List[Entry]:
        """Make dead letters (`expired`) of what has waited that long, except what is leased now; returns them.

        An entry that `retry` brought back waits from then on.
        """
        limit = now - older_than_seconds

        def work(connection: _Connection) -> List[Entry]:
            old = connection.execute(
                f"{_SELECT} WHERE state = 'waiting' AND kept_at <= ? AND since <= ?"
                " AND (leased_until IS NULL OR leased_until <= ?) ORDER BY id",
                (limit, limit, now),
            ).fetchall()
            return [_expire(connection, _entry(row), now) for row in old]

        return self._handle.write(work)

    # --- looking and mending -----------------------------------------------------------------------------------------

    def waits(self, lane: str) -> int:
        """How many entries wait in that lane."""
        return self._handle.read(
            lambda connection: int(
                connection.execute(
                    "SELECT count(*) FROM entries WHERE lane = ? AND state = 'waiting'", (_plain(lane),)
                ).fetchone()[0]
            )
        )

    def lanes(self) -> Dict[str, int]:
        """The lanes in which something waits, and how much."""
        return self._handle.read(
            lambda connection: dict(
                connection.execute("SELECT lane, count(*) FROM entries WHERE state = 'waiting' GROUP BY lane")
            )
        )

    def next_due(self) -> Optional[float]:
        """The earliest instant at which `claim` could give something, leases that run out included; None: never."""

        def work(connection: _Connection) -> Optional[float]:
            (found,) = connection.execute("SELECT min(ready_at) FROM lanes").fetchone()
            return None if found is None else number(found)

        return self._handle.read(work)

    def counts(self, now: float) -> Counts:
        """How much lies here, and for how long."""

        def work(connection: _Connection) -> Counts:
            rows = connection.execute(
                "SELECT state, count(*), min(kept_at), (SELECT count(*) FROM lanes) FROM entries GROUP BY state"
            ).fetchall()
            found = {row[0]: (row[1], max(0.0, now - number(row[2]))) for row in rows}
            waiting, dead = found.get("waiting", (0, 0.0)), found.get("dead", (0, 0.0))
            return Counts(waiting[0], dead[0], rows[0][3] if rows else 0, waiting[1], dead[1])

        return self._handle.read(work)

    def get(self, entry_id: int) -> Optional[Entry]:
        """The entry with that id, if it is here."""
        return next(iter(self._page(f"{_SELECT} WHERE id = ?", entry_id)), None)

    def entries(
        self, state: Optional[State] = None, lane: Optional[str] = None, limit: Optional[int] = None
    ) -> Iterator[Entry]:
        """The entries by id, of that state and lane, at most `limit`.

        They are read some hundred at a time: what changes meanwhile may be seen or not, and nobody is held up.
        """
        wanted = {"state": state, "lane": None if lane is None else _plain(lane)}
        filters = {name: value for name, value in wanted.items() if value is not None}
        query = f"{_SELECT} WHERE id > ?{''.join(f' AND {name} = ?' for name in filters)} ORDER BY id LIMIT ?"
        last, left = 0, _MOST_INTEGER if limit is None else limit
        while left > 0:
            page = self._page(query, last, *filters.values(), min(left, _PAGE_ROWS))
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            last, left = page[-1].id, left - len(page)

    def _page(self, query: str, *values: object) -> List[Entry]:
        return self._handle.read(lambda connection: [_entry(row) for row in connection.execute(query, values)])

    def retry(self, ids: Iterable[int], now: float) -> int:
        """Let dead letters wait again, due at once, at their old place in their lanes; returns how many of them did."""
        return self._each(
            ids, "UPDATE entries SET state = 'waiting', due_at = ?, since = ? WHERE id = ? AND state = 'dead'", now, now
        )

    def drop(self, ids: Iterable[int]) -> int:
        """Remove entries for good, waiting or dead, and forget their keys; returns how many there were."""
        return self._each(ids, "DELETE FROM entries WHERE id = ?")

    def _each(self, ids: Iterable[int], statement: str, *values: object) -> int:
        chosen = list(ids)

        def work(connection: _Connection) -> int:
            done, lanes = 0, set()
            for entry_id in chosen:
                row = connection.execute("SELECT lane FROM entries WHERE id = ?", (entry_id,)).fetchone()
                if row is not None:
                    done += connection.execute(statement, (*values, entry_id)).rowcount
                    lanes.add(row[0])
            for lane in lanes:
                settle(connection, lane)
            return done

        return self._handle.write(work)

    # --- the file ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file. A second call does nothing; any other call after it is an error of the caller's."""
        self._handle.close()

    def __enter__(self) -> "Spool":  # noqa: PYI034 - typing.Self is not in 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _plain(text: str) -> str:
    """The text as SQLite can hold it: half a surrogate pair, which JSON may contain, becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _entry(row: Tuple[Any, ...]) -> Entry:
    if not is_sound(row):
        raise BadRow
    values = list(row[:-1])
    values[_BODY] = values[_BODY].decode("utf-8", "surrogatepass")
    return Entry(*values)


def _proof(entry: Entry) -> Tuple[int, str, int]:
    return entry.id, entry.key, entry.claims


def _remember(connection: _Connection, key: str, now: float) -> None:
    connection.execute("INSERT OR REPLACE INTO delivered (key, at) VALUES (?, ?)", (key, now))


def _lease(connection: _Connection, lane: str, now: float, until: float, owner: str) -> Optional[Entry]:
    # Whoever had the lane before has let the lease run out, perhaps on another entry than the present head.
    connection.execute("UPDATE entries SET leased_until = NULL WHERE lane = ? AND leased_until IS NOT NULL", (lane,))
    row = connection.execute(
        f"{_SELECT} WHERE lane = ? AND state = 'waiting' ORDER BY order_ns, id LIMIT 1", (lane,)
    ).fetchone()
    if row is None:
        settle(connection, lane)
        return None
    entry = _entry(row)
    connection.execute(
        "UPDATE entries SET claims = claims + 1, owner = ?, leased_until = ?, attempted_at = coalesce(attempted_at, ?)"
        " WHERE id = ?",
        (owner, until, now, entry.id),
    )
    settle(connection, lane)
    return dataclasses.replace(entry, claims=entry.claims + 1, owner=owner, leased_until=until)


def _expire(connection: _Connection, entry: Entry, now: float) -> Entry:
    detail = ": ".join(part for part in (entry.reason, entry.detail) if part)
    dead = dataclasses.replace(entry, state="dead", since=now, reason="expired", detail=detail, leased_until=None)
    connection.execute(
        "UPDATE entries SET state = 'dead', since = ?, reason = 'expired', detail = ?, leased_until = NULL"
        " WHERE id = ?",
        (now, detail, entry.id),
    )
    settle(connection, entry.lane)
    return dead
