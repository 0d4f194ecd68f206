"""What each action does to an alert, as a table (contracts 1.3, 1.4 and 3.2)."""

from __future__ import annotations

from dataclasses import replace

from lab.cloud.model import (
    JSON,
    NS_PER_MS,
    SNOOZE_TIMER,
    Alert,
    Change,
    Command,
    Handler,
    Refused,
    add_note,
    recipient_name,
    record,
)


def acknowledge(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Acknowledge an open alert; that ends a snooze."""
    _require_open(alert)
    if alert.acknowledged and alert.snoozed_until_ms is None:
        raise Refused("Alert is already acknowledged")
    alert.acknowledged, alert.snoozed_until_ms = True, None
    alert.acknowledged_by, alert.acknowledged_at_ms = command.actor.username, now_ns // NS_PER_MS
    return [_with_note(alert, "Acknowledge", command, now_ns)]


def unacknowledge(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Take an acknowledgement back."""
    _require_open(alert)
    if not alert.acknowledged:
        raise Refused("Alert is not acknowledged")
    alert.acknowledged, alert.acknowledged_by, alert.acknowledged_at_ms = False, "", 0
    return [_with_note(alert, "UnAcknowledge", command, now_ns)]


def close(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Close an open alert; that ends a snooze."""
    _require_open(alert)
    alert.closed, alert.snoozed_until_ms = True, None
    alert.closed_by, alert.closed_at_ms = command.actor.username, now_ns // NS_PER_MS
    return [_with_note(alert, "Close", command, now_ns)]


def snooze(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Snooze until `endTime` (ms); a further snooze replaces the first, one in the past ends it."""
    _require_open(alert)
    end_ms = int(command.fields["endTime"])
    if end_ms * NS_PER_MS <= now_ns:
        if alert.snoozed_until_ms is None:
            return []
        alert.snoozed_until_ms, alert.acknowledged = None, False
        return [record(alert, "SnoozeEnded", replace(command, actor=SNOOZE_TIMER), now_ns)]
    alert.snoozed_until_ms = end_ms
    return [_with_note(alert, "Snooze", command, now_ns, snoozed_until_ms=end_ms)]


def write_note(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Add a note; closed alerts take notes too."""
    note = add_note(alert, command, now_ns)
    return [record(alert, "AddNote", command, now_ns, note=note)]


def assign(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Make someone the owner."""
    _require_open(alert)
    alert.owner = recipient_name(command.fields["owner"])
    return [_with_note(alert, "AssignOwnership", command, now_ns, owner=alert.owner)]


def take_ownership(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Make the one who acts the owner (people only: the API has no such request)."""
    _require_open(alert)
    alert.owner = command.actor.username
    return [_with_note(alert, "TakeOwnership", command, now_ns, owner=alert.owner)]


def escalate(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Escalate to the next rule of an escalation, which then is among the responders."""
    _require_open(alert)
    _add_recipient(alert, {"type": "escalation", **command.fields["escalation"]})
    return [_with_note(alert, "EscalateToNext", command, now_ns)]


def notify_escalation(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Let an escalation's own rule fire: the odd message that has next to nothing of the alert (contracts 1.1)."""
    _require_open(alert)
    return [record(alert, "Escalate", command, now_ns, **command.fields)]


def add_responder(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Add a responder."""
    _require_open(alert)
    _add_recipient(alert, command.fields["responder"])
    return [_with_note(alert, "AddResponder", command, now_ns, responder=command.fields["responder"])]


def add_team(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Add a team."""
    _require_open(alert)
    team = {"type": "team", **command.fields["team"]}
    _add_recipient(alert, team)
    return [_with_note(alert, "AddTeam", command, now_ns, team=recipient_name(team))]


def run_custom(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Run a custom action: nothing but its message, under its own name."""
    change = _with_note(alert, str(command.fields["name"]), command, now_ns)
    return [replace(change, custom=True)]


def add_tags(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Add tags; what is there already is not added again, and without a new one there is nothing to tell."""
    added = [tag for tag in dict.fromkeys(command.fields["tags"]) if tag not in alert.tags]
    if not added:
        return []
    alert.tags.extend(added)
    return [_with_note(alert, "AddTags", command, now_ns, addedTags=",".join(added))]


def remove_tags(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Remove tags."""
    removed = [tag for tag in command.fields["tags"] if tag in alert.tags]
    if not removed:
        return []
    alert.tags = [tag for tag in alert.tags if tag not in removed]
    return [_with_note(alert, "RemoveTags", command, now_ns, removedTags=",".join(removed))]


def add_details(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Add details; nobody is told (contracts 1.3: AddDetails is not sent)."""
    record(alert, "AddDetails", command, now_ns)
    alert.details.update(command.fields["details"])
    return []


def remove_details(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Remove details; nobody is told."""
    record(alert, "RemoveDetails", command, now_ns)
    for key in command.fields["keys"]:
        alert.details.pop(key, None)
    return []


def update_priority(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Set the priority."""
    old, alert.priority = alert.priority, str(command.fields["priority"])
    if old == alert.priority:
        return []
    return [record(alert, "UpdatePriority", command, now_ns, priority=alert.priority, oldPriority=old)]


def update_message(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Set the message."""
    if alert.message == command.fields["message"]:
        return []
    alert.message = str(command.fields["message"])
    return [record(alert, "UpdateMessage", command, now_ns)]


def update_description(alert: Alert, command: Command, now_ns: int) -> list[Change]:
    """Set the description."""
    if alert.description == command.fields["description"]:
        return []
    alert.description = str(command.fields["description"])
    return [record(alert, "UpdateDescription", command, now_ns, description=alert.description)]


ACTIONS: dict[str, Handler] = {
    "acknowledge": acknowledge,
    "unacknowledge": unacknowledge,
    "close": close,
    "snooze": snooze,
    "add_note": write_note,
    "assign": assign,
    "take_ownership": take_ownership,
    "escalate": escalate,
    "notify_escalation": notify_escalation,
    "add_responder": add_responder,
    "add_team": add_team,
    "custom": run_custom,
    "add_tags": add_tags,
    "remove_tags": remove_tags,
    "add_details": add_details,
    "remove_details": remove_details,
    "update_priority": update_priority,
    "update_message": update_message,
    "update_description": update_description,
}


def _require_open(alert: Alert) -> None:
    if alert.closed:
        raise Refused("Alert is already closed")


def _with_note(alert: Alert, action: str, command: Command, now_ns: int, **extra: object) -> Change:
    note = add_note(alert, command, now_ns)
    if note:
        extra["note"] = note
    return record(alert, action, command, now_ns, **extra)


def _add_recipient(alert: Alert, recipient: JSON) -> None:
    if recipient not in alert.responders:
        alert.responders.append(recipient)
