"""The life of alerts as Opsgenie and JSM lead it, without I/O: time and new ids come in as arguments.

A `Command` goes in, by the API or by a person; an `Outcome` comes out with the changes that integrations hear of. What
each action does stands in `actions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

JSON = dict[str, Any]
NS_PER_MS = 1_000_000
MILLISECONDS_PER_SECOND = 1000


@dataclass(frozen=True)
class Actor:
    """Who acts: the name that messages show, and where it came from.

    `source_type` is "web", "API" or "system"; `integration_id` is the integration whose key was used, or "".
    """

    username: str
    user_id: str = ""
    source_name: str = ""
    source_type: str = "web"
    integration_id: str = ""


SYSTEM = Actor("System", source_type="system")
# A snooze that ends is shown as System's doing, with a web source (payloads/SnoozeEnded.webhook.json).
SNOOZE_TIMER = Actor("System", source_type="web")


@dataclass(frozen=True)
class Entry:
    """A note or a log line of an alert: `kind` is "note" for notes, else the kind of the log line."""

    text: str
    owner: str
    at_ns: int
    kind: str = "note"


@dataclass
class Alert:
    """One alert. Times end in their unit; `snoozed_until_ms` is None while it is not snoozed."""

    alert_id: str
    tiny_id: str
    alias: str
    message: str
    created_at_ms: int
    updated_at_ns: int
    inserted_at_ns: int
    description: str = ""
    entity: str = ""
    source: str = ""
    priority: str = "P3"
    tags: list[str] = field(default_factory=list)
    details: dict[str, str] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)
    responders: list[JSON] = field(default_factory=list)
    owner: str = ""
    closed: bool = False
    acknowledged: bool = False
    snoozed_until_ms: int | None = None
    count: int = 1
    last_occurred_at_ms: int = 0
    integration_id: str = ""
    acknowledged_by: str = ""
    acknowledged_at_ms: int = 0
    closed_by: str = ""
    closed_at_ms: int = 0
    entries: list[Entry] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Return "open" or "closed", as the API says it."""
        return "closed" if self.closed else "open"

    @property
    def notes(self) -> list[str]:
        """Return the texts of the notes, oldest first."""
        return [entry.text for entry in self.entries if entry.kind == "note"]

    @property
    def teams(self) -> list[str]:
        """Return the ids, else names, of the teams among the responders."""
        return [recipient_name(item, "id") for item in self.responders if item.get("type") == "team"]

    def copy(self) -> Alert:
        """Return the alert as it is now, for a message that is sent later (without notes and log)."""
        return replace(self, tags=[*self.tags], details={**self.details}, responders=[*self.responders], entries=[])


def recipient_name(recipient: JSON, *first: str) -> str:
    """Return how a recipient is named: by the keys `first`, else username, name, id."""
    return next((str(recipient[key]) for key in (*first, "username", "name", "id") if recipient.get(key)), "")


@dataclass(frozen=True)
class Command:
    """Something to do to an alert: `action` is a key of `actions.ACTIONS`, "create" or "delete"."""

    action: str
    actor: Actor
    identifier: str = ""
    identifier_type: str = "alias"
    fields: JSON = field(default_factory=dict)
    request_id: str = ""


