"""What people do to alerts in Opsgenie, as messages, and a model of what Alerta must hold when all of it has come.

The model knows nothing of the code under test: it replays the actions in the order of `updatedAt`. The stories are such
as Opsgenie could really tell: nothing but notes after a close, no unacknowledge of what is not acknowledged. One thing
is left out on purpose: an UnAcknowledge in a story with a Snooze before it. Where it overtakes the Acknowledge that
ended the snooze, Alerta has the alert still shelved, and the rules call that "not acknowledged", a no-op.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.edge_messages import edge_message

PEOPLE = ("alice@example.com", "bob@example.com", "carol@example.com")
TAGS = ("disk", "network", "known")

JSON = dict[str, Any]

_SECOND_NS = 1_000_000_000
_STATUS_AFTER = {"Acknowledge": "ack", "UnAcknowledge": "open", "Snooze": "shelved", "Close": "closed"}


def action(name: str, alert_id: str, *, at_ns: int | None = None, by: str = PEOPLE[0], **fields: Any) -> JSON:
    """Return the message of one action on an alert, with a new request id."""
    alert = {
        "alertId": f"{uuid.uuid4()}-1751623200123",
        "alias": alert_id,
        "source": "Alerta",
        "username": by,
        "updatedAt": time.time_ns() if at_ns is None else at_ns,
    }
    source = {"name": "", "type": "web"}
    return edge_message(name, requestId=str(uuid.uuid4()), source=source, alert={**alert, **fields})


@dataclass
class Expected:
    """What Alerta must hold: the notes are those of people, as Alerta without a plugin shows them."""

    status: str = "open"
    owner: str | None = None
    tags: frozenset[str] = frozenset()
    notes: Counter[str] = field(default_factory=Counter)


def expected_after(messages: Sequence[JSON]) -> Expected:
    """Return the expected state of one alert after these actions, in any order and any number of deliveries."""
    expected = Expected()
    once = {message["requestId"]: message for message in messages}
    for message in sorted(once.values(), key=lambda message: message["alert"]["updatedAt"]):
        name, alert = message["action"], message["alert"]
        expected.status = _STATUS_AFTER.get(name, expected.status)
        if name in ("AssignOwnership", "TakeOwnership"):
            expected.owner = alert.get("owner") or alert["username"]
        elif name == "AddTags":
            expected.tags |= set(alert["addedTags"].split(","))
        elif name == "RemoveTags":
            expected.tags -= set(alert["removedTags"].split(","))
        elif name == "AddNote":
            expected.notes[f"{alert['username']}: {alert['note']}"] += 1
    return expected


def found_in(alert: JSON, notes: Sequence[JSON]) -> Expected:
    """Read the same from what Alerta's console shows."""
    texts = [note["text"] for note in notes]
    people = [text for text in texts if text.partition(": ")[0] in PEOPLE]
    return Expected(alert["status"], alert["attributes"].get("owner"), frozenset(alert["tags"]), Counter(people))


class Scenarios:
    """Makes random scenarios from a seed; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._now_ns = time.time_ns()

    def tell(self, alert_ids: Sequence[str], count: int) -> list[JSON]:
        """Make `count` actions on these alerts, in the order in which Opsgenie would have them."""
        states = dict.fromkeys(alert_ids, "open")
        snoozed: set[str] = set()
        messages = []
        for number in range(count):
            alert_id = alert_ids[number] if number < len(alert_ids) else self._random.choice(alert_ids)
            name = self._random.choice(_possible(states[alert_id], alert_id in snoozed))
            states[alert_id] = _STATUS_AFTER.get(name, states[alert_id])
            if name == "Snooze":
                snoozed.add(alert_id)
            messages.append(self._message(name, alert_id))
        return messages

    def shuffled(self, messages: Sequence[JSON]) -> list[JSON]:
        """The same messages in another order."""
        return self._random.sample(list(messages), len(messages))

    def _message(self, name: str, alert_id: str) -> JSON:
        # Some milliseconds apart, as when many people act at once.
        self._now_ns += self._random.randrange(1_000_000, 50_000_000)
        fields: JSON = {}
        if name == "AddNote":
            fields["note"] = f"note {uuid.uuid4().hex[:12]}"
        elif name == "AssignOwnership":
            fields["owner"] = self._random.choice(PEOPLE)
        elif name in ("AddTags", "RemoveTags"):
            chosen = self._random.sample(TAGS, self._random.randint(1, 2))
            fields["addedTags" if name == "AddTags" else "removedTags"] = ",".join(chosen)
        elif name == "Snooze":
            fields["snoozedUntil"] = (self._now_ns + 1800 * _SECOND_NS) // 1_000_000
        return action(name, alert_id, at_ns=self._now_ns, by=self._random.choice(PEOPLE), **fields)


def _possible(state: str, snoozed: bool) -> list[str]:
    """Name what Opsgenie offers for an alert in that state, notes more often than the rest."""
    if state == "closed":
        return ["AddNote"]
    always = ["AddNote", "AddNote", "AddNote", "AssignOwnership", "TakeOwnership", "AddTags", "RemoveTags", "Close"]
    moves = {"open": ["Acknowledge", "Snooze"], "ack": ["Snooze"], "shelved": ["Acknowledge", "Snooze"]}[state]
    return always + moves * 2 + (["UnAcknowledge"] * 2 if state == "ack" and not snoozed else [])
