"""What a page shows of a journal: a bounded number of rows, however many there are. Reads alone."""

import json
from typing import List, Optional

from alerta_opsgenie.journal.journal import Journal
from alerta_opsgenie.journal.rows import Action, plain, to_action

_SELECT = f"SELECT {', '.join((*Action._fields[:-1], 'checksum'))} FROM actions"  # noqa: S608 - of constants
_STATES = ("waiting", "in-flight", "done", "dead")
_LIKE_ESCAPES = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


class JournalView(Journal):
    """A journal to be looked at: the newest rows, what is about an alert or a person, what waits longest."""

    def latest(self, limit: int, state: Optional[str] = None) -> List[Action]:
        """Give the rows (of one state) that came, waited anew or ended last; the newest first."""
        found: List[Action] = []
        for one in [state] if state else _STATES:
            found += self._rows("state = ? ORDER BY since DESC, id DESC", one, limit=limit)
        return sorted(found, key=lambda action: (action.since, action.id), reverse=True)[:limit]

    def about(self, text: str, limit: int) -> List[Action]:
        """Give the newest rows whose alert begins with a text, or whose message has it, of a done one the person."""
        alert, written = plain(text.lower()), json.dumps(text)[1:-1].translate(_LIKE_ESCAPES)
        condition = "(alert >= ? AND alert < ?) OR CAST(body AS TEXT) LIKE ? ESCAPE '\\' ORDER BY id DESC"
        return self._rows(condition, alert, alert + "\U0010ffff", f"%{written}%", limit=limit)

    def of_alert(self, alert: str, limit: int) -> List[Action]:
        """Give the newest rows of an alert, in the order in which they are delivered."""
        found = self._rows("alert = ? ORDER BY order_ns DESC, id DESC", plain(alert), limit=limit)
        return found[::-1]

    def find(self, key: str) -> Optional[Action]:
        """Give the row with that key."""
        return next(iter(self._rows("key = ?", plain(key), limit=1)), None)

    def longest_waiting(self) -> Optional[Action]:
        """Give what has waited for the longest time."""
        found = self._rows("state = 'waiting' AND state <> 'done' ORDER BY accepted_at", limit=1)
        return next(iter(found), None)

    def _rows(self, condition: str, *values: object, limit: int) -> List[Action]:
        query = f"{_SELECT} WHERE {condition} LIMIT ?"
        return self._read(lambda connection: list(map(to_action, connection.execute(query, (*values, limit)))))