@dataclass(frozen=True)
class Change:
    """What integrations hear of: the action's name in messages, the alert after it, who did it, its extra keys."""

    action: str
    alert: Alert
    actor: Actor
    extra: JSON = field(default_factory=dict)
    custom: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a command: the text of the request status, the alert if there is one, and the changes."""

    success: bool
    status: str
    alert: Alert | None = None
    changes: tuple[Change, ...] = ()


class Refused(Exception):  # noqa: N818 - an answer of the vendor, not a failure of ours
    """The alert does not take this action now; the text is that of the request status."""


Handler = Callable[[Alert, Command, int], list[Change]]


class Model:
    """All alerts of one account."""

    def __init__(self, new_id: Callable[[], str], handlers: dict[str, Handler]) -> None:
        self._new_id = new_id
        self._handlers = handlers
        self._alerts: dict[str, Alert] = {}
        self._newest: dict[str, Alert] = {}  # by alias; an open alert is always the newest of its alias
        self._by_tiny_id: dict[str, Alert] = {}
        self._snoozed: dict[str, Alert] = {}
        self._tiny_id = 0

    def list_alerts(self) -> list[Alert]:
        """Return all alerts that are not deleted, oldest first."""
        return list(self._alerts.values())

    def find(self, identifier: str, identifier_type: str = "alias") -> Alert | None:
        """Return the alert by "id", "tiny" or "alias" (the open one of that alias, else the newest)."""
        if identifier_type == "alias":
            return self._newest.get(identifier)
        return (self._by_tiny_id if identifier_type == "tiny" else self._alerts).get(identifier)

    def apply(self, command: Command, now_ns: int) -> Outcome:
        """Do `command` at `now_ns`."""
        if command.action == "create":
            return self._create(command, now_ns)
        alert = self.find(command.identifier, command.identifier_type)
        if alert is None:
            return Outcome(success=False, status="Alert does not exist")
        if command.action == "delete":
            return self._delete(alert, command, now_ns)
        try:
            changes = self._handlers[command.action](alert, command, now_ns)
        except Refused as refusal:
            return Outcome(success=False, status=str(refusal), alert=alert)
        self._track_snooze(alert)
        return Outcome(success=True, status=f"Processed {command.action}", alert=alert, changes=tuple(changes))

    def next_due_ns(self) -> int | None:
        """Return when the next snooze ends, or None."""
        ends = [alert.snoozed_until_ms for alert in self._snoozed.values() if alert.snoozed_until_ms is not None]
        return min(ends) * NS_PER_MS if ends else None

    def tick(self, now_ns: int) -> list[Change]:
        """End the snoozes whose time has come: the alert is open and not acknowledged again (contracts 1.4)."""
        due = [alert for alert in self._snoozed.values() if (alert.snoozed_until_ms or 0) * NS_PER_MS <= now_ns]
        changes = []
        for alert in due:
            alert.snoozed_until_ms, alert.acknowledged = None, False
            self._track_snooze(alert)
            changes.append(record(alert, "SnoozeEnded", Command("end_snooze", SNOOZE_TIMER), now_ns))
        return changes

    def _create(self, command: Command, now_ns: int) -> Outcome:
        alias = command.fields.get("alias", "")
        known = self._newest.get(alias) if alias else None
        if known is not None and not known.closed:
            # A repeat changes neither texts nor priority (contracts 3.1, Dedup).
            known.count += 1
            known.last_occurred_at_ms = now_ns // NS_PER_MS
            return Outcome(success=True, status="Deduplicated alert", alert=known)
        alert = self._new_alert(command, now_ns)
        self._alerts[alert.alert_id] = self._newest[alert.alias] = self._by_tiny_id[alert.tiny_id] = alert
        change = record(alert, "Create", command, now_ns, addedTags=",".join(alert.tags))
        add_note(alert, command, now_ns)
        return Outcome(success=True, status="Created alert", alert=alert, changes=(change,))

    def _new_alert(self, command: Command, now_ns: int) -> Alert:
        fields, now_ms = command.fields, now_ns // NS_PER_MS
        alert_id = f"{self._new_id()}-{now_ms}"
        self._tiny_id += 1
        return Alert(
            alert_id=alert_id,
            tiny_id=str(self._tiny_id),
            alias=fields.get("alias") or alert_id,
            message=fields["message"],
            description=fields.get("description", ""),
            entity=fields.get("entity", ""),
            source=fields.get("source", ""),
            priority=fields.get("priority", "P3"),
            tags=list(dict.fromkeys(fields.get("tags", []))),
            details=dict(fields.get("details", {})),
            actions=list(fields.get("actions", [])),
            responders=list(fields.get("responders", [])),
            created_at_ms=now_ms,
            updated_at_ns=now_ns - 2,  # recording the creation sets it to `now_ns`
            inserted_at_ns=now_ns,
            last_occurred_at_ms=now_ms,
            integration_id=command.actor.integration_id,
        )

    def _delete(self, alert: Alert, command: Command, now_ns: int) -> Outcome:
        change = record(alert, "Delete", command, now_ns)
        del self._alerts[alert.alert_id], self._by_tiny_id[alert.tiny_id]
        self._snoozed.pop(alert.alert_id, None)
        if self._newest.get(alert.alias) is alert:
            del self._newest[alert.alias]
        return Outcome(success=True, status="Deleted alert", alert=alert, changes=(change,))

    def _track_snooze(self, alert: Alert) -> None:
        if alert.snoozed_until_ms is None:
            self._snoozed.pop(alert.alert_id, None)
        else:
            self._snoozed[alert.alert_id] = alert


def record(alert: Alert, action: str, command: Command, now_ns: int, **extra: Any) -> Change:
    """Note that `action` happened to `alert`, and return the change.

    `updated_at_ns` grows strictly with each change of an alert, for the connectors order by it; by two at least, so
    that a note that is sent as a message of its own has room behind its action.
    """
    alert.updated_at_ns = max(now_ns, alert.updated_at_ns + 2)
    alert.entries.append(Entry(f"{action} by {command.actor.username}", command.actor.username, now_ns, "log"))
    return Change(action, alert.copy(), command.actor, extra)


def add_note(alert: Alert, command: Command, now_ns: int) -> str:
    """Keep the note that came with `command`, if any, and return it."""
    note = str(command.fields.get("note", ""))
    if note:
        alert.entries.append(Entry(note, command.actor.username, now_ns))
    return note
