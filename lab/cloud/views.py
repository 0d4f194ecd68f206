"""Alerts as the REST API shows them (contracts 3.2), and its search, without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lab.cloud.intake import Processed
from lab.cloud.model import JSON, MILLISECONDS_PER_SECOND, NS_PER_MS, Alert, Entry

if TYPE_CHECKING:
    from lab.cloud.cloud import Cloud

# https://docs.opsgenie.com/docs/alert-api, List Alerts
MOST_PER_PAGE = 100
DEFAULT_PER_PAGE = 20
MOST_REACHED = 20_000
BEFORE = re.compile(r"createdAt\s*<\s*(\d+)")
TERM = re.compile(r'(status|alias|source|tag|entity|priority|message)\s*[:=]\s*("[^"]*"|\S+)')
SORTS = {
    "createdAt": "created_at_ms",
    "updatedAt": "updated_at_ns",
    "lastOccurredAt": "last_occurred_at_ms",
    "alias": "alias",
    "message": "message",
    "count": "count",
}


class BadQuery(Exception):  # noqa: N818 - becomes a 422
    """A search that the API refuses; `field` is the parameter."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def brief(alert: Alert, cloud: Cloud) -> JSON:
    """Return an alert as lists show it."""
    shown: JSON = {
        "id": alert.alert_id,
        "tinyId": alert.tiny_id,
        "alias": alert.alias,
        "message": alert.message,
        "status": alert.status,
        "acknowledged": alert.acknowledged,
        "isSeen": False,
        "tags": alert.tags,
        "snoozed": alert.snoozed_until_ms is not None,
        "count": alert.count,
        "lastOccurredAt": instant(alert.last_occurred_at_ms),
        "createdAt": instant(alert.created_at_ms),
        "updatedAt": instant(alert.updated_at_ns // NS_PER_MS),
        "source": alert.source,
        "owner": alert.owner,
        "priority": alert.priority,
        "responders": alert.responders,
        "teams": [{"id": team} for team in alert.teams],
        "integration": _integration(alert, cloud),
        "report": _report(alert),
        "ownerTeamId": alert.teams[0] if alert.teams else "",
    }
    if alert.snoozed_until_ms is not None:
        shown["snoozedUntil"] = instant(alert.snoozed_until_ms)
    return shown


def full(alert: Alert, cloud: Cloud) -> JSON:
    """Return an alert as GET of it alone shows it."""
    return {
        **brief(alert, cloud),
        "actions": alert.actions,
        "entity": alert.entity,
        "description": alert.description,
        "details": alert.details,
    }


def notes(alert: Alert, _cloud: Cloud) -> list[JSON]:
    """Return the notes, newest first."""
    return [{"note": entry.text, **_entry(entry)} for entry in reversed(alert.entries) if entry.kind == "note"]


def logs(alert: Alert, _cloud: Cloud) -> list[JSON]:
    """Return the log, newest first."""
    lines = [entry for entry in reversed(alert.entries) if entry.kind == "log"]
    return [{"log": entry.text, "type": "system", **_entry(entry)} for entry in lines]


def recipients(_alert: Alert, _cloud: Cloud) -> list[JSON]:
    """Return whom the vendor notified: nobody, this is a stand-in."""
    return []


def tags(alert: Alert, _cloud: Cloud) -> list[str]:
    """Return the tags (an undocumented request of Atlassian's own scripts, contracts 3.5)."""
    return alert.tags


def details(alert: Alert, _cloud: Cloud) -> dict[str, str]:
    """Return the details (undocumented as `tags`)."""
    return alert.details


def request_status(processed: Processed) -> JSON:
    """Return what became of a request."""
    outcome, command = processed.outcome, processed.command
    return {
        "success": outcome.success,
        "action": "".join(part.capitalize() for part in command.action.split("_")),
        "processedAt": instant(processed.at_ns // NS_PER_MS),
        "integrationId": command.actor.integration_id,
        "isSuccess": outcome.success,
        "status": outcome.status,
        "alertId": outcome.alert.alert_id if outcome.alert else "",
        "alias": outcome.alert.alias if outcome.alert else "",
    }


def search(alerts: list[Alert], parameters: Mapping[str, str]) -> list[Alert]:
    """Return the page of alerts that a list request asks for."""
    limit = _number(parameters, "limit", DEFAULT_PER_PAGE)
    offset = _number(parameters, "offset", 0)
    if not 0 < limit <= MOST_PER_PAGE:
        raise BadQuery("limit", f"should be between 1 and {MOST_PER_PAGE}")
    if offset + limit > MOST_REACHED:
        raise BadQuery("offset", f"sum of offset and limit should be at most {MOST_REACHED}")
    sort, order = parameters.get("sort", "createdAt"), parameters.get("order", "desc")
    if sort not in SORTS:
        raise BadQuery("sort", f"should be one of [ {', '.join(SORTS)} ]")
    found = select(alerts, parameters.get("query", ""))
    found.sort(key=lambda alert: getattr(alert, SORTS[sort]), reverse=order == "desc")
    return found[offset : offset + limit]


def select(alerts: list[Alert], query: str) -> list[Alert]:
    """Return the alerts that fit `query`: terms `field:value` joined by AND, no more of the vendor's language."""
    terms = [(name, value.strip('"')) for name, value in TERM.findall(query)]
    before = [int(value) for value in BEFORE.findall(query)]
    if re.sub(r"\bAND\b", "", BEFORE.sub("", TERM.sub("", query))).strip():
        raise BadQuery("query", "the stand-in knows `field:value` and `createdAt < milliseconds` joined by AND alone")
    found = [alert for alert in alerts if all(alert.created_at_ms < most for most in before)]
    return [alert for alert in found if all(_fits(alert, name, value) for name, value in terms)]


def instant(milliseconds: int) -> str:
    """Return milliseconds since 1970 as the API writes an instant."""
    at = datetime.fromtimestamp(milliseconds / MILLISECONDS_PER_SECOND, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fits(alert: Alert, name: str, value: str) -> bool:
    if name == "tag":
        return value in alert.tags
    return bool(getattr(alert, name) == value)


def _number(parameters: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(parameters.get(name, default))
    except ValueError as problem:
        raise BadQuery(name, "should be a number") from problem


def _entry(entry: Entry) -> JSON:
    return {"owner": entry.owner, "createdAt": instant(entry.at_ns // NS_PER_MS), "offset": str(entry.at_ns)}


def _integration(alert: Alert, cloud: Cloud) -> JSON:
    one = next((one for one in cloud.integrations() if one.integration_id == alert.integration_id), None)
    return {"id": one.integration_id, "name": one.name, "type": one.type_name} if one else {}


def _report(alert: Alert) -> JSON:
    report: JSON = {}
    if alert.acknowledged_at_ms:
        report |= {"ackTime": alert.acknowledged_at_ms - alert.created_at_ms, "acknowledgedBy": alert.acknowledged_by}
    if alert.closed_at_ms:
        report |= {"closeTime": alert.closed_at_ms - alert.created_at_ms, "closedBy": alert.closed_by}
    return report
