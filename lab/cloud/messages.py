"""The action messages in the envelope of each kind of integration (contracts 1.1 to 1.3), without I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from lab.cloud.integrations import Integration
from lab.cloud.model import JSON, MILLISECONDS_PER_SECOND, Alert, Change, recipient_name
from lab.cloud.switches import Switches

CUSTOMER_ID = "aa11bb22-0000-4000-8000-000000000001"
TEXT_LIMIT = 1000  # description and each detail in a webhook (contracts 1.2)
DATE_FORMATS = {"iso": "%Y-%m-%dT%H:%M:%SZ", "iso-millis": "%Y-%m-%dT%H:%M:%S.000Z", "space": "%Y-%m-%d %H:%M:%S"}


@dataclass(frozen=True)
class Message:
    """A message for one integration, ready to send."""

    integration: Integration
    change: Change
    request_id: str
    body: JSON


def route(change: Change, integration: Integration, switches: Switches) -> list[Change]:
    """Return what `integration` hears of `change`: nothing, the change, or a variation of it."""
    if not _subscribed(change, integration, switches):
        return []
    if change.action == "AddTeam" and integration.team and integration.team == change.extra["team"]:
        change = Change("Create", change.alert, change.actor, {"addedTags": ",".join(change.alert.tags)})
    note = change.extra.get("note")
    if not note or change.action == "AddNote" or switches.note_of_action == "inline":
        return [change]
    without = {key: value for key, value in change.extra.items() if key != "note"}
    # The note of its own follows the action, so it is the younger one.
    younger = replace(change.alert, updated_at_ns=change.alert.updated_at_ns + 1)
    return [replace(change, extra=without), Change("AddNote", younger, change.actor, {"note": note})]


def render(change: Change, integration: Integration, switches: Switches, request_id: str) -> Message:
    """Return the message about `change` for `integration`; `request_id` identifies it for the callback."""
    if change.action == "Escalate" and not change.custom:
        body = _escalate_body(change, integration)
    else:
        body = {"source": _source(change), "alert": _alert(change, integration, switches), "action": change.action}
        if integration.on_queue and (change.action == "Create" or not switches.edge_source):
            del body["source"]
    body |= {
        "integrationId": integration.integration_id,
        "integrationName": integration.name,
        "integrationType": integration.type_name,
    }
    if integration.on_queue:
        body |= _edge_part(change, integration, switches, request_id)
    elif change.action == "Escalate":
        del body["integrationType"]
    elif switches.webhook_extras:
        body |= _webhook_part(change, request_id)
    return Message(integration, change, request_id, body)


def _subscribed(change: Change, integration: Integration, switches: Switches) -> bool:
    if not integration.enabled or integration.kind == "api":
        return False
    if integration.source_filter is not None and change.alert.source != integration.source_filter:
        return False
    own = bool(change.actor.integration_id) and change.actor.integration_id == integration.integration_id
    if own and not switches.own_key_messages:
        return False
    if change.action == "SnoozeEnded":
        return switches.snooze_ended_on_queues if integration.on_queue else switches.snooze_ended_on_webhooks
    return integration.actions is None or change.action in integration.actions


def _source(change: Change) -> JSON:
    return {"name": change.actor.source_name, "type": change.actor.source_type}


def _alert(change: Change, integration: Integration, switches: Switches) -> JSON:
    alert, webhook = change.alert, integration.kind == "webhook"
    body: JSON = {
        "alertId": alert.alert_id,
        "message": alert.message,
        "tags": [*alert.tags],
        "tinyId": alert.tiny_id,
        "entity": alert.entity,
        "alias": alert.alias,
        "createdAt": alert.created_at_ms,
        "updatedAt": alert.updated_at_ns,
        "username": change.actor.username,
        "userId": change.actor.user_id,
        "source": alert.source,
    }
    if webhook or change.custom or change.action == "Create":
        body["priority"] = alert.priority
    if webhook:
        body["insertedAt"] = alert.inserted_at_ns
    body |= _action_part(change, integration, switches)
    if switches.priority_type == "integer":
        body |= {key: int(body[key][1:]) for key in ("priority", "oldPriority") if key in body}
    if change.action == "Delete":
        del body["tags"]
    return body


def _action_part(change: Change, integration: Integration, switches: Switches) -> JSON:
    """Return the keys of `alert` that belong to the action alone (contracts 1.3)."""
    webhook, part = integration.kind == "webhook", dict(change.extra)
    if change.action == "Create":
        part |= {"teams": change.alert.teams, "recipients": [], "actions": change.alert.actions}
        if webhook:
            part["responders"] = change.alert.responders
    if webhook and integration.alert_details and (change.custom or change.action == "Create"):
        part |= _details(change.alert)
    if change.action == "TakeOwnership" and not switches.take_ownership_owner:
        part.pop("owner", None)
    if "responder" in part and switches.responder_type == "string":
        part["responder"] = recipient_name(part["responder"])
    if "snoozed_until_ms" in part:
        part |= _snooze_part(part.pop("snoozed_until_ms"), switches)
    return part


def _snooze_part(until_ms: int, switches: Switches) -> JSON:
    end = datetime.fromtimestamp(until_ms // MILLISECONDS_PER_SECOND, timezone.utc)
    until: Any = until_ms if switches.snoozed_until_type == "integer" else str(until_ms)
    return {"snoozedUntil": until, "snoozeEndDate": end.strftime(DATE_FORMATS[switches.snooze_end_date_format])}


def _details(alert: Alert) -> JSON:
    return {
        "description": alert.description[:TEXT_LIMIT],
        "details": {key: value[:TEXT_LIMIT] for key, value in alert.details.items()},
    }


def _edge_part(change: Change, integration: Integration, switches: Switches, request_id: str) -> JSON:
    """Return what OEC and JEC need to find the script and to report its end."""
    part: JSON = {
        "actionType": "custom",
        "requestId": request_id,
        "entity": {"id": change.alert.alert_id, "type": "alert"},
    }
    post_action = f"postActionTo{integration.type_name}"
    mapped = integration.mapped_actions.get(change.action)
    if mapped is None and switches.mapped_name == "postActionTo" and not change.custom:
        mapped = post_action
    if mapped is not None:
        part["mappedActionV2"] = {"name": mapped, "extraField": ""}
    elif integration.kind == "oec":
        part["mappedActionDto"] = {"mappedAction": post_action, "extraField": ""}
    if integration.kind == "oec" and change.action == "Create":
        part |= {"alertId": change.alert.alert_id, "customerId": CUSTOMER_ID}
    return part


def _webhook_part(change: Change, request_id: str) -> JSON:
    return {
        "actorUserId": change.actor.user_id,
        "alertFlowContext": {"requestId": request_id, "traceId": f"t-{change.alert.tiny_id}", "content": {}},
    }


def _escalate_body(change: Change, integration: Integration) -> JSON:
    """Return the odd envelope of Escalate: no source, and of the alert its id alone (contracts 1.1)."""
    extra = change.extra
    return {
        "escalationId": extra["escalation_id"],
        "escalationName": extra["escalation_name"],
        "escalationNotify": extra["notify"],
        "escalationTime": extra.get("time_minutes", 0),
        "repeatCount": extra.get("repeat_count", 0),
        "headers": dict.fromkeys(integration.headers, "") if integration.kind == "webhook" else {},
        "alert": {"alertId": change.alert.alert_id},
        "action": change.action,
    }
