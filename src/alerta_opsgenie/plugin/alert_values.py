"""Alerta's alerts as the core's plain values, and what their history tells of timeouts."""

import datetime as dt
from typing import Any, Optional

from alerta.models.alert import Alert

from alerta_opsgenie.core.events import end_of
from alerta_opsgenie.core.wording import Past, Subject, plain

__all__ = ["end_of", "epoch_seconds", "subject_of"]


def subject_of(alert: Alert) -> Subject:
    """Read an alert; what Alerta leaves empty, or holds as another type, is a text all the same."""
    return Subject(
        id=str(alert.id),
        resource=_text(alert.resource),
        event=_text(alert.event),
        environment=_text(alert.environment),
        severity=_text(alert.severity),
        status=_text(alert.status),
        service=tuple(_text(name) for name in alert.service or ()),
        group=_text(alert.group),
        value=_text(alert.value),
        text=_text(alert.text),
        tags=tuple(_text(tag) for tag in alert.tags or ()),
        attributes=dict(alert.attributes or {}),
        origin=_text(alert.origin),
        type=_text(alert.event_type),
        customer=_text(alert.customer),
        previous_severity=_text(alert.previous_severity),
        trend=_text(alert.trend_indication),
        duplicates=alert.duplicate_count or 0,
        repeat=bool(alert.repeat),
        received_id=_text(alert.last_receive_id),
        history=tuple(_past(entry) for entry in alert.history or ()),
        received_at_seconds=epoch_seconds(alert.receive_time),
    )


def _past(entry: Any) -> Past:
    return Past(
        change=_text(entry.change_type),
        status=_text(entry.status),
        severity=_text(entry.severity),
        id=_text(entry.id),
        at_seconds=epoch_seconds(entry.update_time),
        timeout_seconds=entry.timeout,
        text=_text(entry.text),
    )


def epoch_seconds(moment: Optional[dt.datetime]) -> float:
    """Read one of Alerta's instants, which are in UTC and do not say so."""
    return moment.replace(tzinfo=dt.timezone.utc).timestamp() if moment else 0.0


def _text(value: Any) -> str:
    # Alerta's enumerations are texts that print as their value.
    return plain(str(value)) if value is not None else ""
