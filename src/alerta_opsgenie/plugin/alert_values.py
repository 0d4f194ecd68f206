"""Converts Alerta's alerts to the core's `AlertValues`."""

import datetime as dt
from enum import Enum
from typing import Any, Dict, NamedTuple, Optional

from alerta.models.alert import Alert

from alerta_opsgenie.core.alarm_model import meaning
from alerta_opsgenie.core.wording import AlertValues, HistoryEntry, attribute_text

_SAME_NAMES = (
    "id", "resource", "event", "environment", "severity", "group", "value", "text", "origin", "customer",
    "previous_severity",
)  # fmt: skip


class Query(NamedTuple):
    """A query as Alerta's models take it (9.1.0, database/backends): `where` and `sort` in the database's own form."""

    where: object
    vars: Dict[str, Any]
    sort: object = "id"
    group: str = "status"


def values_of(alert: Alert) -> AlertValues:
    """Read an alert. Empty values and values of other types become texts."""
    return AlertValues(
        **{name: text_of(getattr(alert, name)) for name in _SAME_NAMES},
        status=usual_status(alert.status),
        shown_status=text_of(alert.status),
        service=tuple(text_of(name) for name in alert.service or ()),
        tags=tuple(text_of(tag) for tag in alert.tags or ()),
        attributes=dict(alert.attributes or {}),
        type=text_of(alert.event_type),
        trend=text_of(alert.trend_indication),
        duplicates=alert.duplicate_count or 0,
        repeat=bool(alert.repeat),
        received_id=text_of(alert.last_receive_id),
        history=tuple(_history_entry(entry) for entry in alert.history or ()),
        received_at_seconds=epoch_seconds(alert.receive_time),
    )


def _history_entry(entry: Any) -> HistoryEntry:
    return HistoryEntry(
        change=text_of(entry.change_type),
        status=usual_status(entry.status),
        severity=text_of(entry.severity),
        id=text_of(entry.id),
        at_seconds=epoch_seconds(entry.update_time),
        timeout_seconds=entry.timeout,
        text=text_of(entry.text),
    )


def epoch_seconds(moment: Optional[dt.datetime]) -> float:
    """Read a time of Alerta, which is in UTC without a time zone; 0 for None."""
    return moment.replace(tzinfo=dt.timezone.utc).timestamp() if moment else 0.0


def usual_status(status: Any) -> str:
    """Return the status of the usual alarm model that an alarm model's own status means."""
    return meaning(text_of(status))


def newest_timeout_seconds(alert: Alert) -> Optional[int]:
    """Return the timeout of the newest entry of the history; None where it has none."""
    timeout = alert.history[0].timeout if alert.history else None
    return timeout if isinstance(timeout, int) else None


def text_of(value: Any) -> str:
    """Return a value as text. `str` of Alerta's enumerations returns `Status.Ack` in 8.7.0, 9.0.0 and 9.0.1."""
    value = value.value if isinstance(value, Enum) else value
    return attribute_text(str(value)) if value is not None else ""
