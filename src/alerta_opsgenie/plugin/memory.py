"""The memory of what both sides agree on, in Alerta's own database, so that all its workers and hosts share it."""

import json
from typing import Any, Callable, Dict, Iterable, Mapping, NamedTuple, Optional

from alerta_opsgenie.core.agreed import AgreedState, read_agreed_state
from alerta_opsgenie.journal import JournalError
from alerta_opsgenie.plugin import LOG
from alerta_opsgenie.plugin.database import Database

_WRITE = """INSERT INTO alerta_opsgenie_memory VALUES (%s, %s, %s)
    ON CONFLICT (alert_id) DO UPDATE SET is_open = excluded.is_open, agreed = excluded.agreed"""
_SET = "INSERT INTO alerta_opsgenie_values VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
# Nothing of a lease has to outlive a crash of the database, so its commit need not wait for the disk.
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
    """An alert that the vendor has open: what both sides agree on, and what it is in Alerta now (None: it is gone)."""

    agreed: AgreedState
    status: Optional[str]
    severity: Optional[str]


class Memory:
    """Any thread may call it. Each method is one short transaction, and raises JournalError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, alert_ids: Iterable[str]) -> Dict[str, AgreedState]:
        """Give what is known of some alerts; those that nothing is known of are left out."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT alert_id, agreed FROM alerta_opsgenie_memory WHERE alert_id = ANY(%s)", (list(alert_ids),)
            )
            rows = cursor.fetchall()
        found = {alert_id: _read(alert_id, text) for alert_id, text in rows}
        return {alert_id: agreed for alert_id, agreed in found.items() if agreed is not None}

    def change(self, alert_id: str, change: Callable[[AgreedState], AgreedState]) -> None:
        """Change what is known of an alert; of an unknown one `Agreed()`. What others write meanwhile waits."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT agreed FROM alerta_opsgenie_memory WHERE alert_id = %s FOR UPDATE", (alert_id,))
            row = cursor.fetchone()
            agreed = change((_read(alert_id, row[0]) if row else None) or AgreedState())
            cursor.execute(_WRITE, (alert_id, agreed.is_open, agreed.to_json()))

    def note(self, alert_id: str, change: Callable[[AgreedState], AgreedState]) -> None:
        """Change it where the database can be used; else the log has it, and the comparison of both sides finds it."""
        try:
            self.change(alert_id, change)
        except JournalError as error:
            LOG.warning("opsgenie: what alert %s is at the vendor's could not be remembered: %s", alert_id, error)

    def write(self, agreed: Mapping[str, AgreedState]) -> None:
        """Note what is known now of some alerts."""
        with self._database.transaction() as cursor:
            for alert_id in sorted(agreed):  # in one order everywhere, so that two writers never wait for each other
                cursor.execute(_WRITE, (alert_id, agreed[alert_id].is_open, agreed[alert_id].to_json()))

    def open_alerts(self) -> Dict[str, "Known"]:
        """Give what is known of the alerts that the vendor has open, each with what it is in Alerta now."""
        with self._database.transaction() as cursor:
            cursor.execute(_OPEN)
            rows = cursor.fetchall()
        found = {row[0]: (_read(row[0], row[1]), row[2], row[3]) for row in rows}
        return {alert_id: Known(agreed, *now) for alert_id, (agreed, *now) in found.items() if agreed is not None}

    def forget(self, alert_ids: Iterable[str]) -> None:
        """Drop what is known of some alerts."""
        with self._database.transaction() as cursor:
            cursor.execute("DELETE FROM alerta_opsgenie_memory WHERE alert_id = ANY(%s)", (list(alert_ids),))

    def prune(self) -> None:
        """Drop what has ended there and is gone from Alerta, after 8 days: the memory is to grow no further."""
        with self._database.transaction() as cursor:
            cursor.execute(_PRUNE)

    def get_value(self, name: str) -> str:
        """Give a small fact; empty where it was never set."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT value FROM alerta_opsgenie_values WHERE name = %s", (name,))
            row = cursor.fetchone()
        return row[0] if row else ""

    def set_value(self, name: str, value: str) -> None:
        """Keep a small fact."""
        with self._database.transaction() as cursor:
            cursor.execute(_SET, (name, value))

    def get_facts(self, name: str) -> Dict[str, Any]:
        """Give what `set_facts` has kept; nothing where it was never set, or somebody broke it."""
        try:
            found = json.loads(self.get_value(name) or "{}")
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        LOG.warning("opsgenie: the value %s in Alerta's database cannot be read, and counts as never set", name)
        return {}

    def set_facts(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep some facts, as JSON."""
        self.set_value(name, json.dumps(facts))

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a lease, by the database's clock; False: another process of whichever host holds it."""
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
