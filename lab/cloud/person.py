"""People (and the account itself) who act in the vendor's own interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.cloud.model import JSON, MILLISECONDS_PER_SECOND, Actor, Command, Outcome

if TYPE_CHECKING:
    from lab.cloud.cloud import Cloud


@dataclass(frozen=True)
class Person:
    """Someone who acts on alerts by alias; each method returns what became of it, and takes effect at once."""

    cloud: Cloud
    actor: Actor

    def create(self, message: str, alias: str = "", **fields: object) -> Outcome:
        """Create an alert by hand; `fields` are those of the REST body."""
        return self.cloud.act(Command("create", self.actor, fields={"message": message, "alias": alias, **fields}))

    def acknowledge(self, alias: str, note: str | None = None) -> Outcome:
        """Acknowledge."""
        return self._act("acknowledge", alias, note)

    def unacknowledge(self, alias: str, note: str | None = None) -> Outcome:
        """Take the acknowledgement back."""
        return self._act("unacknowledge", alias, note)

    def close(self, alias: str, note: str | None = None) -> Outcome:
        """Close."""
        return self._act("close", alias, note)

    def snooze(self, alias: str, until: float, note: str | None = None) -> Outcome:
        """Snooze until an instant (seconds since 1970)."""
        return self._act("snooze", alias, note, endTime=round(until * MILLISECONDS_PER_SECOND))

    def snooze_for(self, alias: str, seconds: float, note: str | None = None) -> Outcome:
        """Snooze for a time, by the cloud's own clock."""
        return self.snooze(alias, self.cloud.now_ns() / 1e9 + seconds, note)

    def add_note(self, alias: str, note: str) -> Outcome:
        """Add a note."""
        return self._act("add_note", alias, note)

    def assign(self, alias: str, owner: str, note: str | None = None) -> Outcome:
        """Make `owner` (a username) the owner."""
        return self._act("assign", alias, note, owner={"username": owner})

    def take_ownership(self, alias: str) -> Outcome:
        """Become the owner."""
        return self._act("take_ownership", alias)

    def add_tags(self, alias: str, *tags: str) -> Outcome:
        """Add tags."""
        return self._act("add_tags", alias, tags=list(tags))

    def remove_tags(self, alias: str, *tags: str) -> Outcome:
        """Remove tags."""
        return self._act("remove_tags", alias, tags=list(tags))

    def add_details(self, alias: str, **details: str) -> Outcome:
        """Add details (extra properties)."""
        return self._act("add_details", alias, details=details)

    def set_priority(self, alias: str, priority: str) -> Outcome:
        """Set the priority, "P1" to "P5"."""
        return self._act("update_priority", alias, priority=priority)

    def set_message(self, alias: str, message: str) -> Outcome:
        """Set the message."""
        return self._act("update_message", alias, message=message)

    def set_description(self, alias: str, description: str) -> Outcome:
        """Set the description."""
        return self._act("update_description", alias, description=description)

    def add_responder(self, alias: str, username: str) -> Outcome:
        """Add a user to the responders."""
        return self._act("add_responder", alias, responder={"username": username, "type": "user"})

    def add_team(self, alias: str, team: str) -> Outcome:
        """Add a team."""
        return self._act("add_team", alias, team={"name": team})

    def escalate_to_next(self, alias: str, escalation: str) -> Outcome:
        """Escalate to the next rule of an escalation."""
        return self._act("escalate", alias, escalation={"name": escalation})

    def escalate(self, alias: str, escalation: str, notify: JSON | None = None) -> Outcome:
        """Let a rule of an escalation fire, as it does by itself when nobody acknowledges."""
        target = notify or {"name": "alice@example.com", "id": "", "type": "default", "entity": "user"}
        return self._act(
            "notify_escalation", alias, escalation_id=f"{escalation}-id", escalation_name=escalation, notify=target
        )

    def custom(self, alias: str, name: str, note: str | None = None) -> Outcome:
        """Run a custom action."""
        return self._act("custom", alias, note, name=name)

    def delete(self, alias: str) -> Outcome:
        """Delete the alert."""
        return self._act("delete", alias)

    def _act(self, action: str, alias: str, note: str | None = None, **fields: object) -> Outcome:
        if note:
            fields["note"] = note
        return self.cloud.act(Command(action, self.actor, identifier=alias, fields=fields))
