"""The memory: per alert the state that both sides agreed on. It is in Alerta's database, for all workers and hosts."""

import json
from typing import Any, Callable, Dict, Iterable, Mapping, NamedTuple, Optional

from alerta_opsgenie.core.agreed import AgreedState, read_agreed_state
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.database import Database

_WRITE = """INSERT INTO alerta_opsgenie_memory VALUES (%s, %s, %s)
    ON CONFLICT (alert_id) DO UPDATE SET is_open = excluded.is_open, agreed = excluded.agreed"""
_SET = "INSERT INTO alerta_opsgenie_values VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
# A lease need not survive a crash of the database, so its commit does not wait for the disk.
_LEASE = """SET LOCAL synchronous_commit TO off;
    INSERT INTO alerta_opsgenie_leases VALUES (%s, %s, now() + %s * interval '1 second')
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE alerta_opsgenie_leases.holder = excluded.holder OR alerta_opsgenie_leases.until < now()"""
_OPEN = """SELECT memory.alert_id, memory.agreed, alerts.status, alerts.severity FROM alerta_opsgenie_memory AS memory
    LEFT JOIN alerts ON alerts.id = memory.alert_id WHERE memory.is_open"""

_PRUNE = """DELETE FROM alerta_opsgenie_memory AS memory WHERE NOT is_open
    AND NOT EXISTS (SELECT 1 FROM alerts WHERE alerts.id = memory.alert_id)
    AND (memory.agreed::json ->> 'at_seconds')::float8 < extract(epoch FROM now()) - 8 * 86400"""


class Known(NamedTuple):
    """An alert that the vendor has open: the agreed state, and the alert in Alerta now (None: it was deleted)."""

    agreed: AgreedState
    status: Optional[str]
    severity: Optional[str]


class Memory:
    """Any thread may call it. Each method is one short transaction, and raises JournalError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, alert_ids: Iterable[str]) -> Dict[str, AgreedState]:
        """Return the agreed states of these alerts, without those that have none."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT alert_id, agreed FROM alerta_opsgenie_memory WHERE alert_id = ANY(%s)", (list(alert_ids),)
            )
            rows = cursor.fetchall()
        found = {alert_id: _read(alert_id, text) for alert_id, text in rows}
        return {alert_id: agreed for alert_id, agreed in found.items() if agreed is not None}

    def change(self, alert_id: str, change: Callable[[AgreedState], AgreedState]) -> None:
        """Change the agreed state of an alert, an empty one where there is none. The row is locked meanwhile."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT agreed FROM alerta_opsgenie_memory WHERE alert_id = %s FOR UPDATE", (alert_id,))
            row = cursor.fetchone()
            agreed = change((_read(alert_id, row[0]) if row else None) or AgreedState())
            cursor.execute(_WRITE, (alert_id, agreed.is_open, agreed.to_json()))

    def note(self, alert_id: str, change: Callable[[AgreedState], AgreedState]) -> None:
        """Call `change`. If the database fails, log it: the comparison of both sides corrects the memory later."""
        try:
            self.change(alert_id, change)
        except JournalError as error:
            LOG.warning("opsgenie: the state of alert %s at the vendor could not be stored: %s", alert_id, error)

    def write(self, agreed: Mapping[str, AgreedState]) -> None:
        """Write the agreed states of some alerts."""
        with self._database.transaction() as cursor:
            for alert_id in sorted(agreed):  # the same order in each process prevents a deadlock
                cursor.execute(_WRITE, (alert_id, agreed[alert_id].is_open, agreed[alert_id].to_json()))

    def open_alerts(self) -> Dict[str, "Known"]:
        """Return the alerts that the vendor has open."""
        with self._database.transaction() as cursor:
            cursor.execute(_OPEN)
            rows = cursor.fetchall()
        found = {row[0]: (_read(row[0], row[1]), row[2], row[3]) for row in rows}
        return {alert_id: Known(agreed, *now) for alert_id, (agreed, *now) in found.items() if agreed is not None}

    def forget(self, alert_ids: Iterable[str]) -> None:
        """Delete the agreed states of some alerts."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM alerta_opsgenie_memory WHERE alert_id = ANY(%s)", (list(alert_ids),))

    def prune(self) -> None:
        """Delete alerts that are closed at the vendor and not in Alerta, after 8 days: this limits the table's size."""
        with self._database.transaction() as cursor:
            cursor.execute(_PRUNE)

    def get_value(self, name: str) -> str:
        """Return a value, or an empty text where it was never set."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT value FROM alerta_opsgenie_values WHERE name = %s", (name,))
            row = cursor.fetchone()
        return row[0] if row else ""

    def set_value(self, name: str, value: str) -> None:
        """Write a value."""
        with self._database.transaction() as cursor:
            cursor.execute(_SET, (name, value))

    def get_facts(self, name: str) -> Dict[str, Any]:
        """Return what `set_facts` wrote; an empty dict where it was never set, or cannot be read."""
        try:
            found = json.loads(self.get_value(name) or "{}")
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        LOG.warning("opsgenie: the value %s in Alerta's database cannot be read, and counts as never set", name)
        return {}

    def set_facts(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write values as JSON."""
        self.set_value(name, json.dumps(facts))

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease, by the database's clock. Return False if another process on any host holds it."""
        with self._database.transaction() as cursor:
            cursor.execute(_LEASE, (name, holder, seconds))
            return bool(cursor.rowcount == 1)

    def give_back(self, name: str, holder: str) -> None:
        """End a lease before its time."""
        with self._database.transaction() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")
            cursor.execute("DELETE FROM alerta_opsgenie_leases WHERE name = %s AND holder = %s", (name, holder))


def _read(alert_id: str, text: str) -> Optional[AgreedState]:
    try:
        return read_agreed_state(text)
    except ValueError as error:
        LOG.error("opsgenie: the memory of alert %s cannot be read: %s", alert_id, error)
        return None
