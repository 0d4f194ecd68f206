"""The file of a spool: how it is made, opened, migrated, and replaced when it is damaged.

The names `spool.db`, `-wal` and `-shm` belong together, and SQLite opens and removes the latter two by name. So files
are opened and closed under the directory's shared guard and replaced under its exclusive one (`Place.guarded`). A
process that still has a replaced file open sees it by the inode (`Link.moved`), after each commit too, and then does
its work again in the new file: nothing that was acknowledged lies in a file that nobody reads.
"""

import contextlib
import os
import re
import sqlite3
from typing import List, Optional, Tuple

from alerta_opsgenie.journal.link import Damaged, Link, is_damage, open_connection
from alerta_opsgenie.journal.place import PRIVATE, Place, SpoolUnavailable, open_private

ALMOST_NOTHING = 1  # a file of one byte is an empty one to SQLite

Aside = Optional[Tuple[str, int]]
"""A damaged file's new path, and the number of entries that were carried over."""


def connect(place: Place, busy_seconds: float) -> Tuple[Link, Aside]:
    """Open the spool's file, made if need be; and what was finished of a replacement that somebody had begun.

    Raises Damaged, SpoolUnavailable and sqlite3.Error.
    """
    done: Aside = None
    for _ in range(3):
        with place.guarded(busy_seconds, exclusive=False):
            if os.path.exists(place.database) and not _emptied(place):
                return _open(place, busy_seconds), done
        with place.guarded(busy_seconds, exclusive=True):
            done = _make(place, busy_seconds) or done
    raise place.failure(OSError(f"{place.database} vanishes as soon as it is made"))


def _open(place: Place, busy_seconds: float) -> Link:
    _make_private(place)
    link = Link(place, busy_seconds)
    try:
        link.prepare()
    except sqlite3.Error as error:
        if is_damage(error):
            raise Damaged(link) from error
        link.connection.close()
        raise
    except SpoolUnavailable:
        _close_untouched(link)
        raise
    return link


def _close_untouched(link: Link) -> None:
    """Close without moving the log into the file: while a reader has it open, SQLite does not."""
    reader = open_connection(link.place.database, link.busy_seconds, "ro")
    with contextlib.suppress(sqlite3.Error):
        reader.execute("PRAGMA user_version").fetchone()
    link.connection.close()
    reader.close()


def _make_private(place: Place) -> None:
    for name in _names(place.database):
        with contextlib.suppress(FileNotFoundError):
            if os.stat(name).st_mode & 0o777 != PRIVATE:
                os.chmod(name, PRIVATE)


def _names(database: str) -> List[str]:
    return [database + suffix for suffix in ("", "-wal", "-shm")]


def _emptied(place: Place) -> bool:
    """Whether somebody cut the file to nothing beside its log, which SQLite would then throw away."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(place.database).st_size <= ALMOST_NOTHING and os.stat(place.database + "-wal").st_size > 0
    return False


# --- under the exclusive guard. While `place.replacement` exists, replacing is not finished. -------------------------


def _make(place: Place, busy_seconds: float) -> Aside:
    if os.path.exists(place.database):
        return _replace(place) if _emptied(place) else None
    if os.path.exists(place.replacement):
        aside = f"{place.database}.corrupt-{_last_number(place)}"
        return aside, _carry_over(place, aside)
    _move_leftovers(place, _next_aside(place))
    os.close(open_private(place.database, place))
    # Made ready at once: two processes may not turn one file into a WAL file at the same time.
    _open(place, busy_seconds).connection.close()
    place.sync()
    return None


def set_aside(link: Link) -> Aside:
    """Give a damaged file another name and start a new one with all that can still be read.

    Returns the damaged file's new path and how many entries were carried over; None when another process has done
    it. A process killed anywhere in here leaves a state that the next one to open the spool completes.
    """
    place = link.place
    with place.guarded(link.busy_seconds, exclusive=True):
        done = None if link.moved() else _replace(place)
        # Only now: SQLite leaves a log alone whose file has lost its name, and else would move it into the file.
        link.connection.close()
    return done


def _replace(place: Place) -> Tuple[str, int]:
    aside = _next_aside(place)
    os.close(open_private(place.replacement, place))
    os.rename(place.database, aside)
    return aside, _carry_over(place, aside)


def _carry_over(place: Place, aside: str) -> int:
    from alerta_opsgenie.journal import salvage  # noqa: PLC0415 - hardly ever needed

    _move_leftovers(place, aside)
    place.sync()
    count = salvage.rescue(aside, place.replacement, place)
    os.rename(place.replacement, place.database)
    place.sync()
    return count


def _move_leftovers(place: Place, aside: str) -> None:
    for name, new in zip(_names(place.database)[1:], _names(aside)[1:]):
        if os.path.exists(name):
            os.rename(name, new)


def _next_aside(place: Place) -> str:
    return f"{place.database}.corrupt-{_last_number(place) + 1}"


def _last_number(place: Place) -> int:
    pattern = re.compile(re.escape(os.path.basename(place.database)) + r"\.corrupt-(\d+)")
    found = [pattern.match(name) for name in os.listdir(place.directory)]
    return max((int(match[1]) for match in found if match), default=0)
